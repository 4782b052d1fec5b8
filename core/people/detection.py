"""What every detector answers."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..pose import PoseFrame


@dataclass(frozen=True, eq=False)
class Detection:
    """Everybody in one picture, the largest first.

    `masks`: [N,H,W] bool, one per person of `frame`; they do not overlap. `regions`: [H,W] uint8 of the
    twelve person regions, above 0 exactly where a mask is; all 0 from a detector that knows no regions.
    """

    frame: PoseFrame
    masks: Tensor
    regions: Tensor
