"""The OpenPose body network for COCO's 18 joints (Cao et al., *Realtime Multi-Person 2D Pose Estimation using
Part Affinity Fields*, CVPR 2017): a VGG-19 trunk, then six stages that each look at the maps of the one
before."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8                                                # pixels per cell of the maps
FIELDS, HEATS = 38, 19                                    # x and y of 19 limbs; 18 joints and background
STAGES = 6
_TRUNK = (("conv1_1", 3, 64), ("conv1_2", 64, 64), None, ("conv2_1", 64, 128), ("conv2_2", 128, 128), None,
          ("conv3_1", 128, 256), ("conv3_2", 256, 256), ("conv3_3", 256, 256), ("conv3_4", 256, 256), None,
          ("conv4_1", 256, 512), ("conv4_2", 512, 512), ("conv4_3_CPM", 512, 256), ("conv4_4_CPM", 256, 128))
_FEATURES = 128
# Branch -> channels of its answer.
_BRANCHES = {"L1": FIELDS, "L2": HEATS}


class BodyNet(nn.Module):
    """[B,3,H,W] (blue, green, red; x/256 - .5; H and W multiples of 8) -> part affinity fields [B,38,H/8,W/8]
    and heat maps [B,19,H/8,W/8].

    The layers have the published names, without groups.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, inputs, outputs in filter(None, _TRUNK):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        for stage in range(1, STAGES + 1):
            for branch in _BRANCHES:
                for name, inputs, outputs, size in _stage_layers(stage, branch):
                    self.add_module(name, nn.Conv2d(inputs, outputs, size, padding=size // 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        fields, heats = self.stage(1, features)
        for stage in range(2, STAGES + 1):
            fields, heats = self.stage(stage, torch.cat([fields, heats, features], 1))
        return fields, heats

    def trunk(self, x: Tensor) -> Tensor:
        """-> features [B,128,H/8,W/8]."""
        for layer in _TRUNK:
            x = F.max_pool2d(x, 2) if layer is None else F.relu(self.get_submodule(layer[0])(x))
        return x

    def stage(self, stage: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both branches of one stage: fields [B,38,h,w], heat maps [B,19,h,w].

        Answers are linear, but for the very last heat maps: the published network has a ReLU there.
        """
        fields, heats = (self._branch(_stage_layers(stage, branch), x) for branch in _BRANCHES)
        return fields, F.relu(heats) if stage == STAGES else heats

    def _branch(self, layers: list[tuple[str, int, int, int]], x: Tensor) -> Tensor:
        *hidden, last = (self.get_submodule(name) for name, *_ in layers)
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


def _stage_layers(stage: int, branch: str) -> list[tuple[str, int, int, int]]:
    """(name, inputs, outputs, kernel) of every layer of one branch."""
    answer = _BRANCHES[branch]
    if stage == 1:
        widths = [(_FEATURES, _FEATURES, 3)] * 3 + [(_FEATURES, 512, 1), (512, answer, 1)]
        return [(f"conv5_{i}_CPM_{branch}", *width) for i, width in enumerate(widths, 1)]
    everything = sum(_BRANCHES.values()) + _FEATURES
    widths = [(everything, 128, 7), *[(128, 128, 7)] * 4, (128, 128, 1), (128, answer, 1)]
    return [(f"Mconv{i}_stage{stage}_{branch}", *width) for i, width in enumerate(widths, 1)]
