"""One person's pose with another person's proportions."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .pose import LIMBS, Pose
from .skeleton import MIRRORED, anchor_point, bones, find_root
from .transform import fit_pose

_MIRRORED_LIMBS = [LIMBS.index((MIRRORED[a], MIRRORED[b])) for a, b in LIMBS]


def retarget_pose(pose: Pose, reference: Pose, *, root: str = "neck", template: Pose | None = None,
                  limit: float = 2.0, keep_size: bool = False) -> Pose:
    """`pose` with the bone lengths of `reference`; the direction of every bone stays, and so does `root`.

    `root`: which point stays in place, see `anchor_point` ("feet": the person keeps standing where they
    stood). `template`: what the reference is measured against, the driving person in an attitude like the
    reference's, for example the first frame; every bone is then scaled by reference / template, so that
    foreshortened limbs stay so. None: the pose itself, every bone gets the reference's length.
    `keep_size`: only the proportions change, not the size of the person. See `bone_ratios` for `limit`.
    Reference and template are fitted to the pose's canvas; joints missing from the pose stay missing.
    """
    old, new = (fit_pose(one, pose.width, pose.height) for one in (template or pose, reference))
    ratios = bone_ratios(old, new, limit=limit, keep_size=keep_size)
    start = find_root(pose.present.tolist())
    if start is None:
        return pose
    points = pose.keypoints.clone()
    for holder, joint, limb in bones(pose.present.tolist(), start):
        points[joint] = points[holder] + ratios[limb] * (pose.keypoints[joint] - pose.keypoints[holder])
    moved = replace(pose, keypoints=points)
    return moved.moved(*(anchor_point(pose, root) - anchor_point(moved, root)).tolist())


def bone_lengths(pose: Pose) -> Tensor:
    """[17] pixels, in the order of LIMBS; NaN where a joint is missing."""
    start, end = torch.tensor(LIMBS).T
    length = (pose.keypoints[end] - pose.keypoints[start]).norm(dim=1)
    return torch.where(pose.present[start] & pose.present[end], length, torch.nan)


def bone_ratios(template: Pose, reference: Pose, *, limit: float = 2.0, keep_size: bool = False) -> Tensor:
    """[17] by how much to scale each bone to turn the template's proportions into the reference's.

    A bone that one of them lacks gets the ratio of the same bone on the other side, or else the ratio of the
    sizes (total length of the bones both have). No bone may differ from that by more than a factor `limit`:
    a limb that points at the camera has hardly any length. `keep_size`: all divided by the ratio of sizes.
    """
    old, new = bone_lengths(template), bone_lengths(reference)
    common = torch.isfinite(old) & torch.isfinite(new) & (old > 0)
    if not common.any() or not new[common].sum() > 0:
        return torch.ones(len(LIMBS))
    size = new[common].sum() / old[common].sum()
    ratios = torch.where(common, new / old, torch.nan)
    ratios = torch.where(common, ratios, ratios[_MIRRORED_LIMBS])
    ratios = torch.where(torch.isfinite(ratios), ratios, size).clamp(size / limit, size * limit)
    return ratios / size if keep_size else ratios
