"""Exact intersection of pixel rays with rounded cones, over a flat list of (primitive, pixel) candidates.

A ray is o + t d in a primitive's local frame; t is the depth. Both are linear in the pixel position and one
of them is constant (o in perspective, d in orthographic views), so the discriminants of the cone and of its
two spheres are quadratic polynomials of the pixel position: six coefficients each, found once per primitive.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .camera import Camera
from .primitives import Primitives, in_view

FAR = 1e9


@dataclass(frozen=True, eq=False)
class Fragments:
    """M hits of rays with primitives, ordered by figure, slot and pixel.

    `row`: row of the ray table. `pixel`: flat index into [pictures, height, width].
    """

    depth: Tensor       # [M]
    pixel: Tensor       # [M] int64
    row: Tensor         # [M] int64
    inner: Tensor       # [M] bool, the inside of a hollow garment
    x: Tensor           # [M] pixel column
    y: Tensor           # [M] pixel row


@dataclass(frozen=True, eq=False)
class RayTable:
    """What the ray casting knows of the K slots that show, one row per quantity.

    `fixed`: the local vector that all rays share, their origin (direction in orthographic views); `moving`:
    the other one as linear forms (constant, per column, per row) of x, y, z; `discriminants`: of cone, start
    sphere and end sphere. Both are relative to the pixel centre at the box corner. `shape`: length, radii,
    sine, tangent, cone radius at 0, lowest and highest y of the cone, hollow.
    """

    slot: Tensor            # [K] int64, index into N*P
    figure: Tensor          # [K] int64
    picture: Tensor         # [K] int64
    axes: Tensor            # [9,K] float32 view -> local, row by row
    box: Tensor             # [4,K] int64: left, top, right, bottom
    fixed: Tensor           # [3,K] float32
    moving: Tensor          # [9,K] float32
    discriminants: Tensor   # [18,K] float32
    shape: Tensor           # [9,K] float32
    clip: Tensor            # [4,K] float32
    orthographic: bool

    def rays(self, row: Tensor, x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Local origins and directions, three [M] each, of rays through box positions x, y of some rows."""
        fixed = [q.index_select(0, row) for q in self.fixed]
        moving = []
        for k in range(0, 9, 3):
            constant, per_column, per_row = (q.index_select(0, row) for q in self.moving[k:k + 3])
            moving.append(constant + x * per_column + y * per_row)
        return (moving, fixed) if self.orthographic else (fixed, moving)


def _product(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    """Linear forms (1, x, y) multiplied: quadratic (1, x, y, xx, xy, yy)."""
    return [a[0] * b[0], a[0] * b[1] + a[1] * b[0], a[0] * b[2] + a[2] * b[0], a[1] * b[1],
            a[1] * b[2] + a[2] * b[1], a[2] * b[2]]


def _sum(*terms: list[Tensor]) -> list[Tensor]:
    return [sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True)]


def _scaled(a: list[Tensor], factor: Tensor) -> list[Tensor]:
    return [part * factor for part in a]


def _screen_box(start: Tensor, end: Tensor, axes: Tensor, radius: Tensor, camera: Camera, height: int,
                width: int) -> Tensor:
    """[N,P,4] left, top, right, bottom in pixels within the picture. `axes`: [N,P,3,3] rows view -> local."""
    size = (axes * axes).sum(-1)                                            # [N,P,3] 1 / scale^2
    reach = ((axes[..., :2] / size[..., None]) ** 2).sum(-2).sqrt()             # [N,P,2] of a unit sphere
    corners = []
    for point, k in ((start, 0), (end, 1)):
        extent = reach * radius[..., k : k + 1]
        depth_extent = (radius[..., k] / size.sqrt().amin(-1))[..., None]
        if camera.orthographic:
            scale = camera.focal[:, None, None]
        else:
            near = (point[..., 2:3] - depth_extent).clamp(min=.3)
            scale = camera.focal[:, None, None] / near
            extent = extent + (point[..., :2].abs() * depth_extent / point[..., 2:3].clamp(min=.3)) * 1.0
        middle = point[..., :2] * (scale if camera.orthographic else camera.focal[:, None, None]
                                   / point[..., 2:3].clamp(min=.3))
        middle = middle + camera.centre[:, None]
        corners.append((middle - extent * scale - .6, middle + extent * scale + .6))
    low = torch.minimum(corners[0][0], corners[1][0]).floor()
    high = torch.maximum(corners[0][1], corners[1][1]).ceil()
    limit = low.new_tensor([width, height])
    return torch.cat([low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)], -1).long()


