"""Resampling and blurring along one axis.

Both are linear and separable, so several steps applied to an identity give one matrix per axis: a picture
becomes `rows @ picture @ columns.T`, and single values of an enlarged map can be had without enlarging it.
"""
from __future__ import annotations

import torch
from torch import Tensor

_A = -0.75                                                # OpenCV's cubic


def cubic(values: Tensor, size: int, factor: float | None = None) -> Tensor:
    """[N,...] -> [size,...]: OpenCV's cubic resize, four taps, border replicated, no antialiasing.

    `factor`: output over input, by default the ratio of the sizes; OpenCV maps by the exact factor when it is
    given one.
    """
    position = (torch.arange(size, dtype=torch.float64) + 0.5) / (factor or size / len(values)) - 0.5
    first = position.floor()
    near = position - first                                                       # 0..1
    weights = torch.stack([_outer(1 + near), _inner(near), _inner(1 - near), _outer(2 - near)])   # [4,size]
    taps = (first.long() + torch.arange(-1, 3)[:, None]).clamp(0, len(values) - 1)
    weights = weights.to(values)[(...,) + (None,) * (values.ndim - 1)]
    return sum(values[tap] * weight for tap, weight in zip(taps.to(values.device), weights, strict=True))


def _inner(t: Tensor) -> Tensor:
    return ((_A + 2) * t - (_A + 3)) * t * t + 1


def _outer(t: Tensor) -> Tensor:
    return ((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A


def blurred(matrix: Tensor, sigma: float, radius: int) -> Tensor:
    """[N,C] blurred along N by a normalised Gaussian cut off at `radius`; the border is mirrored, its pixel
    too."""
    size, offset = len(matrix), torch.arange(-radius, radius + 1)
    weights = (-0.5 * (offset / sigma) ** 2).exp().to(matrix)
    places = torch.arange(-radius, size + radius) % (2 * size)            # d c b a | a b c d | d c b a
    mirrored = matrix[torch.minimum(places, 2 * size - 1 - places)]               # [N+2r,C]
    return mirrored.unfold(0, 2 * radius + 1, 1) @ (weights / weights.sum())
