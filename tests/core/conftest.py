"""Two poses with all joints, in pictures of 128x64, pixel centres at integers."""
from __future__ import annotations

import pytest
import torch


@pytest.fixture
def standing():
    """[1,18,2] x, y: someone upright in a picture of 128x64, facing us, arms a little out."""
    return torch.tensor([[
        [32, 16], [32, 28], [22, 30], [17, 44], [14, 58], [42, 30], [47, 44], [51, 58], [26, 64],
        [25, 88], [23, 110], [38, 64], [39, 88], [42, 110], [30, 14], [34, 14], [27, 16], [37, 16]]]).float()


@pytest.fixture
def walking():
    return torch.tensor([[
        [36, 14], [34, 27], [25, 30], [23, 46], [30, 57], [43, 29], [48, 45], [43, 58], [29, 63],
        [20, 86], [12, 105], [39, 63], [45, 86], [41, 109], [35, 12], [39, 12], [31, 14], [41, 15]]]).float()