def build_table(primitives: Primitives, camera: Camera, picture: Tensor, height: int, width: int) -> RayTable:
    """`camera`: one view per figure [N]; `picture`: [N] which picture a figure is in."""
    count, slots = primitives.active.shape
    start, end, axes = in_view(primitives, camera.eye, camera.turn)
    box = _screen_box(start, end, axes, primitives.radius, camera, height, width)
    shown = primitives.active & (box[..., 2] > box[..., 0]) & (box[..., 3] > box[..., 1])
    slot = shown.view(-1).nonzero()[:, 0]
    figure = torch.div(slot, slots, rounding_mode="floor")

    def rows(values: Tensor) -> Tensor:
        return values.reshape(count * slots, -1).index_select(0, slot).t()

    corner = rows(box)
    axes64, start64 = rows(axes).double(), rows(start).double()              # [9,K], [3,K]
    focal = camera.focal.double()[figure]
    x0 = (corner[0] + .5 - camera.centre.double()[figure, 0]) / focal
    y0 = (corner[1] + .5 - camera.centre.double()[figure, 1]) / focal
    fixed, moving = [], []
    for k in range(3):
        ax, ay, az = axes64[3 * k], axes64[3 * k + 1], axes64[3 * k + 2]
        offset = -(ax * start64[0] + ay * start64[1] + az * start64[2])
        across = ax * x0 + ay * y0
        fixed.append(az if camera.orthographic else offset)
        moving.append([across + (offset if camera.orthographic else az), ax / focal, ay / focal])
    shape = _shape(primitives, rows)
    still = [[value, torch.zeros_like(value), torch.zeros_like(value)] for value in fixed]
    origin, direction = (moving, still) if camera.orthographic else (still, moving)
    polynomials = _discriminants(origin, direction, shape, camera.orthographic)
    return RayTable(slot, figure, picture[figure], rows(axes).contiguous(), corner.contiguous(),
                    torch.stack(fixed).float(),
                    torch.stack([part for form in moving for part in form]).float(), polynomials.float(),
                    shape.float(), rows(primitives.clip).contiguous(), camera.orthographic)


def _shape(primitives: Primitives, rows) -> Tensor:
    _, length = primitives.local_axes()
    length = rows(length)[0].double()
    first, last = rows(primitives.radius).double()
    sine = ((first - last) / length.clamp(min=1e-6)).clamp(-.97, .97)
    cosine = (1 - sine * sine).sqrt()
    hollow = rows(primitives.hollow)[0].double()
    low, high = first * sine, length + last * sine
    return torch.stack([length, first, last, sine, sine / cosine, first / cosine, low, high, hollow])


def _discriminants(origin: list, direction: list, shape: Tensor, orthographic: bool) -> Tensor:
    """[18,K] float64: positive where a ray meets the infinite cone, the start sphere, the end sphere."""
    length, first, last, _, tangent, base, *_ = shape
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    # The cone's radius at the height where the ray starts.
    slope = [base - tangent * oy[0], -tangent * oy[1], -tangent * oy[2]]
    minus = -torch.ones_like(length)
    a2 = _sum(_product(dx, dx), _product(dz, dz), _scaled(_product(dy, dy), -tangent * tangent))
    a1 = _sum(_product(ox, dx), _product(oz, dz), _scaled(_product(slope, dy), tangent))
    a0 = _sum(_product(ox, ox), _product(oz, oz), _scaled(_product(slope, slope), minus))
    found = [_discriminant(a2, a1, a0, orthographic)]
    dd = _sum(_product(dx, dx), _product(dy, dy), _product(dz, dz))
    for height, radius in ((torch.zeros_like(length), first), (length, last)):
        py = [oy[0] - height, oy[1], oy[2]]
        od = _sum(_product(ox, dx), _product(py, dy), _product(oz, dz))
        oo = _sum(_product(ox, ox), _product(py, py), _product(oz, oz))
        oo = [oo[0] - radius * radius, *oo[1:]]
        found.append(_discriminant(dd, od, oo, orthographic))
    return torch.cat(found)


def _discriminant(a2: list, a1: list, a0: list, orthographic: bool) -> Tensor:
    """a1^2 - a2 a0 as a quadratic [6,K]: a1 is linear, and one of a2, a0 is constant."""
    constant, varying = (a2[0], a0) if orthographic else (a0[0], a2)
    return torch.stack(_sum(_product(a1[:3], a1[:3]), _scaled(varying, -constant)))


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Counts [K] -> for each of their sum: which entry it belongs to, and its number within."""
    total = int(counts.sum())
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts,
                                    output_size=total)
    first = counts.cumsum(0) - counts
    return owner, torch.arange(total, device=counts.device) - first.index_select(0, owner)


def _candidates(table: RayTable) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Rows of the table, place in the box (x, y), and the three discriminants, where any is positive."""
    left, top, right, bottom = table.box
    owner, row = _expand(bottom - top)                                       # one entry per row of a box
    y = row.float()
    line = []                                               # constant, x, xx of each polynomial in this row
    for k in range(3):
        c0, cx, cy, cxx, cxy, cyy = (c.index_select(0, owner) for c in table.discriminants[6 * k : 6 * k + 6])
        line.append((c0 + y * (cy + y * cyy), cx + y * cxy, cxx))
    entry, column = _expand((right - left).index_select(0, owner))
    x = column.float()
    values = []
    for c0, cx, cxx in line:
        value = cxx.index_select(0, entry).mul_(x).add_(cx.index_select(0, entry)).mul_(x)
        values.append(value.add_(c0.index_select(0, entry)))
    keep = ((values[0] > 0) | (values[1] > 0) | (values[2] > 0)).nonzero()[:, 0]
    entry = entry.index_select(0, keep)
    values = [value.index_select(0, keep) for value in values]
    return owner.index_select(0, entry), x.index_select(0, keep), y.index_select(0, entry), values


