from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from anyone.core.pose import (
    EASINGS,
    JOINTS,
    LIMBS,
    Pose,
    PoseFrame,
    interpolate_frames,
    interpolate_poses,
    transform_pose,
)
from anyone.core.pose.retarget import bone_lengths

SHOULDER, ELBOW, WRIST = (JOINTS.index(f"right_{name}") for name in ("shoulder", "elbow", "wrist"))


def bent(pose: Pose, degrees: float) -> Pose:
    """The right arm stretched, `degrees` from straight down (clockwise as seen); upper arm 40, forearm 30."""
    keypoints = pose.keypoints.clone()
    angle = math.radians(90 + degrees)
    along = torch.tensor([math.cos(angle), math.sin(angle)])
    keypoints[ELBOW] = keypoints[SHOULDER] + 40 * along
    keypoints[WRIST] = keypoints[ELBOW] + 30 * along
    return replace(pose, keypoints=keypoints)


def heading(pose: Pose, start: int, end: int) -> float:
    """0..360 degrees from straight down, clockwise as seen."""
    x, y = (pose.keypoints[end] - pose.keypoints[start]).tolist()
    return math.degrees(math.atan2(-x, y)) % 360


def test_ends_are_exact(person):
    start, end = bent(person, 10), bent(person, 130)
    poses = interpolate_poses(start, end, 7)
    assert len(poses) == 7
    assert torch.equal(poses[0].keypoints, start.keypoints)
    assert torch.equal(poses[-1].keypoints, end.keypoints)


def test_an_arm_swings_at_its_full_length(person):
    poses = interpolate_poses(bent(person, 10), bent(person, 130), 5)
    for pose, degrees in zip(poses, (10, 40, 70, 100, 130), strict=True):
        assert heading(pose, SHOULDER, ELBOW) == pytest.approx(degrees, abs=1e-3)
        assert heading(pose, ELBOW, WRIST) == pytest.approx(degrees, abs=1e-3)
        lengths = bone_lengths(pose)[[LIMBS.index((2, 3)), LIMBS.index((3, 4))]]
        assert lengths.tolist() == pytest.approx([40, 30], abs=1e-3)


def test_the_short_way_round(person):
    middle = interpolate_poses(bent(person, 170), bent(person, -170), 3)[1]
    assert heading(middle, SHOULDER, ELBOW) == pytest.approx(180, abs=1e-3)


def test_lengths_change_evenly_and_the_root_moves_straight(person):
    end = transform_pose(person, torch.tensor([100.0, 70.0]), scale=2, rotation=60, dx=30, dy=-12)
    quarter = interpolate_poses(person, end, 5)[1]
    expected = transform_pose(person, torch.tensor([100.0, 70.0]), scale=1.25, rotation=15, dx=7.5, dy=-3)
    torch.testing.assert_close(quarter.keypoints, expected.keypoints, atol=1e-3, rtol=0)


def test_the_body_turns_over_as_a_whole(person):
    end = transform_pose(person, torch.tensor([100.0, 70.0]), rotation=170)
    middle = interpolate_poses(person, end, 3)[1]
    torch.testing.assert_close(bone_lengths(middle), bone_lengths(person), atol=1e-3, rtol=0)
    expected = transform_pose(person, torch.tensor([100.0, 70.0]), rotation=85)
    torch.testing.assert_close(middle.keypoints, expected.keypoints, atol=1e-3, rtol=0)


def test_who_turns_round_gets_narrow_not_upside_down(person):
    """From the front to the back the shoulders exchange places: through the middle, at their height."""
    back = torch.stack([200 - person.keypoints[:, 0], person.keypoints[:, 1]], 1)
    middle = interpolate_poses(person, replace(person, keypoints=back), 3)[1]
    for name in ("right_shoulder", "left_shoulder", "neck"):
        assert middle.keypoints[JOINTS.index(name)].tolist() == pytest.approx([100, 70], abs=1e-3)
    assert middle.keypoints[:, 1].tolist() == pytest.approx(person.keypoints[:, 1].tolist(), abs=8)


def test_a_joint_only_one_pose_has_moves_along_and_fades(person, without):
    start, end = without(bent(person, 0), "right_wrist"), bent(person, 90)
    poses = interpolate_poses(start, end, 4)
    assert [float(pose.scores[WRIST]) for pose in poses] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    for pose, degrees in zip(poses[1:], (30, 60, 90), strict=True):
        assert heading(pose, ELBOW, WRIST) == pytest.approx(degrees, abs=1e-3)
    assert not poses[0].present[WRIST]
    back = interpolate_poses(end, start, 4)
    for pose, mirrored in zip(poses, reversed(back), strict=True):
        torch.testing.assert_close(pose.keypoints, mirrored.keypoints, atol=1e-3, rtol=0)


def test_missing_in_both_stays_missing_and_is_bridged(person, without):
    start, end = (without(bent(person, degrees), "right_elbow", "neck") for degrees in (0, 90))
    middle = interpolate_poses(start, end, 3)[1]
    assert torch.equal(middle.present, start.present)
    assert heading(middle, SHOULDER, WRIST) == pytest.approx(45, abs=1e-3)


def test_a_pose_without_a_common_joint_fades_in_place(person):
    middle = interpolate_poses(person, Pose.empty(200, 256), 3)[1]
    assert torch.equal(middle.keypoints, person.keypoints)
    assert middle.scores.tolist() == [0.5] * 18
    assert not interpolate_poses(Pose.empty(9, 9), Pose.empty(9, 9), 3)[1].present.any()


def test_joints_in_one_place_do_no_harm(person):
    point = replace(person, keypoints=torch.full((18, 2), 50.0))
    for start, end in ((person, point), (point, person), (point, point)):
        for pose in interpolate_poses(start, end, 4):
            assert torch.isfinite(pose.keypoints).all()
            assert pose.present.all()


@pytest.mark.parametrize(("easing", "share"), [
    ("linear", 0.25), ("ease_in", 0.0625), ("ease_out", 0.4375), ("ease_in_out", 0.15625)])
def test_easings(person, easing, share):
    assert easing in EASINGS
    pose = interpolate_poses(person, person.moved(100, 0), 5, easing=easing)[1]
    assert float(pose.keypoints[1, 0]) == pytest.approx(100 + 100 * share, abs=1e-3)


def test_the_end_is_fitted_to_the_start_s_canvas(person):
    poses = interpolate_poses(person, person.scaled(400, 512), 3)
    torch.testing.assert_close(poses[1].keypoints, person.keypoints, atol=1e-3, rtol=0)
    assert {(pose.width, pose.height) for pose in poses} == {(200, 256)}


def test_frames_by_number(person):
    keys = [PoseFrame(200, 256, (person, person.moved(50, 0))), PoseFrame(400, 512),
            PoseFrame(200, 256, (person.moved(8, 0),))]
    frames = interpolate_frames(keys, 3)
    assert [len(frame.people) for frame in frames] == [2, 2, 2, 2, 0, 1, 1, 1, 1]
    assert {(frame.width, frame.height) for frame in frames} == {(200, 256)}
    assert float(frames[2].people[1].scores[0]) == 0.5
    assert float(frames[5].people[0].keypoints[0, 0]) == 108
    assert interpolate_frames([], 3) == []
    assert interpolate_frames(keys[:1], 3)[0].people[0].keypoints.equal(person.keypoints)


def test_errors(person):
    with pytest.raises(ValueError, match="at least 2"):
        interpolate_poses(person, person, 1)
    with pytest.raises(ValueError, match="linear, ease_in, ease_out, ease_in_out; got 'bounce'"):
        interpolate_poses(person, person, 3, easing="bounce")
