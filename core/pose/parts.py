"""How the parts of a person move from one pose to another: affine transforms and masks (Deformable GAN).

"Deformable GANs for Pose-based Human Image Generation", Siarohin et al. 2018, arXiv 1801.00055, section 3.2,
as the published program computes it. Everything is batched and runs on the joints' device, in float64.

Joints are [B,18,2] x, y of pixels whose centres lie at integers, NaN = missing (`pose.maps.pixel_joints`).
Ten parts: the torso (all of the picture), the head, thighs, shins, upper arms, forearms; right before left.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]                                     # height, width
TORSO = (8, 11, 5, 2)                                      # right hip, left hip, left and right shoulder
SHOULDERS = (2, 5)
HEAD = (0, 14, 15, 16, 17)                                 # nose, eyes, ears
KNEES = (9, 12)
LIMBS = ((8, 9), (11, 12), (9, 10), (12, 13), (2, 3), (5, 6), (3, 4), (6, 7))
MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)                        # the limb of the other side
# How far a limb's rectangle reaches beyond its far joint: hands and feet are longer, and more so in masks.
_REACH_FIT = (0.1, 0.1, 0.3, 0.3, 0.1, 0.1, 0.3, 0.3)
_REACH_MASK = (0.1, 0.1, 0.5, 0.5, 0.1, 0.1, 0.5, 0.5)
_HALF_WIDTH = 0.2                                          # of a limb, and
_HEAD_RADIUS = 0.4                                         # of the head's box, in trunk lengths
_FLAT = 1e-10                                              # spread of points that lie on one line
NO_TRANSFORM = ((1.0, 0.0, 1000.0), (0.0, 1.0, 1000.0))    # samples nothing but zeros


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a target picture come from, for K parts.

    `transforms`: [B,K,2,3] float32, target pixel (x, y, 1) -> source pixel. `masks`: [B,K,H,W] bool, the
    target pixels of each part.
    """

    transforms: Tensor
    masks: Tensor

    @property
    def first(self) -> Geometry:
        """The first part alone."""
        return Geometry(self.transforms[:, :1], self.masks[:, :1])

    def sources(self, size: Size) -> tuple[Tensor, Tensor]:
        """Per target pixel of maps of `size`: the nearest source pixel's number, and whether the part shows
        it: the mask is there and the source pixel exists. Both [B,K,h*w].

        Half pixels round away from zero, as published: whole translations meet them at reduced sizes.
        """
        x, y = (torch.arange(side, device=self.masks.device, dtype=torch.float32) for side in size[::-1])
        matrix = self.transforms.movedim((2, 3), (0, 1))[..., None, None]          # [2,3,B,K,1,1]
        number, inside = _nearest(matrix, x, y[:, None], size, self._step(size))   # [B,K,h,w]
        return number.flatten(2), inside.flatten(2) & self.masks_at(size)

    def spots(self, size: Size) -> tuple[Tensor, Tensor, Tensor]:
        """What `sources` says of the parts behind the first, where they show something: the sample's number,
        the target pixel's, the source pixel's. All [N]."""
        step, parts = self._step(size), self.masks.shape[1] - 1
        sample, part, row, column = self.masks[:, 1:, ::step, ::step].nonzero().unbind(1)
        matrices = self.transforms[:, 1:].permute(2, 3, 0, 1).reshape(6, -1)       # [6,B*(K-1)]
        matrix = matrices.index_select(1, sample * parts + part).view(2, 3, -1)    # [2,3,N]
        number, inside = _nearest(matrix, column, row, size, step)
        shown = inside.nonzero()[:, 0]
        return sample[shown], (row * size[1] + column)[shown], number[shown]

    def masks_at(self, size: Size) -> Tensor:
        """[B,K,h*w] bool, the masks at `size`: the upper left pixel of each block."""
        step = self._step(size)
        return self.masks[:, :, ::step, ::step].flatten(2)

    def _step(self, size: Size) -> int:
        return self.masks.shape[2] // size[0]


def part_geometry(source: Tensor, target: Tensor, size: Size) -> Geometry:
    """The ten parts of two poses [B,18,2] in pictures of `size`.

    Raises ValueError when a shoulder or hip is missing.
    """
    source, target = checked(source, "source"), checked(target, "target")
    return Geometry(part_transforms(source, target).float(), part_masks(target, size))


