"""What SAM is asked about a person: a box, points inside, and points on others."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..pose import JOINTS, Pose

MAXIMUM_POINTS = 12
# Ears, eyes and wrists lie on the rim of the person.
_INNER = [JOINTS.index(name) for name in ("neck", "right_hip", "left_hip", "right_knee", "left_knee",
                                          "right_elbow", "left_elbow", "right_shoulder", "left_shoulder",
                                          "nose")]
_HEAD = [JOINTS.index(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]
_NECK, _HIPS = JOINTS.index("neck"), [JOINTS.index("right_hip"), JOINTS.index("left_hip")]
_THIGHS = [(JOINTS.index(f"{side}_hip"), JOINTS.index(f"{side}_knee")) for side in ("right", "left")]
_AIR, _CROWN = 0.12, 0.35                                 # torso lengths round the joints, and above the head


@dataclass(frozen=True, eq=False)
class Prompt:
    """`box` [4]: x0, y0, x1, y1. `inside` [P,2] and `outside` [Q,2]: x, y. All in pixels."""

    box: Tensor
    inside: Tensor
    outside: Tensor


def make_prompts(poses: Sequence[Pose], boxes: Tensor | None = None) -> list[Prompt]:
    """One prompt per pose, all on one canvas. `boxes`: [N,4] from a detector; else they come from the joints.

    Raises ValueError for a pose without joints when there are no boxes.
    """
    joints = [torch.where(pose.present[:, None], pose.keypoints, torch.nan) for pose in poses]
    if boxes is None:
        if any(pose.box() is None for pose in poses):
            raise ValueError("A pose without joints says nothing of a mask; leave it out or give boxes.")
        boxes = torch.stack([_joints_box(some) for some in joints]) if joints else torch.zeros(0, 4)
    torsos = torch.stack([_torso_middle(some) for some in joints]) if joints else torch.zeros(0, 2)
    prompts = []
    for i, some in enumerate(joints):
        near = torsos[[j for j in range(len(joints)) if j != i and _meet(boxes[i], boxes[j])]]
        thighs = [some[list(thigh)].mean(0) for thigh in _THIGHS]
        inside = _known(torch.stack([torsos[i], *thighs, *some[_INNER]]))
        outside = _known(near)[:MAXIMUM_POINTS // 3]
        prompts.append(Prompt(boxes[i], inside[:MAXIMUM_POINTS - len(outside)], outside))
    return prompts


def _known(points: Tensor) -> Tensor:
    return points[torch.isfinite(points).all(1)]


def _torso_middle(joints: Tensor) -> Tensor:
    """[2], NaN when neck or hips are missing."""
    return (joints[_NECK] + joints[_HIPS].mean(0)) / 2


def _joints_box(joints: Tensor) -> Tensor:
    """[4]: the joints with some air, and the top of the head."""
    known = _known(joints)
    low, high = known.amin(0), known.amax(0)
    torso = (joints[_NECK] - joints[_HIPS].mean(0)).norm()
    torso = torso if torch.isfinite(torso) else 0.35 * (high - low).max()
    low, high = low - _AIR * torso, high + _AIR * torso
    head = _known(joints[_HEAD])
    if len(head):
        low = torch.stack([low[0], torch.minimum(low[1], head[:, 1].amin() - _CROWN * torso)])
    return torch.cat([low, high])


def _meet(a: Tensor, b: Tensor) -> bool:
    return bool((torch.maximum(a[:2], b[:2]) < torch.minimum(a[2:], b[2:])).all())
