"""The one shape everything is made of: the rounded cone, two spheres and the tangent cone between them.

Separate scales along its own x, y and z axes make limbs, ellipsoids, flat hands and brims of it.
"""
from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor

from .geometry import dot, length, normalise, rotate

Number = Tensor | float


class Material(IntEnum):
    SKIN = 0
    FACE = 1
    HAIR = 2
    TOP = 3
    BOTTOM = 4
    HIPS = 5
    SHOE = 6
    BOOT = 7
    HAT = 8
    ACCESSORY = 9
    SEAT = 10


class Group(IntEnum):
    """Primitives of one group melt into each other: their normals are averaged where they meet."""

    TOP = 1
    BOTTOM = 2
    HEAD = 3
    LEFT_ARM = 4
    RIGHT_ARM = 5
    LEFT_LEG = 6
    RIGHT_LEG = 7
    LEFT_SHOE = 8
    RIGHT_SHOE = 9
    HAIR = 10
    HAT = 11
    ACCESSORY = 12
    SEAT = 13


@dataclass(frozen=True, eq=False)
class Primitives:
    """N figures of P slots each, world coordinates in metres.

    Local frame of a slot: origin at `start`, y towards `end`, x the part of `hint` across it, each axis
    divided by its scale. `clip`: (nx, ny, nz, d), local points with n.p > d are cut away; a hollow one has
    no end cap and shows its inside. `along`: texture coordinate at start and end of a limb, metres along the
    body (hip 0, shoulder .46, knee -.42, ankle -.82).
    """

    start: Tensor       # [N,P,3]
    end: Tensor         # [N,P,3]
    hint: Tensor        # [N,P,3]
    radius: Tensor      # [N,P,2] at start and end
    scale: Tensor       # [N,P,3]
    along: Tensor       # [N,P,2]
    clip: Tensor        # [N,P,4]
    region: Tensor      # [N,P] int64
    material: Tensor    # [N,P] int64
    group: Tensor       # [N,P] int64
    hollow: Tensor      # [N,P] bool
    active: Tensor      # [N,P] bool

    def local_axes(self) -> tuple[Tensor, Tensor]:
        """Unit axes as rows [N,P,3,3], and the local length [N,P] of the cone."""
        axis = self.end - self.start
        y = normalise(axis)
        x = normalise(self.hint - dot(self.hint, y)[..., None] * y)
        return torch.stack([x, y, torch.linalg.cross(x, y)], -2), length(axis) / self.scale[..., 1]


@dataclass(frozen=True)
class Part:
    """What a primitive belongs to."""

    region: int | Tensor
    material: Material
    group: Group


class Builder:
    """Collects primitives slot by slot for N figures."""

    def __init__(self, like: Tensor) -> None:
        self._like = like                                   # [N,...]: gives N and the device
        self._slots: list[dict[str, Tensor]] = []

    def _column(self, value: Number) -> Tensor:
        count = self._like.shape[:1]
        return value.float() if isinstance(value, Tensor) else self._like.new_full(count, float(value))

    def _columns(self, values: tuple[Number, ...]) -> Tensor:
        return torch.stack([self._column(value) for value in values], -1)

    def _integers(self, value: int) -> Tensor:
        return torch.full(self._like.shape[:1], int(value), device=self._like.device)

    def add(self, part: Part, start: Tensor, end: Tensor, radius: tuple[Number, Number], hint: Tensor, *,
            scale: tuple[Number, Number, Number] = (1, 1, 1), along: tuple[Number, Number] = (0, 1),
            clip: tuple[Number, Number, Number, Number] = (0, 0, 0, 1), hollow: bool = False,
            active: Tensor | None = None) -> None:
        """`start`, `end`, `hint`: [N,3]; numbers or [N] elsewhere. `active`: [N] bool, None = always."""
        region = part.region if isinstance(part.region, Tensor) else self._integers(part.region)
        self._slots.append({
            "start": start, "end": end, "hint": hint, "radius": self._columns(radius),
            "scale": self._columns(scale), "along": self._columns(along), "clip": self._columns(clip),
            "region": region, "material": self._integers(part.material), "group": self._integers(part.group),
            "hollow": self._integers(hollow) > 0,
            "active": self._integers(1) > 0 if active is None else active,
        })

    def sphere(self, part: Part, centre: Tensor, radius: Number, frame_axes: Tensor, *,
               scale: tuple[Number, Number, Number] = (1, 1, 1),
               clip: tuple[Number, Number, Number, Number] = (0, 0, 0, 1),
               active: Tensor | None = None) -> None:
        """An ellipsoid with the axes of a frame [N,3,3]; its tiny cone axis keeps the scales in place."""
        tip = centre + frame_axes[:, :, 1] * 1e-4
        self.add(part, centre, tip, (radius, radius), frame_axes[:, :, 0], scale=scale, clip=clip,
                 active=active)

    def build(self) -> Primitives:
        return Primitives(**{f.name: torch.stack([slot[f.name] for slot in self._slots], 1)
                             for f in fields(Primitives)})


def in_view(primitives: Primitives, eye: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Seen from `eye` [N,3], turned by `turn` [N,3,3]: start and end [N,P,3], depth third, and the rows
    view -> local [N,P,3,3], divided by the scales.
    """
    axes, _ = primitives.local_axes()
    turn_ = turn[:, None]
    start = rotate(turn_, primitives.start - eye[:, None])
    end = rotate(turn_, primitives.end - eye[:, None])
    rows = torch.stack([rotate(turn_, axes[..., k, :]) for k in range(3)], -2)
    return start, end, rows / primitives.scale[..., None]
