"""What scores are made of where the published networks, Inception and SSD, are not at hand: what the embedded
detector sees in a picture. Such scores carry its name and compare with each other only."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .checkpoints import LoadedNet
from .detect.infer import MEMORY, crop_square, detect_people, fitting_square
from .detect.network import Detector
from .runtime import Runtime

SURE = 0.1                                                # least score of a joint


def detector_features(net: LoadedNet, pictures: Sequence[Tensor], runtime: Runtime) -> Tensor:
    """What the embedded detector's encoder makes of pictures [3,H,W] 0..1 of any sizes, on average: [N,D].

    Each is shown whole, in a square with grey round it. D: the channels of the encoder's last stage.
    """
    with runtime.use(net, MEMORY) as (module, device):
        assert isinstance(module, Detector)
        features = module.encode(_squares(pictures).to(device))[-1]                # [N,D,8,8]
        return features.mean((2, 3)).float().cpu()


def region_shares(net: LoadedNet, pictures: Sequence[Tensor], runtime: Runtime) -> Tensor:
    """How the embedded detector shares each picture's person out among the eleven regions of people, [N,11],
    rows add up to 1.

    Shown as by `detector_features`. They stand in for the class probabilities of an inception score: it grows
    as the clothes are seen clearly and differ from picture to picture.
    """
    with runtime.use(net, MEMORY) as (module, device):
        shares = module(_squares(pictures).to(device)).regions.softmax(1).mean((2, 3)).cpu()      # [N,12]
    return shares[:, 1:] / shares[:, 1:].sum(1, keepdim=True)


def surest_people(net: LoadedNet, pictures: Sequence[Tensor], runtime: Runtime) -> Tensor:
    """How sure the embedded detector is of the person it is surest of, [N] 0..1, 0 where it sees nobody."""
    seen = [detect_people(net, picture.movedim(0, -1)[None], threshold=SURE, runtime=runtime)[0]
            for picture in pictures]
    return torch.stack([torch.cat([one.person_scores, torch.zeros(1)]).max() for one in seen])


def _squares(pictures: Sequence[Tensor]) -> Tensor:
    """[N,3,128,128]"""
    return torch.cat([crop_square(picture, fitting_square(*picture.shape[1:])) for picture in pictures])
