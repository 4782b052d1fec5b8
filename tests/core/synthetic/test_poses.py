import pytest
import torch
from anyone.core.synthetic import ARCHETYPES, sample_identity, sample_pose
from anyone.core.synthetic.poses import FIELDS, limit_of
from anyone.core.synthetic.skeleton import FOREARM, SHIN, THIGH, UPPER_ARM, build_skeleton

IDS = torch.arange(2000)


def test_joints_stay_within_their_limits():
    pose = sample_pose(IDS)
    limited = 0
    for name in FIELDS:
        if limit := limit_of(name):
            limited += 1
            angles = pose.degrees(name)
            assert limit[0] <= angles.min() and angles.max() <= limit[1], name
    assert limited == 6 + 2 * 9


def test_every_archetype_turns_up_and_can_be_asked_for():
    assert len(ARCHETYPES) == 24
    assert sample_pose(IDS).archetype.unique().numel() == 24
    for k, name in enumerate(ARCHETYPES):
        assert (sample_pose(IDS[:20], kind=name).archetype == k).all()
    with pytest.raises(ValueError, match="somersault"):
        sample_pose(IDS, kind="somersault")


def test_people_are_seen_from_all_sides_but_mostly_from_the_front():
    yaw = sample_pose(torch.arange(20000)).degrees("yaw").abs()
    shares = [(yaw < 45).float().mean(), (yaw > 135).float().mean()]
    assert .50 < shares[0] < .62 and .14 < shares[1] < .20
    assert sample_pose(IDS, kind="calm").degrees("yaw").abs().max() < 45


def test_mirrored_poses_swap_left_and_right():
    """`point` points with the right arm before mirroring."""
    pose = sample_pose(IDS, kind="point")
    left = (pose.degrees("left_shoulder_flexion") > 45).float().mean()
    assert .4 < left < .6


def test_bones_keep_their_lengths_in_every_pose():
    identity = sample_identity(IDS)
    joints = build_skeleton(identity, sample_pose(IDS)).keypoints()

    def measured(a: int, b: int) -> torch.Tensor:
        return (joints[:, a] - joints[:, b]).norm(dim=1)

    leg = identity.height * identity.legs
    for a, b, expected in ((2, 3, UPPER_ARM * identity.height), (3, 4, FOREARM * identity.height),
                           (5, 6, UPPER_ARM * identity.height), (6, 7, FOREARM * identity.height),
                           (8, 9, THIGH * leg), (9, 10, SHIN * leg), (11, 12, THIGH * leg),
                           (12, 13, SHIN * leg), (8, 11, 2 * .088 * identity.hips),
                           (14, 15, .068 * identity.head)):
        assert (measured(a, b) - expected).abs().max() < 1e-4, (a, b)
    assert (joints[:, 1] - (joints[:, 2] + joints[:, 5]) / 2).abs().max() < 1e-6


def test_nobody_sinks_into_the_floor_and_only_jumpers_leave_it():
    identity, pose = sample_identity(IDS), sample_pose(IDS)
    skeleton = build_skeleton(identity, pose)
    assert skeleton.keypoints()[..., 1].min() > 0
    soles = torch.stack([skeleton.foot[side].at(0, -.082, z)[:, 1]
                         for side in ("left", "right") for z in (-.055, .15)]).amin(0)
    standing = (pose.degrees("lift") == 0) & (pose.degrees("seat") == 0)
    upright = standing & (pose.degrees("left_hip_flexion") < 60)
    assert soles[upright].abs().max() < 1e-4
    jumping = pose.degrees("lift") > 0
    assert (soles[jumping] - .18).abs().max() < 1e-4


def test_the_standard_person_is_about_173_centimetres_tall():
    identity = sample_identity(torch.arange(500))
    skeleton = build_skeleton(identity, sample_pose(torch.arange(500), kind="stand"))
    crown = skeleton.on_head(0, .125, 0)[:, 1]
    assert abs(crown.mean() - 1.73) < .06
