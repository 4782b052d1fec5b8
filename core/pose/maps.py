"""Pose maps and pose masks as Deformable GAN (Siarohin et al. 2018) and PG2 (Ma et al. 2017) publish them.

Joints here are [...,18,2] x, y of pixels whose centres lie at integers, NaN = missing (see `pixel_joints`).
The published weights of either system only work with these very numbers, quirks included.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .pose import LIMBS, Pose

# PG2 draws these 23 limbs: OpenPose's, a ring round trunk and head, and the line between the ears.
MASK_LIMBS = (*LIMBS, (1, 16), (1, 17), (8, 11), (11, 5), (8, 2), (16, 17))
_CLOSING = 5                                               # pixels
_HALF_WIDTH, _DISC = 4.0, 4.0                              # of the polygon mask


def pixel_joints(pose: Pose, height: int, width: int) -> Tensor:
    """[18,2] the pose in a picture of this size; pixel centres at integers, NaN = missing."""
    scaled = pose.scaled(width, height)
    return torch.where(pose.present[:, None], scaled.keypoints - 0.5, torch.nan)


def gaussian_maps(joints: Tensor, height: int, width: int, *, sigma: float = 6.0,
                  stepped: bool = True) -> Tensor:
    """[...,18,H,W] 0..1, Deformable GAN's heat maps; missing joints give zeros.

    `stepped`: joints are rounded to pixels and the exponent to whole numbers, exp(-ceil(d^2 / 2 sigma^2)),
    the staircases the published weights were trained on (integer division in Python 2). False: smooth.
    """
    joints = (joints + 0.5).floor() if stepped else joints
    exponent = _squared_distance(joints, height, width) / (2 * sigma * sigma)
    return torch.nan_to_num(torch.exp(-(exponent.ceil() if stepped else exponent)), nan=0.0)


def disc_maps(joints: Tensor, height: int, width: int, *, radius: int = 4) -> Tensor:
    """[...,18,H,W] 0 or 1, PG2's pose maps: discs round the joints, truncated toward zero; the network takes
    2 * map - 1. Missing joints give zeros."""
    return (_squared_distance(joints.trunc(), height, width) <= radius * radius).float()


def pose_mask(joints: Tensor, height: int, width: int, *, radius: int = 4, closing: int = _CLOSING) -> Tensor:
    """[H,W] bool, PG2's mask of the person for joints [18,2]: discs along 23 limbs, closed by a square.

    A joint without a complete limb adds nothing. `closing`: side of the square in pixels, 1 = none.
    """
    reach = torch.arange(-radius, radius + 1)
    disc = torch.cartesian_prod(reach, reach)
    disc = disc[disc.square().sum(1) <= radius * radius]                             # [K,2]
    centres = _limb_points(joints.double(), radius)                                  # [M,2]
    reaches = ((centres >= -radius) & (centres < torch.tensor([width, height]) + radius)).all(1)
    x, y = (centres[reaches][:, None] + disc).flatten(0, 1).T                        # [M*K]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[y[inside], x[inside]] = True
    return _closed(mask, closing)


def polygon_mask(joints: Tensor, height: int, width: int) -> Tensor:
    """[H,W] bool, the mask of Deformable GAN's evaluation for joints [18,2]: 8 pixels wide rectangles along
    the same limbs and discs at all joints, closed by the same square."""
    points = joints.double()
    mask = torch.zeros(height, width, dtype=torch.bool)
    for x, y in points[torch.isfinite(points).all(1)]:
        rows, columns = _around(torch.stack([x, y])[None], _DISC, height, width)
        near = (rows - y).square()[:, None] + (columns - x).square() < _DISC * _DISC
        mask[rows[:, None], columns] |= near
    limbs = points[torch.tensor(MASK_LIMBS)]                                         # [23,2,2]
    along = limbs[:, 1] - limbs[:, 0]
    across = torch.stack([-along[:, 1], along[:, 0]], 1)
    across = _HALF_WIDTH * across / along.norm(dim=1, keepdim=True)                  # NaN without a length
    corners = torch.stack([limbs[:, 0] + across, limbs[:, 0] - across, limbs[:, 1] - across,
                           limbs[:, 1] + across], 1)                                 # [23,4,2]
    for polygon in corners[torch.isfinite(corners).flatten(1).all(1)]:
        rows, columns = _around(polygon, 0.0, height, width)
        mask[rows[:, None], columns] |= inside_polygon(polygon, rows, columns)
    return _closed(mask, _CLOSING)


def inside_polygon(corners: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[h,w] bool: pixels of rows [h] and columns [w] in the polygon of corners [K,2] x, y, by the even-odd
    rule with half-open edges.

    An edge toggles the pixels of the rows from its upper end up to (not including) its lower end that lie
    left of it. In float64, so that ties fall as published.
    """
    start, end = corners.roll(1, dims=0).double()[:, None], corners.double()[:, None]              # [K,1,2]
    (xa, ya), (xb, yb) = start.unbind(-1), end.unbind(-1)                            # each [K,1]
    crosses = ((yb <= rows) & (rows < ya)) | ((ya <= rows) & (rows < yb))            # [K,h]
    at = (xa - xb) * (rows - yb) / (ya - yb) + xb                                    # [K,h]
    toggled = crosses[..., None] & (columns < at[..., None])                         # [K,h,w]
    return toggled.sum(0) % 2 == 1


def _around(points: Tensor, margin: float, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The rows and columns of the picture that points [K,2] and what is within `margin` of them cover."""
    ends = torch.stack([(points.amin(0) - margin).floor(), (points.amax(0) + margin).ceil() + 1])
    (x0, y0), (x1, y1) = ends.clamp(ends.new_tensor(0), ends.new_tensor([width, height])).int().tolist()
    return torch.arange(y0, y1), torch.arange(x0, x1)


def _squared_distance(joints: Tensor, height: int, width: int) -> Tensor:
    """[...,18,H,W] pixels^2 from every pixel to every joint."""
    x, y = joints[..., None].unbind(-2)                                              # [...,18,1]
    columns, rows = (torch.arange(side, device=joints.device) for side in (width, height))
    return (rows - y).square()[..., None] + (columns - x).square()[..., None, :]


def _limb_points(points: Tensor, radius: int) -> Tensor:
    """[M,2] whole pixels: both ends of every complete limb, and points in between a radius apart."""
    centres = [torch.empty(0, 2, dtype=torch.long)]
    for a, b in MASK_LIMBS:
        start, end = points[a], points[b]
        length = math.dist(start.tolist(), end.tolist())
        if math.isnan(length):
            continue
        count = max(1, int(length / radius))
        steps = torch.arange(count + 1, dtype=points.dtype)[:, None]
        line = start + (end - start) * steps / count
        line[-1] = end
        centres.append(line.trunc().long())
    return torch.cat(centres)


def _closed(mask: Tensor, side: int) -> Tensor:
    """Dilated, then eroded by a square, both cut at the border; `side` is odd."""
    grown = F.max_pool2d(mask[None].float(), side, 1, side // 2)
    return -F.max_pool2d(-grown, side, 1, side // 2)[0] > 0
