"""The feature map at the size of the canvas, whole, as published: the oracle of `fast.py`."""
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .source import Box, Draggable, FixedArea, canvas_size


class WholeMap:
    """The features of one latent [E,W] resized to the canvas. Arguments as `fast.CroppedMap`'s."""

    def __init__(self, source: Draggable, rows: Tensor, regions: Sequence[Box],
                 fixed: FixedArea | None) -> None:
        [features] = source.features(rows, [Box(0, 0, *source.map_size)])
        self.features = F.interpolate(features[None], canvas_size(source), mode="bilinear")[0]   # [C,H,W]
        self.fixed = fixed

    def patch(self, index: int, box: Box) -> Tensor:
        """[C,n,m]: the pixels of `box`, which lies in region number `index`."""
        return self.features[:, box.top:box.bottom, box.left:box.right]

    def change(self, first: Tensor) -> Tensor:
        """Equation 2's second term: by how much fixed pixels differ from `first`, an earlier `features`."""
        assert self.fixed is not None
        return (self.features * self.fixed.mask - first * self.fixed.mask).abs().mean()
