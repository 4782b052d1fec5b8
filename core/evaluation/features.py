"""Features to compute FID with, where the published Inception network is not at hand."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..checkpoints import LoadedNet
from ..detect.infer import MEMORY, crop_square, fitting_square
from ..detect.network import Detector
from ..runtime import Runtime


def detector_features(net: LoadedNet, pictures: Sequence[Tensor], runtime: Runtime) -> Tensor:
    """What the embedded detector's encoder makes of pictures [3,H,W] 0..1 of any sizes, on average: [N,D].

    Each is shown whole, in a square with grey round it. D: the channels of the encoder's last stage.
    """
    squares = torch.cat([crop_square(picture, fitting_square(*picture.shape[1:])) for picture in pictures])
    with runtime.use(net, MEMORY) as (module, device):
        assert isinstance(module, Detector)
        return module.encode(squares.to(device))[-1].mean((2, 3)).float().cpu()    # [N,D,8,8] -> [N,D]
