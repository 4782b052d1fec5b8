"""FID: how far the features of generated pictures are spread from those of real ones.

The features make the score: with those of the published Inception network it is the FID of papers, with any
others it is to be named after them, and compares with figures of the same network only.
"""
from __future__ import annotations

import torch
from torch import Tensor


class FeatureStatistics:
    """Mean [D] and covariance of features [N,D], gathered batch by batch in float64 on the CPU."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._scatter = torch.zeros((), dtype=torch.float64)           # [D], [D,D] with the first

    def add(self, features: Tensor) -> None:
        """Chan, Golub and LeVeque 1979, eq. 2.1: exact however far the mean is from 0. Raises ValueError for
        another shape and for NaN."""
        if features.ndim != 2 or self.count and features.shape[1:] != self.mean.shape:
            length = len(self.mean) if self.count else "D"
            raise ValueError(f"features should be [N,{length}]; got {list(features.shape)}.")
        if not torch.isfinite(features).all():
            raise ValueError("features hold NaN or infinite values; check the pictures they were taken of.")
        new = len(features)
        if not new:
            return
        total, batch = self.count + new, features.detach().cpu().double()
        gap, centred = batch.mean(0) - self.mean, batch - batch.mean(0)
        self._scatter = (self._scatter + centred.T @ centred                       # [D,D]
                         + torch.outer(gap, gap) * (self.count * new / total))
        self.mean = self.mean + gap * (new / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """[D,D] of the sample (n-1). Raises ValueError for fewer than two pictures."""
        if self.count < 2:
            raise ValueError(f"FID needs at least two pictures on each side; got {self.count}.")
        return self._scatter / (self.count - 1)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Squared Fréchet distance of two Gaussians (Heusel et al. 2017, eq. 6): |m1-m2|² + tr(C1+C2-2√(C1 C2)).

    The trace of √(C1 C2) is the sum of the singular values of √C1 √C2, which are real whatever rounding did.
    Raises ValueError for fewer than two pictures on a side and for features of two lengths.
    """
    first, second = a.covariance, b.covariance
    if first.shape != second.shape:
        raise ValueError(f"features of {len(first)} and of {len(second)} numbers cannot be compared.")
    overlap = torch.linalg.svdvals(_root(first) @ _root(second)).sum()
    distance = (a.mean - b.mean).square().sum() + first.trace() + second.trace() - 2 * overlap
    return float(distance.clamp(min=0))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; rounding may have made small eigenvalues negative."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
