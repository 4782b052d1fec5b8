from __future__ import annotations

import pytest
import torch
from anyone.core.pose import JOINTS, Pose

# A front view, arms a little away from the body; the person's right is on the left.
FRONT = {"nose": (100, 40), "neck": (100, 70), "right_shoulder": (78, 70), "right_elbow": (68, 105),
         "right_wrist": (62, 138), "left_shoulder": (122, 70), "left_elbow": (132, 105),
         "left_wrist": (138, 138), "right_hip": (88, 135), "right_knee": (86, 190),
         "right_ankle": (84, 243), "left_hip": (112, 135),
         "left_knee": (114, 190), "left_ankle": (116, 243), "right_eye": (95, 35), "left_eye": (105, 35),
         "right_ear": (89, 38), "left_ear": (111, 38)}


@pytest.fixture
def person() -> Pose:
    """Standing upright on a canvas of 200 x 256, all joints with score 1."""
    return Pose(torch.tensor([FRONT[name] for name in JOINTS]), torch.ones(18), 200, 256)


@pytest.fixture
def without():
    """(pose, names) -> the pose without these joints."""
    def drop(pose: Pose, *names: str) -> Pose:
        scores = pose.scores.clone()
        scores[[JOINTS.index(name) for name in names]] = 0
        return Pose(pose.keypoints, scores, pose.width, pose.height)
    return drop