def cast_rays(table: RayTable, height: int, width: int) -> Fragments:
    """The nearest hit of every candidate ray with its own primitive.

    A rounded cone is convex: a ray enters it once, through its side or through one of its ends.
    """
    row, x, y, (cone, first, last) = _candidates(table)
    origin, direction = table.rays(row, x, y)
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    length, _, _, _, tangent, base, low, high, hollow = (q.index_select(0, row) for q in table.shape)
    a1 = ox * dx + oz * dz
    od, across = a1 + oy * dy, dx * dx + dz * dz
    a1 = a1 + tangent * dy * (base - tangent * oy)
    a2 = across - (tangent * dy) ** 2
    inverse, root = 1 / torch.where(a2.abs() < 1e-9, 1e-9, a2), cone.clamp(min=0).sqrt()
    side = (-a1 - root) * inverse
    side_y = oy + side * dy
    depth = torch.where((cone > 0) & (side_y > low) & (side_y < high), side, FAR)
    dd = 1 / (across + dy * dy)
    end = (-od - first.clamp(min=0).sqrt()) * dd
    depth = torch.where((first > 0) & (oy + end * dy <= low + 1e-4) & (end < depth), end, depth)
    end = (length * dy - od - last.clamp(min=0).sqrt()) * dd
    depth = torch.where((last > 0) & (hollow < .5) & (oy + end * dy >= high - 1e-4) & (end < depth), end,
                        depth)
    depth = torch.where(_kept(table, row, origin, direction, depth), depth, FAR)

    inner = torch.zeros_like(depth, dtype=torch.bool)
    index = ((depth >= FAR) & (hollow > .5) & (cone > 0)).nonzero()[:, 0]     # may see a garment's inside
    back = ((root - a1) * inverse).index_select(0, index)
    back_y = oy.index_select(0, index) + back * dy.index_select(0, index)
    within = (back_y > low.index_select(0, index)) & (back_y < high.index_select(0, index))
    origin, direction = ([q.index_select(0, index) for q in part] for part in (origin, direction))
    seen = within & _kept(table, row.index_select(0, index), origin, direction, back)
    inner.index_copy_(0, index, seen)
    depth.index_copy_(0, index, torch.where(seen, back, FAR))

    hit = ((depth < FAR) & (depth > 0)).nonzero()[:, 0]
    row, x, y = (q.index_select(0, hit) for q in (row, x, y))
    x, y = x.long() + table.box[0].index_select(0, row), y.long() + table.box[1].index_select(0, row)
    pixel = (table.picture.index_select(0, row) * height + y) * width + x
    return Fragments(depth[hit], pixel, row, inner[hit], x, y)


def _kept(table: RayTable, row: Tensor, origin: list[Tensor], direction: list[Tensor],
          depth: Tensor) -> Tensor:
    """[M] bool: the point at `depth` is not clipped away."""
    nx, ny, nz, limit = (q.index_select(0, row) for q in table.clip)
    x, y, z = (o + depth * d for o, d in zip(origin, direction, strict=True))
    return x * nx + y * ny + z * nz <= limit


def nearest(fragments: Fragments, pixels: int) -> tuple[Tensor, Tensor]:
    """Depth buffer [pixels] (FAR where nothing was hit) and the index of the nearest fragment (-1).

    Equal depths go to the lowest index: depth bits and index are compared as one 64-bit number.
    """
    index = torch.arange(len(fragments.depth), device=fragments.depth.device)
    key = (fragments.depth.view(torch.int32).long() << 32) | index
    empty = torch.iinfo(torch.int64).max
    best = torch.full((pixels,), empty, device=key.device).scatter_reduce_(0, fragments.pixel, key, "amin")
    found = best != empty
    winner = torch.where(found, best & 0xFFFFFFFF, -1)
    depth = torch.where(found, (best >> 32).int().view(torch.float32), FAR)
    return depth, winner
