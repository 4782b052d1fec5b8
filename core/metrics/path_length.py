"""Perceptual path length: how far a generator's pictures move when its latent moves a little.

Karras et al. 2019, "A style-based generator architecture for generative adversarial networks", section 4.1.
The features make the score: with LPIPS on VGG-16 it is that of papers, with any others it is to be named
after them, and compares with figures of the same features only.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 1e-4                                               # of the way between two latents
EXTREMES = 0.01                                           # share of lengths left out at each end, in papers


def path_lengths(pictures: Callable[[Tensor], Tensor], features: Callable[[Tensor], Tensor],
                 t: Tensor) -> Tensor:
    """[N] of N paths, each at the place `t` [N] of 0..1: d(g(t), g(t + eps)) / eps^2.

    `pictures`: [N] places -> what the generator draws there, with the same noise every time. `features`:
    those pictures -> [N,D], whose squared distance d is perceptual.
    """
    start, end = (features(pictures(place)).cpu().double() for place in (t, t + STEP))
    return (start - end).square().sum(1) / STEP**2


def mean_length(lengths: Tensor, extremes: float = EXTREMES) -> float:
    """The score: the mean without the shortest and the longest ones. Raises ValueError for none and NaN."""
    if not len(lengths) or not torch.isfinite(lengths).all():
        raise ValueError(f"the mean path length needs finite lengths, at least one; got {len(lengths)}.")
    low, high = (torch.quantile(lengths.double(), share) for share in (extremes, 1 - extremes))
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())