def whole_geometry(source: Tensor, target: Tensor, size: Size) -> Geometry:
    """One transform for all of the picture, by the torso and the knees that both poses have (K = 1).

    Raises ValueError when a shoulder or hip is missing.
    """
    source, target = checked(source, "source"), checked(target, "target")
    joints = [*TORSO, *KNEES]
    transforms = fitted(target[:, None, joints], source[:, None, joints])
    masks = torch.ones(len(target), 1, *size, dtype=torch.bool, device=target.device)
    return Geometry(transforms.float(), masks)


def checked(joints: Tensor, name: str) -> Tensor:
    """[B,18,2] in float64, whole joints missing where x or y is; ValueError without shoulders and hips."""
    joints = joints.double()
    joints = torch.where(joints.isfinite().all(-1, keepdim=True), joints, torch.nan)
    missing = joints[:, list(TORSO)].isnan().flatten(1).any(1)
    if missing.any():
        which = f"; pose {int(missing.nonzero()[0]) + 1} lacks some" if len(joints) > 1 else ""
        raise ValueError(f"The {name} pose needs both shoulders and both hips{which}.")
    return joints


def part_transforms(source: Tensor, target: Tensor) -> Tensor:
    """[B,10,2,3] float64, target pixel (x, y, 1) -> source pixel, for poses of `checked`.

    A limb that the source lacks comes from the limb of its other side. Parts without a counterpart get
    `NO_TRANSFORM`, and so do limbs without a length in the target.
    """
    head = [*HEAD, *SHOULDERS]
    theirs, ours = (rectangles(joints, _REACH_FIT) for joints in (target, source))           # [B,8,4,2]
    ours = torch.where(ours.isnan(), ours[:, list(MIRRORED)], ours)
    points = [torch.cat([_padded(joints[:, list(TORSO)])[:, None], joints[:, None, head], _padded(limbs)], 1)
              for joints, limbs in ((target, theirs), (source, ours))]             # 2 of [B,10,7,2]
    return fitted(*points)


def part_masks(target: Tensor, size: Size) -> Tensor:
    """[B,10,H,W] bool for a pose of `checked`: all, the head's box, the limbs' rectangles."""
    rows, columns = (torch.arange(side, device=target.device) for side in size)
    centre = target[:, list(HEAD)].nanmean(1).trunc()                              # [B,2], NaN without a head
    radius = (_HEAD_RADIUS * trunk_length(target)).trunc()[:, None]                # [B,1]
    across, down = (((side >= middle[:, None] - radius) & (side < middle[:, None] + radius))
                    for side, middle in ((columns, centre[:, 0]), (rows, centre[:, 1])))
    head = down[:, None, :, None] & across[:, None, None, :]                       # [B,1,H,W]
    limbs = inside_polygons(rectangles(target, _REACH_MASK), rows, columns)        # [B,8,H,W]
    return torch.cat([torch.ones_like(head), head, limbs], 1)


def trunk_length(joints: Tensor) -> Tensor:
    """[B,18,2] -> [B], the root mean square of the two distances from a hip to the shoulder above it."""
    sides = joints[:, [8, 11]] - joints[:, list(SHOULDERS)]
    return (sides.square().sum((1, 2)) / 2).sqrt()


def rectangles(joints: Tensor, reach: Sequence[float]) -> Tensor:
    """[B,18,2] -> [B,8,4,2], the corners of every limb's rectangle; NaN where a joint is missing.

    `reach`: per limb, how far it goes beyond the far joint, in limb lengths. A limb without a length has its
    corners on a diagonal of two pixels.
    """
    near, far = joints[:, [limb[0] for limb in LIMBS]], joints[:, [limb[1] for limb in LIMBS]]  # [B,8,2]
    near = near + 0.1 * (near - far)
    far = far + joints.new_tensor(reach)[:, None] * (far - near)
    along = near - far
    length = along.norm(dim=-1, keepdim=True)                                      # [B,8,1]
    across = torch.stack([-along[..., 1], along[..., 0]], -1) / length
    half = torch.where(length == 0, 1.0, _HALF_WIDTH * trunk_length(joints)[:, None, None] * across)
    return torch.stack([near + half, near - half, far - half, far + half], 2)


