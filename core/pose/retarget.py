"""One person's pose with another person's proportions."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .pose import LIMBS, Pose
from .skeleton import ANKLES, MIRRORED, anchor_point, bones, find_root
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
    return _with_bones(pose, ratios, root, anchor_point(pose, root))


def retarget_movement(poses: Sequence[Pose], reference: Pose, *, limit: float = 1.1) -> list[Pose]:
    """A movement as `reference` would make it where they stand, on the reference's canvas.

    The feet of the first pose come to where the reference's are (the necks, when one of the two shows no
    ankle); the others keep their distance from it, measured in sizes of the person. Measured is the middle
    length of each bone over the poses. Flat poses tell proportions badly, shoulders and faces get narrow as
    people turn: so no bone changes more than `limit` times as much as the whole person, whose size is the
    ratio that half of all bone length exceeds.
    """
    old = torch.stack([bone_lengths(pose) for pose in poses]).nanmedian(0).values
    new = bone_lengths(reference)
    common = (old > 0) & (new > 0)
    size = _middle_ratio(old[common], new[common])
    ratios = _ratios(old, new, common, size, limit)
    both = all(pose.present[ANKLES].any() for pose in (poses[0], reference))
    root = "feet" if both else "neck"
    start, here = anchor_point(reference, root), anchor_point(poses[0], root)
    moved = [_with_bones(pose, ratios, root, start + size * (anchor_point(pose, root) - here))
             for pose in poses]
    return [replace(pose, width=reference.width, height=reference.height) for pose in moved]


def _with_bones(pose: Pose, ratios: Tensor, root: str, place: Tensor) -> Pose:
    """Every bone [17] scaled by its ratio; the anchor `root` comes to `place` [2]."""
    start = find_root(pose.present.tolist())
    if start is None:
        return pose
    points = pose.keypoints.clone()
    for holder, joint, limb in bones(pose.present.tolist(), start):
        points[joint] = points[holder] + ratios[limb] * (pose.keypoints[joint] - pose.keypoints[holder])
    moved = replace(pose, keypoints=points)
    return moved.moved(*(place - anchor_point(moved, root)).tolist())


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
    ratios = _ratios(old, new, common, size, limit)
    return ratios / size if keep_size else ratios


def _ratios(old: Tensor, new: Tensor, common: Tensor, size: Tensor, limit: float) -> Tensor:
    """[17] new / old of the common bones; of the others that of the bone on the other side, else the size."""
    ratios = torch.where(common, new / old, torch.nan)
    ratios = torch.where(common, ratios, ratios[_MIRRORED_LIMBS])
    return torch.where(torch.isfinite(ratios), ratios, size).clamp(size / limit, size * limit)


def _middle_ratio(old: Tensor, new: Tensor) -> Tensor:
    """The median of new / old [n], long bones counting more; 1 without any."""
    if not len(old):
        return torch.tensor(1.0)
    ratios, order = (new / old).sort()
    weight = (new * old).sqrt()[order].cumsum(0)
    return ratios[int((weight < weight[-1] / 2).sum())]
