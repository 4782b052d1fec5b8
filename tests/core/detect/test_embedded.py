"""The embedded weights keep what their card promises."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from anyone.core.checkpoints import embedded, load
from anyone.core.detect import detect_people
from anyone.core.evaluation.scenes import score_detector
from anyone.core.runtime import Runtime
from PIL import Image

INPUT = Path(__file__).resolve().parents[3] / "workflows" / "input"
RUNTIME = Runtime("cpu")


@pytest.fixture(scope="module")
def net():
    return load(embedded()["detect-person"])


def test_people_never_seen_before(net):
    scores = score_detector(net, "scenes", count=48, first_id=970_000, runtime=RUNTIME)
    assert scores["pck"] > 0.88 and scores["mask_iou"] > 0.86 and scores["region_miou"] > 0.65


def test_the_photograph(net):
    """Hair and trunk of the astronaut, nothing of an empty wall."""
    image = torch.from_numpy(np.array(Image.open(INPUT / "astronaut.png").convert("RGB"))).float()[None] / 255
    mask = torch.from_numpy(np.array(Image.open(INPUT / "astronaut_mask.png").convert("L"))) > 127
    found, = detect_people(net, image, runtime=RUNTIME)
    overlap = (found.masks[0] & mask).sum() / (found.masks[0] | mask).sum()
    assert overlap > 0.7
    assert found.regions[60, 230] == 1, "hair"
    nothing, = detect_people(net, torch.full((1, 200, 300, 3), 0.6), runtime=RUNTIME)
    assert not nothing.frame.people and not nothing.regions.any()
