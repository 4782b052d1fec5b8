"""COCO's 17 keypoints (left before right, no neck) and the 18 of OpenPose."""
from __future__ import annotations

import torch
from torch import Tensor

from .pose import JOINTS, Pose

COCO_JOINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
               "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
               "left_knee", "right_knee", "left_ankle", "right_ankle")
OPENPOSE_OF_COCO = [JOINTS.index(name) for name in COCO_JOINTS]
_NECK = JOINTS.index("neck")
_SHOULDERS = [JOINTS.index("right_shoulder"), JOINTS.index("left_shoulder")]


def to_coco(pose: Pose) -> Tensor:
    """[17,3] x, y in pixels and score; the neck is dropped."""
    return torch.cat([pose.keypoints, pose.scores[:, None]], dim=1)[OPENPOSE_OF_COCO]


def from_coco(keypoints: Tensor, width: int, height: int) -> Pose:
    """`keypoints`: [17,3] x, y in pixels of a width x height canvas, and score (0 = missing).

    See `with_neck`. Raises ValueError for another shape.
    """
    if keypoints.shape != (len(COCO_JOINTS), 3):
        raise ValueError(f"COCO keypoints should have the shape [17,3]; got {list(keypoints.shape)}.")
    joints = with_neck(keypoints.detach().float().cpu())
    return Pose(joints[:, :2], joints[:, 2], width, height)


def with_neck(keypoints: Tensor) -> Tensor:
    """[17,3] in COCO's order -> [18,3] in OpenPose's; the neck is the middle of the shoulders, with the lower
    of their scores."""
    joints = torch.zeros(len(JOINTS), 3)
    joints[OPENPOSE_OF_COCO] = keypoints
    shoulders = joints[_SHOULDERS]
    joints[_NECK, :2] = shoulders[:, :2].mean(0)
    joints[_NECK, 2] = shoulders[:, 2].amin()
    return joints
