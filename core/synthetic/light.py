"""One warm directional light, sky and ground; a shadow map from the light."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .camera import Camera, look_along
from .geometry import RADIANS, rotate
from .primitives import Primitives
from .raycast import build_table, cast_rays, nearest
from .rng import Draws

#: Half the side of the square that the shadow map covers, and the height of its centre, metres.
_HALF_SIDE, _HEIGHT, _DISTANCE = 1.25, .80, 6.0
_TAPS = ((0.0, 0.0), (-1.1, -.5), (.5, -1.1), (1.1, .5), (-.5, 1.1))


@dataclass(frozen=True, eq=False)
class Light:
    """`direction`: [B,3] towards the light, world. `key`, `sky`, `ground`: [B,3] linear RGB."""

    direction: Tensor
    key: Tensor
    sky: Tensor
    ground: Tensor

    def select(self, index: Tensor | slice) -> Light:
        return Light(*(value[index] for value in vars(self).values()))


def sample_light(ids: Tensor, seed: int = 0) -> Light:
    draws = Draws(ids, seed, "light")
    azimuth, height = draws.uniform("azimuth", -70, 70) * RADIANS, draws.uniform("height", 28, 62) * RADIANS
    direction = torch.stack([azimuth.sin() * height.cos(), height.sin(), azimuth.cos() * height.cos()], -1)
    warm, one = draws.uniform("warmth", -.5, 1.0), torch.ones_like(azimuth)
    strength = draws.uniform("strength", .85, 1.25)[:, None]
    ambient = draws.uniform("ambient", .34, .56)[:, None]
    key = torch.stack([1.06 + .06 * warm, one, .96 - .10 * warm], -1) * strength
    sky = torch.stack([.95 - .08 * warm, one, 1.06 + .05 * warm], -1) * ambient * 1.15
    ground = ambient * .62 * ambient.new_tensor([1.05, .97, .9])
    return Light(direction, key, sky, ground)


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """Depths from the light, [B*R*R]; `camera`: the light's view of each picture."""

    depth: Tensor
    camera: Camera
    resolution: int

    def lit(self, points: Tensor, picture: Tensor, bias: float) -> Tensor:
        """Share of light 0..1 that reaches world points given as three rows [3,S]; `picture`: [S]."""
        turn = self.camera.turn.reshape(-1, 9).t().contiguous()
        offset = -rotate(self.camera.turn, self.camera.eye).t().contiguous()
        rows = [row.index_select(0, picture) for row in turn]
        x, y, z = (points[0] * rows[3 * k] + points[1] * rows[3 * k + 1] + points[2] * rows[3 * k + 2]
                   + offset[k].index_select(0, picture) for k in range(3))
        size, scale = self.resolution, self.resolution / (2 * _HALF_SIDE)
        column, row = x * scale + size / 2, y * scale + size / 2
        first, lit = picture * (size * size), torch.zeros_like(x)
        for dx, dy in _TAPS:
            i, j = (column + dx).floor().long(), (row + dy).floor().long()
            within = (i >= 0) & (i < size) & (j >= 0) & (j < size)
            occluder = self.depth[first + j.clamp(0, size - 1) * size + i.clamp(0, size - 1)]
            lit = lit + ((z - occluder < bias) | ~within)
        return lit / len(_TAPS)


def cast_shadows(primitives: Primitives, light: Light, picture: Tensor, height: int, width: int) -> ShadowMap:
    """`picture`: [N] which picture each figure is in."""
    size = max(48, min(160, max(height, width)))
    count = len(light.direction)
    eye = light.direction * _DISTANCE + light.direction.new_tensor([0.0, _HEIGHT, 0.0])
    focal = eye.new_full((count,), size / (2 * _HALF_SIDE))
    camera = Camera(eye, look_along(-light.direction), focal, eye.new_full((count, 2), size / 2),
                    orthographic=True)
    table = build_table(primitives, camera.select(picture), picture, size, size)
    depth, _ = nearest(cast_rays(table, size, size), count * size * size)
    return ShadowMap(depth, camera, size)
