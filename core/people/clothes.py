"""From clothes labels to person regions: what a label alone does not say, the pose does."""
from __future__ import annotations

import math
from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose import JOINTS, Pose
from ..regions import ATR_LABELS, PERSON_REGIONS, atr_to_person, fill_from_nearest

_BELT_PARTNERS = [PERSON_REGIONS.index(name) for name in ("top", "trousers", "skirt")]
_TOP, _SLEEVES, _SKIRT, _HEAD = (PERSON_REGIONS.index(name) for name in ("top", "sleeves", "skirt", "head"))
_UPPER, _DRESS, _BELT = (ATR_LABELS.index(name) for name in ("upper-clothes", "dress", "belt"))
_ARMS = [tuple(JOINTS.index(f"{side}_{joint}") for joint in pair) for side in ("right", "left")
         for pair in (("shoulder", "elbow"), ("elbow", "wrist"))]
_SHOULDERS = [JOINTS.index("right_shoulder"), JOINTS.index("left_shoulder")]
_HIPS = [JOINTS.index("left_hip"), JOINTS.index("right_hip")]
_NOSE, _NECK = JOINTS.index("nose"), JOINTS.index("neck")
_SHOULDER_INSET = 0.15                                    # how far the trunk's shoulders move to their middle
_SLEEVE_LEAD = 0.05                                       # torso lengths by which the trunk may be nearer
_NECK_WIDTH = 0.12                                        # torso lengths from nose to neck that are skin


def person_regions(labels: Tensor, mask: Tensor, pose: Pose | None = None) -> Tensor:
    """One person's clothes labels -> the twelve person regions.

    `labels`: [H,W] numbers of ATR_LABELS. `mask`: [H,W] bool, the person. `pose`: on the same pixels; without
    one there are no sleeves. Returns [H,W] uint8, above 0 exactly in the mask, where at least one label is.
    """
    labels = torch.where(mask, labels.long(), 0)
    regions = atr_to_person(labels)
    joints = torch.full((len(JOINTS), 2), torch.nan) if pose is None else \
        torch.where(pose.present[:, None], pose.keypoints, torch.nan)
    torso = _torso_length(joints)
    regions[skirt_of_dress(labels == _DRESS, joints)] = _SKIRT
    upper = ((labels == _UPPER) | (labels == _DRESS)) & (regions == _TOP)
    regions[is_sleeve(upper, joints, torso)] = _SLEEVES
    _settle_belt(regions, labels == _BELT)
    bare = (mask & (labels == 0)).nonzero()
    throat = bare[_to_segment(bare.flip(1) + 0.5, joints[_NOSE], joints[_NECK]) < _NECK_WIDTH * torso]
    regions[throat[:, 0], throat[:, 1]] = _HEAD
    return fill_regions(regions, mask)


def is_sleeve(upper: Tensor, joints: Tensor, torso: float) -> Tensor:
    """[H,W] bool: the pixels of `upper` that lie nearer to an arm than to the trunk.

    `joints` [18,2], NaN where missing. The trunk is the quadrilateral of hips and inset shoulders. All false
    without the trunk.
    """
    places = upper.nonzero()                                                      # [N,2] y, x
    points = places.flip(1) + 0.5
    middle = joints[_SHOULDERS].mean(0)
    trunk = torch.cat([torch.lerp(joints[_SHOULDERS], middle, _SHOULDER_INSET), joints[_HIPS]])
    arms = torch.stack([_to_segment(points, joints[a], joints[b]) for a, b in _ARMS]).nan_to_num(torch.inf)
    sleeve = places[arms.amin(0) < _to_polygon(points, trunk) + _SLEEVE_LEAD * torso]
    out = torch.zeros_like(upper)
    out[sleeve[:, 0], sleeve[:, 1]] = True
    return out


def skirt_of_dress(dress: Tensor, joints: Tensor) -> Tensor:
    """[H,W] bool: what of a dress hangs beyond the hips; without hips and neck, its lower half."""
    y, x = dress.nonzero().T
    out = torch.zeros_like(dress)
    if not len(y):
        return out
    neck, hips = joints[_NECK], joints[_HIPS].mean(0)
    axis = hips - neck
    if torch.isfinite(axis).all():
        beyond = ((torch.stack([x, y], 1) + 0.5 - hips) @ axis) > 0
    else:
        beyond = y * 2 > y.min() + y.max()
    out[y[beyond], x[beyond]] = True
    return out


def _torso_length(joints: Tensor) -> float:
    """Neck to the middle of the hips, or 1.4 shoulder widths, or a third of the person; NaN for no joints."""
    extent = (joints.nan_to_num(-torch.inf).amax(0) - joints.nan_to_num(torch.inf).amin(0)).max()
    lengths = [float((joints[_NECK] - joints[_HIPS].mean(0)).norm()),
               1.4 * float((joints[_SHOULDERS[0]] - joints[_SHOULDERS[1]]).norm()), 0.35 * float(extent)]
    return next((length for length in lengths if math.isfinite(length)), math.nan)


def _to_segment(points: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """[N] distances of points [N,2] to the segment from a to b; NaN when an end is missing."""
    way = b - a
    along = ((points - a) @ way / way.square().sum().clamp(min=1e-6)).clamp(0, 1)
    return (points - a - along[:, None] * way).norm(dim=1)


def _to_polygon(points: Tensor, corners: Tensor) -> Tensor:
    """[N] distances of points [N,2] to a polygon [K,2], 0 inside; NaN when a corner is missing."""
    ends = corners.roll(-1, 0)
    outside = torch.stack([_to_segment(points, a, b) for a, b in zip(corners, ends, strict=True)]).amin(0)
    x, y = points[:, None].unbind(-1)                                             # [N,1]
    (ax, ay), (bx, by) = corners.T, ends.T                                        # [K]
    crosses = ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return torch.where(crosses.sum(1) % 2 == 1, 0.0, outside)


def _settle_belt(regions: Tensor, belt: Tensor) -> None:
    """A belt belongs to what it mostly touches of top, trousers and skirt."""
    rim = F.max_pool2d(belt[None, None].float(), 3, 1, 1)[0, 0].bool() & ~belt
    touched = Counter(label for label in regions[rim].tolist() if label in _BELT_PARTNERS)
    if touched:
        regions[belt] = touched.most_common(1)[0][0]


def fill_regions(regions: Tensor, mask: Tensor) -> Tensor:
    """The regions [H,W] uint8 inside the mask [H,W] bool; its pixels without a region take the nearest one's.
    All 0 stays all 0."""
    regions = torch.where(mask, regions, 0)
    holes = mask & (regions == 0)
    if not holes.any() or not regions.any():
        return regions
    return torch.where(holes, fill_from_nearest(regions, regions == 0), regions)
