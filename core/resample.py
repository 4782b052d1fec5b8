"""Resampling and blurring of one axis as a matrix: a picture becomes `rows @ picture @ columns.T`.

Both are linear and separable, so several steps fold into one matrix per axis, and single values of an enlarged
map can be had without enlarging it.
"""
from __future__ import annotations

import torch
from torch import Tensor

_A = -0.75                                                # OpenCV's cubic


def cubic_matrix(size: int, source: int, factor: float | None = None) -> Tensor:
    """[size,source] float64: OpenCV's cubic resize, four taps, border replicated, no antialiasing.

    `factor`: output over input, by default the ratio of the sizes; OpenCV maps by the exact factor when it is
    given one.
    """
    position = (torch.arange(size, dtype=torch.float64) + 0.5) / (factor or size / source) - 0.5
    first = position.floor()
    near = position - first                                                       # 0..1
    far = 1 - near
    weights = torch.stack([_outer(1 + near), _inner(near), _inner(far), _outer(1 + far)])     # [4,size]
    taps = (first.long() + torch.arange(-1, 3)[:, None]).clamp(0, source - 1)
    return torch.zeros(size, source, dtype=torch.float64).scatter_add_(1, taps.T, weights.T)


def _inner(t: Tensor) -> Tensor:
    return ((_A + 2) * t - (_A + 3)) * t * t + 1


def _outer(t: Tensor) -> Tensor:
    return ((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A


def blurred(matrix: Tensor, sigma: float, radius: int) -> Tensor:
    """[N,C] blurred along N by a normalised Gaussian cut off at `radius`; the border is mirrored, its pixel
    too."""
    size, offset = len(matrix), torch.arange(-radius, radius + 1)
    weights = (-0.5 * (offset / sigma) ** 2).exp().to(matrix)
    places = torch.arange(-radius, size + radius) % (2 * size)                    # d c b a | a b c d | d c b a
    mirrored = matrix[torch.minimum(places, 2 * size - 1 - places)]               # [N+2r,C]
    return mirrored.unfold(0, 2 * radius + 1, 1) @ (weights / weights.sum())
