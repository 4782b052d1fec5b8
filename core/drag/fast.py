"""The same numbers from the few features they depend on, never resized as a whole.

Resizing is linear, so the change of fixed pixels is the resized change of the features; and of the resized
map only the pixels around the handles are needed besides. Sampling the features themselves between their
pixels would give other numbers: the resized map has kinks where the features' pixels meet.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .source import Box, Draggable, FixedArea, canvas_size, cut

STRIP = 1 << 18                                           # numbers worked on at once, to stay in the cache


class CroppedMap:
    """The features of one latent [E,W] around the handles and where the picture is fixed.

    `regions`: boxes of canvas pixels that will be asked for. `fixed`: None where everything may change.
    """

    def __init__(self, source: Draggable, rows: Tensor, regions: Sequence[Box],
                 fixed: FixedArea | None) -> None:
        self.canvas, self.regions, self.fixed = canvas_size(source), regions, fixed
        self.scale = self.canvas[0] // source.map_size[0]
        areas = [*regions, fixed.box] if fixed else regions
        self.boxes = [mixed_box(area, self.scale).within(source.map_size) for area in areas]
        parts = source.features(rows, self.boxes)
        self.patches = [resize(part, box, region, self.scale)
                        for part, box, region in zip(parts, self.boxes, regions, strict=False)]
        self.features = parts[-1]                                                  # [C,h,w] of the last box

    def patch(self, index: int, box: Box) -> Tensor:
        """As `WholeMap.patch`."""
        return cut(self.patches[index], self.regions[index], box)

    def change(self, first: Tensor) -> Tensor:
        """As `WholeMap.change`."""
        assert self.fixed is not None
        top, left, bottom, right = (side * self.scale for side in self.boxes[-1])
        mask = self.fixed.mask[top:bottom, left:right]
        total = _ResizedSum.apply(self.features - first, mask, self.scale)
        return total / (len(first) * math.prod(self.canvas))


def mixed_box(area: Box, scale: int) -> Box:
    """The features that the pixels of `area` are mixed of, in a map `scale` times smaller."""
    top, left, bottom, right = ((2 * side + 1 - scale) // (2 * scale) for side in
                                (area.top, area.left, area.bottom - 1, area.right - 1))
    return Box(top, left, bottom + 2, right + 2)


def resize(part: Tensor, box: Box, area: Box, scale: int) -> Tensor:
    """[C,h,w] of `box` -> [C,n,m]: the pixels of `area`."""
    pixels = F.interpolate(part[None], scale_factor=scale, mode="bilinear")[0]
    return cut(pixels, Box(*(side * scale for side in box)), area)


class _ResizedSum(torch.autograd.Function):
    """Sum of |x| times a mask [H,W] over the pixels of x [C,h,w] resized, and its gradient at the same time.

    A pixel of the resized map is a mix of four of x whose shares depend on its place within the cell alone,
    so that each of the scale x scale places is one pass over x, strip by strip.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: int) -> Tensor:
        channels, height, width = x.shape
        padded = F.pad(x[None], (1, 1, 1, 1), mode="replicate")[0].permute(1, 2, 0).contiguous()
        cells = mask.reshape(height, scale, width, scale)
        total, gradient = x.new_zeros(()), torch.zeros_like(padded)                # [h+2,w+2,C]
        count = max(1, STRIP // (width * channels)) if x.device.type == "cpu" else height
        for first in range(0, height, count):
            some = cells[first:first + count]
            rows = slice(first, first + len(some) + 2)
            total += _strip(padded[rows], some, gradient[rows])
        for edge, inner in ((0, 1), (-1, -2)):            # what was replicated counts for its origin
            gradient[inner] += gradient[edge]
            gradient[:, inner] += gradient[:, edge]
        ctx.save_for_backward(gradient[1:-1, 1:-1].permute(2, 0, 1))
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None]:
        gradient, = ctx.saved_tensors
        return gradient * scale, None, None


def _strip(padded: Tensor, cells: Tensor, gradient: Tensor) -> Tensor:
    """The sum over [r,w] cells of k x k pixels; `padded`, `gradient` [r+2,w+2,C], to which it adds."""
    height, scale, width, _ = cells.shape
    total = padded.new_zeros(())
    for i in range(scale):
        y, low = _place(i, scale)
        rows = torch.lerp(padded[y:y + height], padded[y + 1:y + 1 + height], low)
        pull = torch.zeros_like(rows)                                              # [r,w+2,C]
        for j in range(scale):
            x, right = _place(j, scale)
            values = torch.lerp(rows[:, x:x + width], rows[:, x + 1:x + 1 + width], right)
            signs = values.sign().mul_(cells[:, i, :, j, None])
            total += torch.dot(signs.flatten(), values.flatten())
            pull[:, x:x + width].add_(signs, alpha=1 - right)
            pull[:, x + 1:x + 1 + width].add_(signs, alpha=right)
        gradient[y:y + height].add_(pull, alpha=1 - low)
        gradient[y + 1:y + 1 + height].add_(pull, alpha=low)
    return total


def _place(index: int, scale: int) -> tuple[int, float]:
    """Where pixel `index` of a cell lies on one axis: after which padded pixel, and how far."""
    place = (index + 0.5) / scale + 0.5
    return int(place), place % 1
