"""Linear separability: whether a flat cut through the latents tells attributes of their pictures.

Karras et al. 2019, "A style-based generator architecture for generative adversarial networks", section 4.2.
The classifiers make the score: with the forty of CelebA's attributes it is that of the paper, with any others
it is to be named after them, and compares with figures of the same classifiers only.
"""
from __future__ import annotations

import torch
from torch import Tensor

_STEPS, _HALVINGS = 50, 30                                # of Newton's method, and of one step of it
_ENOUGH = 1e-9                                            # relative progress below which it ends


def linear_separability(latents: Tensor, scores: Tensor) -> float:
    """exp(sum over the attributes of H(Y|X)), at least 1: X, the side of the best cut, Y, the class.

    `latents`: [N,D]. `scores`: [N,K] of K classifiers; the sign is the class, the size how sure it is, and of
    each the surer half of the samples counts. Raises ValueError for shapes that do not fit, and for NaN.
    """
    if latents.ndim != 2 or scores.ndim != 2 or len(latents) != len(scores) or len(latents) < 2:
        raise ValueError("separability needs latents [N,D] and scores [N,K] of two pictures or more; "
                         f"got {list(latents.shape)} and {list(scores.shape)}.")
    if not (torch.isfinite(latents).all() and torch.isfinite(scores).all()):
        raise ValueError("the latents or the scores hold NaN or infinite values.")
    latents, scores, total = latents.double().cpu(), scores.double().cpu(), 0.0
    for column in scores.T:
        sure = column.abs().argsort(descending=True, stable=True)[:len(column) // 2]
        x, positive = latents[sure], column[sure] > 0
        total += conditional_entropy(linear_svm(x, positive), positive)
    return float(torch.tensor(total).exp())


def linear_svm(x: Tensor, positive: Tensor, cost: float = 1.0) -> Tensor:
    """[N,D] float64 and the class [N] bool -> [N] bool, the side of the hyperplane on which each lies.

    Minimises |v|^2 / 2 + cost * sum max(0, 1 - y (v.x))^2 with a constant in x for the offset, by Newton's
    method: the loss is quadratic wherever no sample enters or leaves the margin (Keerthi and DeCoste 2005).
    """
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)                               # [N,D+1]
    y, v = positive.double() * 2 - 1, x.new_zeros(x.shape[1])
    loss = _loss(x, y, v, cost)
    for _ in range(_STEPS):
        inside = y * (x @ v) < 1
        near = x[inside]
        slope = v - 2 * cost * near.T @ (y[inside] - near @ v)
        curvature = 2 * cost * near.T @ near + torch.eye(len(v), dtype=v.dtype)
        step, size = torch.linalg.solve(curvature, slope), 1.0
        before = loss
        for _ in range(_HALVINGS):
            loss = _loss(x, y, v - size * step, cost)
            if loss <= before:
                break
            size /= 2
        v = v - size * step
        if before - loss <= _ENOUGH * before:
            break
    return x @ v > 0


def _loss(x: Tensor, y: Tensor, v: Tensor, cost: float) -> float:
    return float(v.square().sum() / 2 + cost * (1 - y * (x @ v)).clamp(min=0).square().sum())


def conditional_entropy(side: Tensor, positive: Tensor) -> float:
    """H(Y|X) in nats of two [N] bool: what is unknown of `positive` once `side` is known."""
    counts = torch.bincount(side.long() * 2 + positive.long(), minlength=4).view(2, 2).double()
    shares = counts / counts.sum()                                                 # [X,Y]
    known = shares.sum(1, keepdim=True)
    return float(torch.xlogy(known, known).sum() - torch.xlogy(shares, shares).sum())
