from __future__ import annotations

import pytest
import torch
from anyone.core.pose import (
    ANCHORS,
    JOINTS,
    Pose,
    PoseFrame,
    anchor_point,
    fit_frame,
    fit_pose,
    mirror_pose,
    transform_pose,
)


def at(pose: Pose, name: str) -> list[float]:
    return pose.keypoints[JOINTS.index(name)].tolist()


def test_rotation_is_clockwise_about_the_centre(person):
    turned = transform_pose(person, anchor_point(person, "neck"), rotation=90)
    assert at(turned, "neck") == pytest.approx([100, 70])
    assert at(turned, "nose") == pytest.approx([130, 70])                          # from above to the right
    assert at(turned, "left_shoulder") == pytest.approx([100, 92])


def test_scale_then_shift(person, without):
    changed = transform_pose(without(person, "nose"), torch.tensor([100.0, 70.0]), scale=2, dx=5, dy=-3)
    assert at(changed, "neck") == pytest.approx([105, 67])
    assert at(changed, "right_wrist") == pytest.approx([100 - 76 + 5, 70 + 136 - 3])
    assert at(changed, "nose") == [0, 0]
    assert not changed.present[0]


def test_there_and_back(person):
    centre = torch.tensor([31.0, 17.0])
    there = transform_pose(person, centre, scale=0.5, rotation=33)
    back = transform_pose(there, centre, scale=2, rotation=-33)
    torch.testing.assert_close(back.keypoints, person.keypoints, atol=1e-4, rtol=0)


def test_mirroring_exchanges_sides(person, without):
    raised = without(person, "left_elbow")
    mirrored = mirror_pose(raised)
    assert at(mirrored, "left_wrist") == [200 - 62, 138]
    assert at(mirrored, "nose") == [100, 40]
    assert not mirrored.present[JOINTS.index("right_elbow")]
    assert mirrored.present[JOINTS.index("left_elbow")]
    assert at(mirror_pose(raised, 0.0), "left_wrist") == [-62, 138]


@pytest.mark.parametrize("axis", [None, 12.5])
def test_mirroring_twice_changes_nothing(person, without, axis):
    pose = without(person.moved(0.25, 0.5), "right_ear", "left_knee")
    twice = mirror_pose(mirror_pose(pose, axis), axis)
    assert torch.equal(twice.keypoints, pose.keypoints)
    assert torch.equal(twice.scores, pose.scores)


@pytest.mark.parametrize(("fit", "nose"), [
    ("fit", [150 + 50, 20]), ("fill", [200, 80 - 192]), ("stretch", [200, 20])])
def test_fits(person, fit, nose):
    fitted = fit_pose(person, 400, 128, fit)                                      # from 200 x 256
    assert at(fitted, "nose") == pytest.approx(nose)
    assert (fitted.width, fitted.height) == (400, 128)


def test_frames_fit_as_their_people_do(person):
    frame = fit_frame(PoseFrame(200, 256, (person, person), note="why"), 400, 128, "fill")
    assert (frame.width, frame.height, frame.note) == (400, 128, "why")
    for pose in frame.people:
        assert torch.equal(pose.keypoints, fit_pose(person, 400, 128, "fill").keypoints)
    with pytest.raises(ValueError, match="fit, fill, stretch; got 'crop'"):
        fit_frame(frame, 5, 5, "crop")


def test_anchors(person):
    expected = {"canvas": [100, 128], "box": [100, 139], "neck": [100, 70], "mid_hip": [100, 135],
                "feet": [100, 243]}
    assert {anchor: anchor_point(person, anchor).tolist() for anchor in ANCHORS} == expected
    step = person.keypoints.clone()
    step[JOINTS.index("left_ankle")] = torch.tensor([126.0, 223.0])
    assert anchor_point(Pose(step, person.scores, 200, 256), "feet").tolist() == [105, 243]


def test_anchors_of_incomplete_poses(person, without):
    neckless = without(person, "neck")
    assert anchor_point(neckless, "neck").tolist() == [100, 70]
    assert anchor_point(without(neckless, "left_shoulder"), "neck").tolist() == [78, 70]
    assert anchor_point(without(person, "left_hip"), "mid_hip").tolist() == [88, 135]
    footless = without(person, "left_ankle", "right_ankle")
    assert anchor_point(footless, "feet").tolist() == [100, 190]                  # the bottom of the box
    for anchor in ANCHORS:
        assert anchor_point(Pose.empty(40, 20), anchor).tolist() == [20, 10]
    with pytest.raises(ValueError, match="mid_hip, feet; got 'nose'"):
        anchor_point(person, "nose")
