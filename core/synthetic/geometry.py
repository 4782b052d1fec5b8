"""Small vector algebra, written out so that a row's result never depends on how many rows a batch has.

Batched matrix products and a few vectorised functions (`pow`, `atan2`) round differently at the end of a
tensor; only sums, products, square roots and functions that were checked are used.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

RADIANS = math.pi / 180


def rotation_x(angle: Tensor) -> Tensor:
    """[N] radians -> [N,3,3]."""
    c, s, one, zero = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    return torch.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).view(-1, 3, 3)


def rotation_y(angle: Tensor) -> Tensor:
    """[N] radians -> [N,3,3]."""
    c, s, one, zero = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    return torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).view(-1, 3, 3)


def rotation_z(angle: Tensor) -> Tensor:
    """[N] radians -> [N,3,3]."""
    c, s, one, zero = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(-1, 3, 3)


def compose(*rotations: Tensor) -> Tensor:
    """Product of [...,3,3] matrices, the last one applied first."""
    product = rotations[0]
    for m in rotations[1:]:
        product = (product[..., :, 0:1] * m[..., 0:1, :] + product[..., :, 1:2] * m[..., 1:2, :]
                   + product[..., :, 2:3] * m[..., 2:3, :])
    return product


def rotate(rotation: Tensor, v: Tensor) -> Tensor:
    """[...,3,3] times [...,3]."""
    return rotation[..., 0] * v[..., 0:1] + rotation[..., 1] * v[..., 1:2] + rotation[..., 2] * v[..., 2:3]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """[...,3] x [...,3] -> [...]."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def length(v: Tensor) -> Tensor:
    """[...,3] -> [...]."""
    return dot(v, v).sqrt()


def normalise(v: Tensor) -> Tensor:
    """[...,3] scaled to length 1; zero stays zero."""
    return v / (length(v) + 1e-9)[..., None]


def vector(x: Tensor | float, y: Tensor | float, z: Tensor | float, like: Tensor) -> Tensor:
    """[N,3] from numbers or [N] tensors; `like`: any tensor whose first dimension is N."""
    parts = [part if isinstance(part, Tensor) else like.new_full(like.shape[:1], float(part))
             for part in (x, y, z)]
    return torch.stack(parts, -1)


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def inside(distance: Tensor, edge: Tensor | float) -> Tensor:
    """Soft membership of a signed distance (negative = inside) with an edge of +-`edge`."""
    t = ((edge - distance) / (2 * edge)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def angle_of(x: Tensor, z: Tensor) -> Tensor:
    """atan2(x, z) in -pi..pi by a polynomial (error 1e-5): `torch.atan2` rounds by position in the tensor."""
    ax, az = x.abs(), z.abs()
    q = torch.minimum(ax, az) / torch.maximum(ax, az).clamp(min=1e-12)
    q2 = q * q
    a = -0.11643287 + q2 * (0.05265332 - 0.01172120 * q2)
    a = q * (0.99997726 + q2 * (-0.33262347 + q2 * (0.19354346 + q2 * a)))
    a = torch.where(ax > az, math.pi / 2 - a, a)
    a = torch.where(z < 0, math.pi - a, a)
    return torch.where(x < 0, -a, a)