def inside_polygons(corners: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[...,h,w] bool: pixels of rows [h] and columns [w] in polygons of corners [...,K,2] x, y.

    Even-odd rule with half-open edges: an edge toggles the pixels above it in the columns from its left end
    up to (not including) its right end.
    """
    start, end = corners.roll(1, dims=-2), corners
    (xa, ya), (xb, yb) = start[..., None].unbind(-2), end[..., None].unbind(-2)    # each [...,K,1]
    crosses = ((xb <= columns) & (columns < xa)) | ((xa <= columns) & (columns < xb))       # [...,K,w]
    at = (ya - yb) * (columns - xb) / (xa - xb) + yb                               # [...,K,w]
    toggled = crosses[..., None, :] & (rows[:, None] < at[..., None, :])           # [...,K,h,w]
    return reduce(torch.logical_xor, toggled.unbind(-3))


def fitted(target: Tensor, source: Tensor) -> Tensor:
    """Affine transforms [...,2,3] that take target points [...,N,2] to source points by total least squares.

    Pairs with a NaN do not count. Too few target points, or points on one line, give `NO_TRANSFORM`.
    Both sides are centred and scaled to a root mean square of sqrt 2 (Hartley 1997); the smallest eigenvalue
    of the normal equations, zero for an exact fit, is what sets this apart from ordinary least squares.
    """
    counted = (target + source).isfinite().all(-1, keepdim=True)                   # [...,N,1]
    (p, p_centre, p_scale), (q, q_centre, q_scale) = (_normalised(side, counted) for side in (target, source))
    spread, moment = p.mT @ p, p.mT @ q                                            # [...,2,2]
    reduced = spread - _smallest(spread, moment, q) * torch.eye(2).to(spread)
    (a, b), (c, d) = (row.unbind(-1) for row in reduced.unbind(-2))
    determinant = a * d - b * c                                                    # [...]
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    linear = (adjugate @ moment / determinant[..., None, None]).mT * (p_scale / q_scale)
    shift = q_centre.mT - linear @ p_centre.mT                                     # [...,2,1]
    found = torch.cat([linear, shift], -1)                                         # [...,2,3]
    usable = (determinant > _FLAT) & found.isfinite().flatten(-2).all(-1)
    return torch.where(usable[..., None, None], found, found.new_tensor(NO_TRANSFORM))


def _normalised(points: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centred and scaled [...,N,2] with zeros for what does not count, the centre and scale [...,1,*]."""
    number = counted.sum(-2, keepdim=True)                                         # [...,1,1]
    centre = torch.where(counted, points, 0).sum(-2, keepdim=True) / number
    centred = torch.where(counted, points - centre, 0)
    scale = (2 * number / centred.square().sum((-2, -1), keepdim=True)).sqrt()
    return centred * scale, centre, scale


def _smallest(spread: Tensor, moment: Tensor, q: Tensor) -> Tensor:
    """[...,1,1] the smallest eigenvalue of the 5x5 normal equations of a fit without translation."""
    gx, gy = moment[..., :1], moment[..., 1:]                                      # each [...,2,1]
    zeros, total = torch.zeros_like(spread), q.square().sum((-2, -1), keepdim=True)
    normal = torch.cat([torch.cat([spread, zeros, gx], -1), torch.cat([zeros, spread, gy], -1),
                        torch.cat([gx.mT, gy.mT, total], -1)], -2)                 # [...,5,5]
    return torch.linalg.eigvalsh(normal.nan_to_num(0, 0, 0))[..., :1, None]


def _padded(points: Tensor) -> Tensor:
    """[...,N,2] -> [...,7,2] with NaN behind: as many points as the head has."""
    return F.pad(points, (0, 0, 0, len(HEAD) + len(SHOULDERS) - points.shape[-2]), value=torch.nan)


def _nearest(matrix: Tensor, x: Tensor, y: Tensor, size: Size, step: int) -> tuple[Tensor, Tensor]:
    """Where target pixels come from: the number of the nearest source pixel in maps of `size`, 0 if there is
    none, and whether there is one. `matrix`: transforms [2,3,...], with x and y broadcast to [...]."""
    height, width = size
    column, row = _rounded(matrix[:, 0] * x + matrix[:, 1] * y + matrix[:, 2] / step)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return torch.where(inside, row * width + column, 0).long(), inside


def _rounded(x: Tensor) -> Tensor:
    """To whole numbers, halves away from zero; exact where adding one half first is not."""
    whole = x.trunc()
    return whole + x.sign() * ((x - whole).abs() >= 0.5)
