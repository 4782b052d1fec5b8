"""The joints as a tree of bones, and the points a pose is held by."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .pose import JOINTS, LIMBS, Pose

ANCHORS = ("canvas", "box", "neck", "mid_hip", "feet")
# The same joint of the other side; nose and neck are their own.
MIRRORED = [JOINTS.index(name.replace("right_", "?").replace("left_", "right_").replace("?", "left_"))
            for name in JOINTS]
NECK = JOINTS.index("neck")
SHOULDERS = [JOINTS.index("right_shoulder"), JOINTS.index("left_shoulder")]
HIPS = [JOINTS.index("right_hip"), JOINTS.index("left_hip")]
ANKLES = [JOINTS.index("right_ankle"), JOINTS.index("left_ankle")]
_ROOTS = [NECK, *HIPS, *SHOULDERS, *range(len(JOINTS))]


def find_root(present: Sequence[bool]) -> int | None:
    """The joint to start from: the neck, else the next best one present; None when there is none."""
    return next((joint for joint in _ROOTS if present[joint]), None)


def bones(present: Sequence[bool], root: int) -> list[tuple[int, int, int]]:
    """(joint it hangs on, joint, limb) of every present joint but `root`, from the root outwards.

    Missing joints are bridged: with the elbow missing, the wrist hangs on the shoulder. `limb` indexes LIMBS.
    """
    found, seen = [], {root}
    queue = [(root, root)]                                 # a joint, and the nearest present one up to it
    for joint, holder in queue:
        for limb, pair in enumerate(LIMBS):
            child = sum(pair) - joint
            if joint not in pair or child in seen:
                continue
            seen.add(child)
            if present[child]:
                found.append((holder, child, limb))
            queue.append((child, child if present[child] else holder))
    return found


def anchor_point(pose: Pose, anchor: str) -> Tensor:
    """[2] x, y in pixels of one of ANCHORS.

    neck and mid_hip are the neck and the middle of the hips; feet is between the ankles, as low as the lower
    one: where the person stands. Missing joints are stood in for by the shoulders (neck) or the joints' box;
    a pose without joints is held by the middle of its canvas. Raises ValueError for another name.
    """
    if anchor not in ANCHORS:
        raise ValueError(f"anchor should be one of {', '.join(ANCHORS)}; got {anchor!r}.")
    box = pose.box()
    if box is None or anchor == "canvas":
        return torch.tensor([pose.width / 2, pose.height / 2])
    x0, y0, x1, y1 = box
    if anchor == "feet":
        ankles = _present(pose, ANKLES)
        return torch.stack([ankles[:, 0].mean(), ankles[:, 1].amax()]) if len(ankles) else \
            torch.tensor([(x0 + x1) / 2, y1])
    candidates = {"box": [], "neck": [[NECK], SHOULDERS], "mid_hip": [HIPS]}[anchor]
    found = next((points for joints in candidates if len(points := _present(pose, joints))), None)
    return torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2]) if found is None else found.mean(0)


def _present(pose: Pose, joints: list[int]) -> Tensor:
    """[n,2] those of `joints` that are present."""
    return pose.keypoints[joints][pose.present[joints]]
