from __future__ import annotations

import pytest
import torch
from anyone.core.pose import COCO_JOINTS, JOINTS, LIMBS, Pose, PoseFrame, from_coco, to_coco


@pytest.fixture
def pose() -> Pose:
    keypoints = torch.stack([torch.arange(18.0) * 2, torch.arange(18.0) + 40], 1)
    return Pose(keypoints, torch.linspace(0.15, 1, 18), 100, 80)


def test_joints_and_limbs_are_openpose_s():
    assert [JOINTS[i] for i in (0, 1, 4, 7, 8, 13, 14, 17)] == [
        "nose", "neck", "right_wrist", "left_wrist", "right_hip", "left_ankle", "right_eye", "left_ear"]
    assert LIMBS[0] == (1, 2)
    assert LIMBS[-1] == (15, 17)
    assert len(set(LIMBS)) == 17


def test_missing_and_unreadable_joints_are_zero():
    keypoints, scores = torch.full((18, 2), 5.0), torch.ones(18)
    keypoints[3, 0], scores[4], scores[5] = torch.nan, -0.5, 2.0
    pose = Pose(keypoints, scores, 10, 10)
    assert pose.present.tolist() == [i not in (3, 4) for i in range(18)]
    assert pose.keypoints[3].tolist() == pose.keypoints[4].tolist() == [0, 0]
    assert float(pose.scores[5]) == 1
    assert repr(pose) == "<Pose 16/18 joints on 10x10>"


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[17, 2\]"):
        Pose(torch.zeros(17, 2), torch.zeros(18), 10, 10)
    with pytest.raises(ValueError, match="0x10"):
        Pose(torch.zeros(18, 2), torch.zeros(18), 0, 10)


def test_scaling_moving_and_cropping(pose):
    assert pose.scaled(200, 20).keypoints[3].tolist() == [12, 10.75]
    assert pose.moved(-1.5, 2).keypoints[3].tolist() == [4.5, 45]
    cropped = pose.cropped(10, 30, 50, 20)
    assert cropped.keypoints[3].tolist() == [-4, 13]
    assert (cropped.width, cropped.height) == (50, 20)
    assert torch.equal(pose.scaled(37, 91).scores, pose.scores)


def test_missing_joints_do_not_move(pose):
    scores = pose.scores.clone()
    scores[2] = 0
    moved = Pose(pose.keypoints, scores, 100, 80).moved(9, 9).scaled(50, 50)
    assert moved.keypoints[2].tolist() == [0, 0]


def test_box_is_of_present_joints_only(pose):
    scores = pose.scores.clone()
    scores[0] = scores[17] = 0
    assert Pose(pose.keypoints, scores, 100, 80).box() == (2, 41, 32, 56)
    assert Pose(pose.keypoints, torch.zeros(18), 100, 80).box() is None


def test_frame_scales_everybody(pose):
    frame = PoseFrame(100, 80, (pose, pose.moved(1, 0)), note="why").scaled(50, 160)
    assert (frame.width, frame.height, frame.note) == (50, 160, "why")
    assert [person.keypoints[0].tolist() for person in frame.people] == [[0, 80], [0.5, 80]]


def test_coco_swaps_sides_and_drops_the_neck(pose):
    coco = to_coco(pose)
    for i, name in enumerate(COCO_JOINTS):
        joint = JOINTS.index(name)
        assert coco[i].tolist() == [*pose.keypoints[joint].tolist(), float(pose.scores[joint])]
    assert COCO_JOINTS[1:3] == ("left_eye", "right_eye")


def test_coco_round_trip_makes_the_neck(pose):
    back = from_coco(to_coco(pose), 100, 80)
    kept = [i for i, name in enumerate(JOINTS) if name != "neck"]
    assert torch.equal(back.keypoints[kept], pose.keypoints[kept])
    assert torch.equal(back.scores[kept], pose.scores[kept])
    assert back.keypoints[1].tolist() == [7, 43.5]                   # between joints 2 and 5
    assert float(back.scores[1]) == float(pose.scores[2])


def test_neck_needs_both_shoulders(pose):
    coco = to_coco(pose)
    coco[COCO_JOINTS.index("left_shoulder"), 2] = 0
    assert not from_coco(coco, 100, 80).present[JOINTS.index("neck")]
    with pytest.raises(ValueError, match=r"\[18, 3\]"):
        from_coco(torch.zeros(18, 3), 10, 10)
