"""What every detector answers."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..pose import PoseFrame
from .boxes import tight_box
from .person import CropBox


@dataclass(frozen=True, eq=False)
class Detection:
    """Everybody in one picture, the largest first.

    `masks`: [N,H,W] bool, one per person of `frame`; they do not overlap. `regions`: [H,W] uint8 of the
    twelve person regions, above 0 exactly where a mask is; all 0 from a detector that knows no regions.
    `scores`: [N] 0..1, how sure the detector is of each person; None where it is only sure of joints.
    """

    frame: PoseFrame
    masks: Tensor
    regions: Tensor
    scores: Tensor | None = None

    @property
    def person_scores(self) -> Tensor:
        """[N] `scores`, or else the mean of the present joints' scores."""
        if self.scores is not None:
            return self.scores
        joints = [pose.scores[pose.present] for pose in self.frame.people]
        return torch.tensor([float(some.mean()) if len(some) else 0.0 for some in joints])

    @property
    def boxes(self) -> Tensor:
        """[N,4] whole pixels x0, y0, x1, y1 round each mask; round the joints of people without pixels."""
        boxes = [tight_box(mask) or _joints_box(pose.box(), *mask.shape)
                 for pose, mask in zip(self.frame.people, self.masks, strict=True)]
        return torch.tensor([[box.x0, box.y0, box.x1, box.y1] for box in boxes],
                            dtype=torch.long).view(-1, 4)


def _joints_box(joints: tuple[float, ...] | None, height: int, width: int) -> CropBox:
    x0, y0, x1, y1 = joints or (0.0,) * 4
    return CropBox(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)).clipped(height, width)
