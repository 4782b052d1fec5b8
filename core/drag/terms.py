"""The parts of a step: where a handle went, and what pulls it. All on patches of the resized feature map.

Patches are [C,n,m], their first pixel is at `corner` (row, column) of the canvas; they end where the canvas
does and are otherwise wide enough for what is asked of them.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Point = tuple[int, int]                                   # row, column on the canvas


def nearest(patch: Tensor, reference: Tensor) -> Tensor:
    """Index, row by row, of the pixel whose features are nearest to `reference` [C]; the first of equals.

    Point tracking, section 3.3; the published program measures the L2 distance.
    """
    distance = torch.linalg.vector_norm(patch.detach() - reference[:, None, None], dim=0)
    return distance.flatten().argmin()


def motion_loss(patch: Tensor, corner: Point, handle: Point, direction: tuple[float, float], radius: int,
                size: tuple[int, int]) -> Tensor:
    """Motion supervision, equation 1: the features one pixel ahead shall become those of the handle's disc.

    `direction`: (down, right), of length 1. `size`: of the canvas. Mean over the channels and pixels.
    """
    down, right = (_offsets(first, count, place, side, patch) for first, count, place, side
                   in zip(corner, patch.shape[1:], handle, size, strict=True))
    disc = (down[:, None].square() + right.square()).sqrt() < radius               # [n,m]
    off = (patch.detach() - ahead(patch, direction)).abs().sum(0)                  # [n,m]
    return (off * disc).sum() / (disc.sum() * len(patch))


def _offsets(first: int, count: int, place: int, side: int, like: Tensor) -> Tensor:
    """Distances of `count` pixels from the handle on one axis. The published grid reaches from 0 to `side`
    instead of `side` - 1, so that discs lie up to one pixel nearer to the origin."""
    pixels = torch.arange(first, first + count, device=like.device, dtype=like.dtype)
    return pixels * (side / (side - 1)) - place


def ahead(patch: Tensor, direction: tuple[float, float]) -> Tensor:
    """The patch sampled at each pixel plus `direction` (at most 1 long): bilinear, zeros outside."""
    (top, left), (height, width) = (math.floor(part) for part in direction), patch.shape[1:]
    low, high = direction[0] - top, direction[1] - left
    padded = F.pad(patch, (2, 2, 2, 2))

    def row(y: int) -> Tensor:
        here, beside = (padded[:, y:y + height, x:x + width] for x in (left + 2, left + 3))
        return torch.lerp(here, beside, high)

    return torch.lerp(row(top + 2), row(top + 3), low)
