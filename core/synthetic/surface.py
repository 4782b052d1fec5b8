"""What each pixel shows: position, soft normal, garment coordinates."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .camera import Camera
from .geometry import angle_of
from .primitives import Primitives
from .raycast import Fragments, RayTable

#: Metres over which fragments of one group melt into each other.
_BLEND = .022

#: Three coordinates, [S] each.
Vector = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Surface:
    """S samples that show a figure, in pixel order. Positions and normals are in view coordinates."""

    pixel: Tensor           # [S] int64, flat index into [pictures, height, width]
    picture: Tensor         # [S] int64
    figure: Tensor          # [S] int64
    depth: Tensor           # [S]
    position: Vector
    normal: Vector
    inner: Tensor           # [S] bool
    material: Tensor        # [S] int64
    group: Tensor           # [S] int64
    region: Tensor          # [S] int64, class by shape; painting may change it
    u: Tensor               # [S] metres around the limb
    v: Tensor               # [S] metres along the body
    angle: Tensor           # [S] radians around the limb, 0 = its front
    girth: Tensor           # [S] mean radius of the limb
    front: Tensor           # [S] bool, on the front half of its limb
    footprint: Tensor       # [S] metres that a pixel covers there

    def subset(self, index: Tensor) -> Surface:
        def take(value: Any) -> Any:
            return tuple(map(take, value)) if isinstance(value, tuple) else value.index_select(0, index)

        return Surface(**{name: take(value) for name, value in vars(self).items()})


def find_surface(fragments: Fragments, table: RayTable, primitives: Primitives, camera: Camera,
                 depth: Tensor, winner: Tensor, height: int, width: int) -> Surface:
    """`camera`: one per picture. `depth`, `winner`: see `raycast.nearest`."""
    group = primitives.group.view(-1)[table.slot] + 64 * table.figure                        # [K]
    normals = _soft_normals(fragments, table, group, depth, winner)
    pixel = (winner >= 0).nonzero()[:, 0]
    chosen = winner.index_select(0, pixel)
    row = fragments.row.index_select(0, chosen)
    distance = fragments.depth.index_select(0, chosen)
    picture = torch.div(pixel, height * width, rounding_mode="floor")
    focal = camera.focal.index_select(0, picture)
    x = (fragments.x.index_select(0, chosen) + .5 - camera.centre[:, 0].index_select(0, picture)) / focal
    y = (fragments.y.index_select(0, chosen) + .5 - camera.centre[:, 1].index_select(0, picture)) / focal
    position = (x * distance, y * distance, distance)
    qx, qy, qz = _local(table, fragments, chosen)

    def attribute(values: Tensor) -> Tensor:
        return values.reshape(-1)[table.slot].index_select(0, row)

    length = table.shape[0].index_select(0, row)
    share = (qy / length.clamp(min=1e-5)).clamp(-.4, 1.4)
    first, last = attribute(primitives.along[..., 0]), attribute(primitives.along[..., 1])
    girth = ((table.shape[1] + table.shape[2]) * .5).clamp(min=.03).index_select(0, row)
    angle = angle_of(qx, qz)
    return Surface(pixel, picture, table.figure.index_select(0, row), distance, position,
                   tuple(n.index_select(0, pixel) for n in normals), fragments.inner.index_select(0, chosen),
                   attribute(primitives.material), attribute(primitives.group), attribute(primitives.region),
                   angle * girth, first + (last - first) * share, angle, girth, qz > 0, distance / focal)


def _local(table: RayTable, fragments: Fragments, index: Tensor) -> Vector:
    """Positions of the given fragments in their primitives' frames."""
    row = fragments.row.index_select(0, index)
    x = (fragments.x.index_select(0, index) - table.box[0].index_select(0, row)).float()
    y = (fragments.y.index_select(0, index) - table.box[1].index_select(0, row)).float()
    depth = fragments.depth.index_select(0, index)
    return tuple(o + depth * d for o, d in zip(*table.rays(row, x, y), strict=True))


def _soft_normals(fragments: Fragments, table: RayTable, group: Tensor, depth: Tensor,
                  winner: Tensor) -> Vector:
    """[pixels] x 3, unit length where a figure shows.

    The mean of the normals of all fragments of the winner's group, weighted by exp(-distance behind it / 22
    mm): without it a figure is a pile of capsules.
    """
    fragment_group = group.index_select(0, fragments.row)
    best = winner.index_select(0, fragments.pixel)
    behind = fragments.depth - depth.index_select(0, fragments.pixel)
    used = ((fragment_group == fragment_group.index_select(0, best)) & (behind < 3.5 * _BLEND)).nonzero()[:,
                                                                                                          0]
    nx, ny, nz = _normals(fragments, table, used)
    weight = (behind.index_select(0, used) * (-1 / _BLEND)).exp() * (nx * nx + ny * ny + nz * nz
                                                                     + 1e-12).rsqrt()
    pixel = fragments.pixel.index_select(0, used)
    sums = [depth.new_zeros(depth.shape).index_add_(0, pixel, n * weight) for n in (nx, ny, nz)]
    scale = (sums[0] * sums[0] + sums[1] * sums[1] + sums[2] * sums[2] + 1e-12).rsqrt()
    return tuple(n * scale for n in sums)


def _normals(fragments: Fragments, table: RayTable, index: Tensor) -> Vector:
    """Normals of the given fragments in view coordinates, not normalised."""
    row = fragments.row.index_select(0, index)
    qx, qy, qz = _local(table, fragments, index)
    length, first, last, sine, tangent, _, low, high, _ = (q.index_select(0, row) for q in table.shape)
    side, beyond = (qy > low) & (qy < high), qy >= high
    cosine = (1 - sine * sine).sqrt()
    inverse = 1 / torch.where(beyond, last, first)
    across = torch.where(side, cosine * (qx * qx + qz * qz + 1e-12).rsqrt(), inverse)
    flip = torch.where(fragments.inner.index_select(0, index), -1.0, 1.0)
    local = (qx * across * flip, torch.where(side, sine, (qy - torch.where(beyond, length, 0.0)) * inverse)
             * flip, qz * across * flip)
    axes = [a.index_select(0, row) for a in table.axes]
    return tuple(local[0] * axes[k] + local[1] * axes[3 + k] + local[2] * axes[6 + k] for k in range(3))
