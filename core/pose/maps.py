"""Pose maps and pose masks as Deformable GAN (Siarohin et al. 2018) and PG2 (Ma et al. 2017) publish them.

Joints here are [...,18,2] x, y of pixels whose centres lie at integers, NaN = missing (see `pixel_joints`).
The published weights of either system only work with these very numbers, quirks included.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import inside_polygons
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
    """[...,H,W] bool, PG2's mask of people of joints [...,18,2]: discs along 23 limbs, closed by a square.

    A joint without a complete limb adds nothing. `closing`: side of the square in pixels, 1 = none.
    """
    points = joints.double().reshape(-1, *joints.shape[-2:])                         # [B,18,2]
    rows, columns = height + 2 * radius, width + 2 * radius                          # of discs in sight
    x, y = (_limb_points(points, height, width, radius).trunc() + radius).unbind(-1)              # [B,M]
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    places = torch.where(inside, y * columns + x, rows * columns).long()             # the last is nowhere
    none = torch.zeros(len(points), rows * columns + 1, dtype=torch.bool, device=joints.device)
    centres = none.scatter(1, places, True)[:, :-1].unflatten(1, (rows, columns))
    reach = range(-radius, radius + 1)
    mask = _any(centres[:, radius + dy:, radius + dx:][:, :height, :width]
                for dy in reach for dx in reach if dx * dx + dy * dy <= radius * radius)           # [B,H,W]
    return _closed(mask, closing).view(*joints.shape[:-2], height, width)


def polygon_mask(joints: Tensor, height: int, width: int) -> Tensor:
    """[...,H,W] bool, the mask of Deformable GAN's evaluation for joints [...,18,2]: 8 pixels wide rectangles
    along the same limbs and discs at all joints, closed by the same square."""
    points = joints.double().reshape(-1, *joints.shape[-2:])                         # [B,18,2]
    limbs = points[:, torch.tensor(MASK_LIMBS)]                                      # [B,23,2,2]
    start, end = limbs.unbind(2)
    along = end - start
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    across = _HALF_WIDTH * across / along.norm(dim=-1, keepdim=True)                 # NaN without a length
    corners = torch.stack([start + across, start - across, end - across, end + across], 2)       # [B,23,4,2]
    columns, rows = (torch.arange(side).to(points) for side in (width, height))
    discs = _any(_squared_distance(point, height, width) < _DISC * _DISC for point in points.unbind(1))
    drawn = _any(inside_polygons(polygon.flip(-1), columns, rows).mT for polygon in corners.unbind(1))
    return _closed(discs | drawn, _CLOSING).view(*joints.shape[:-2], height, width)


def _squared_distance(joints: Tensor, height: int, width: int) -> Tensor:
    """[...,18,H,W] pixels^2 from every pixel to every joint."""
    x, y = joints[..., None].unbind(-2)                                              # [...,18,1]
    columns, rows = (torch.arange(side, device=joints.device) for side in (width, height))
    return (rows - y).square()[..., None] + (columns - x).square()[..., None, :]


def _limb_points(points: Tensor, height: int, width: int, radius: int) -> Tensor:
    """[B,18,2] -> [B,23*M,2], what a limb has of points a radius apart within reach of the picture, its ends
    among them; NaN for incomplete limbs. Points may come twice."""
    start, end = points[:, torch.tensor(MASK_LIMBS)][:, :, :, None].unbind(2)         # each [B,23,1,2]
    along = end - start
    count = (along.norm(dim=-1, keepdim=True) / radius).floor().clamp(min=1)         # [B,23,1,1]
    edges = points.new_tensor([[-radius - 1, -radius - 1], [width + radius, height + radius]])
    enters = ((edges - start) / along).amin(2, keepdim=True).amax(3, keepdim=True)   # part of the limb
    most = math.ceil(math.dist(*edges.tolist()) / radius) + 3
    steps = torch.arange(most, device=points.device)[:, None]                        # [M,1]
    steps = (((enters.nan_to_num() * count).floor() - 1).clamp(min=0) + steps).minimum(count)    # [B,23,M,1]
    return torch.where(steps == count, end, start + along * steps / count).flatten(1, 2)


def _closed(mask: Tensor, side: int) -> Tensor:
    """[B,H,W], dilated, then eroded by a square, both cut at the border; `side` is odd."""
    return ~_dilated(~_dilated(mask, side), side)


def _dilated(mask: Tensor, side: int) -> Tensor:
    padded = F.pad(mask, (side // 2,) * 4)
    for axis in (1, 2):
        padded = _any(padded.narrow(axis, start, mask.shape[axis]) for start in range(side))
    return padded


def _any(masks: Iterable[Tensor]) -> Tensor:
    return reduce(torch.logical_or, masks)
