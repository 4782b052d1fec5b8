"""Fine alignment of moved parts with what a network drew: Lucas and Kanade's method (1981), at the network's
resolution, every pixel for itself with its surroundings."""
from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOWS = (5, 5, 4, 4, 3, 3, 2, 2, 1, 1)                 # reach of the surroundings, step by step
_STIFF = 1e-3                                             # square of the slope below which a place stays put
_STEP, _LIMIT = 1.0, 4.0                                  # pixels, in one step and altogether
LEAST_SHARE = 0.02                                        # of a pixel, for it to have a colour


def alignment(source: Tensor, points: Tensor, drawn: Tensor, weights: Tensor) -> Tensor:
    """[K,h,w,2], what to add to the `points` [K,h,w,2] of the source, so that the colours there are those of
    `drawn` [3,h,w].

    `source`: [4,H,W], colours times their share, and the share. Points are x, y in its pixels, centres at
    integers. `weights`: [K,h,w], how much each place counts for each part.
    """
    planes = torch.cat([source, *_slopes(source)]).expand(len(points), -1, -1, -1)           # [K,12,H,W]
    shifts = torch.zeros_like(points)
    for reach in _WINDOWS:
        seen = sampled(planes, points + shifts)                                    # [K,12,h,w]
        share = seen[:, 3:4].clamp(min=LEAST_SHARE)
        colours = seen[:, :3] / share
        across, down = (((seen[:, i:i + 3] - colours * seen[:, i + 3:i + 4]) / share).clamp(-1, 1)
                        for i in (4, 8))                                           # [K,3,h,w] each
        step = _solved(across, down, drawn - colours, seen[:, 3] * weights, reach)
        shifts = (shifts + step.clamp(-_STEP, _STEP)).clamp(-_LIMIT, _LIMIT)
        shifts = blurred(shifts.movedim(-1, 1), 1).movedim(1, -1)
    return shifts


def _solved(across: Tensor, down: Tensor, missing: Tensor, weights: Tensor, reach: int) -> Tensor:
    """[K,h,w,2], the shift that explains the `missing` colours best around each pixel."""
    products = [across * across, across * down, down * down, across * missing, down * missing]
    sums = torch.cat([torch.stack(products, 1).sum(2), torch.ones_like(weights)[:, None]], 1)
    sums = blurred(blurred(sums * weights[:, None], reach), reach)                 # [K,6,h,w]
    xx, xy, yy, x, y = (sums[:, :5] / sums[:, 5:].clamp(min=1e-3)).unbind(1)
    xx, yy = xx + _STIFF, yy + _STIFF
    return torch.stack([yy * x - xy * y, xx * y - xy * x], -1) / (xx * yy - xy * xy)[..., None]


def _slopes(planes: Tensor) -> tuple[Tensor, Tensor]:
    """[C,h,w] per pixel along x and along y."""
    wide = F.pad(planes[None], (1,) * 4, mode="replicate")[0]
    return (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / 2, (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / 2


def blurred(planes: Tensor, reach: int) -> Tensor:
    """[B,C,h,w], means over squares; the border is repeated. Sums of slices: pooling is slower on a CPU."""
    wide, side = F.pad(planes, (reach,) * 4, mode="replicate"), 2 * reach + 1
    for axis in (2, 3):
        length = wide.shape[axis] - 2 * reach
        slices = (wide.narrow(axis, start, length) for start in range(side))
        wide = reduce(torch.add, slices) / side
    return wide


def sampled(planes: Tensor, points: Tensor) -> Tensor:
    """[B,C,H,W] at points [B,h,w,2] x, y, centres at integers, bilinear, 0 outside -> [B,C,h,w]."""
    size = points.new_tensor([planes.shape[3], planes.shape[2]])
    return F.grid_sample(planes, (2 * points + 1) / size - 1, align_corners=False)
