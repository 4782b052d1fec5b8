"""Key points in COCO's order, in the shapes other estimators save them."""
from __future__ import annotations

import pytest
from anyone.core.pose import COCO_JOINTS, JOINTS, read_poses

CANVAS = (640, 480)


def person(x: float = 0.0, score: float = 0.5) -> list[list[float]]:
    """[17,3]: joint i at (x + 10 i, 100 + i)."""
    return [[x + 10.0 * i, 100.0 + i, score] for i in range(17)]


def flat(rows: list[list[float]]) -> list[float]:
    return [number for row in rows for number in row]


def result(image_id, rows):
    return {"image_id": image_id, "category_id": 1, "keypoints": flat(rows), "score": 0.9}


def noses(value) -> list[list[float]]:
    """x of everybody's nose, frame by frame."""
    return [[float(pose.keypoints[0, 0]) for pose in frame.people]
            for frame in read_poses(value, canvas=CANVAS)]


@pytest.mark.parametrize(("value", "expected"), [
    (person(1), [[1]]), ([person(1), person(2)], [[1, 2]]),
    ([[person(1)], [], [person(2), person(3)]], [[1], [], [2, 3]]),
    ([result(7, person(1)), result(5, person(2)), result(7, person(3))], [[1, 3], [2]]),
    ([{"keypoints": person(1)}, {"keypoints": person(2)}], [[1, 2]]),
    ([{"canvas_width": 8, "canvas_height": 9, "people": [{"keypoints": flat(person(1))}]}], [[1]])])
def test_every_shape_is_read(value, expected):
    assert noses(value) == expected


def test_joints_are_sorted_by_name_and_the_neck_is_between_the_shoulders():
    rows = person()
    rows[COCO_JOINTS.index("left_shoulder")] = [200, 50, 0.75]
    rows[COCO_JOINTS.index("right_shoulder")] = [100, 70, 0.25]
    rows[COCO_JOINTS.index("left_hip")] = [0, 0, 0]
    pose = read_poses([result(0, rows)], canvas=CANVAS)[0].people[0]
    joints = {name: [*pose.keypoints[i].tolist(), float(pose.scores[i])] for i, name in enumerate(JOINTS)}
    assert joints["neck"] == [150, 60, 0.25]
    assert joints["left_shoulder"] == [200, 50, 0.75]
    assert joints["right_ankle"] == [160, 116, 0.5]
    assert joints["left_hip"] == [0, 0, 0]


def test_visibility_flags_are_scores_of_one():
    rows = person(score=2)
    rows[0][2] = 1
    assert set(read_poses([result(0, rows)], canvas=CANVAS)[0].people[0].scores.tolist()) == {1}


def test_the_canvas_has_to_come_from_somewhere():
    with pytest.raises(ValueError, match="canvas_width.*it has people.*width and height of the picture"):
        read_poses([result(0, person())])


@pytest.mark.parametrize(("keypoints", "part"), [
    ([1.0] * 34, "34 numbers; expected 51"), ("nose", "0 numbers; expected 51"), (None, "0 numbers"),
    (["a"] * 51, "'a'"), ([[1.0] * 2] * 17, "34 numbers")])
def test_what_is_no_coco_is_refused(keypoints, part):
    with pytest.raises(ValueError, match="keypoints of person 0 of frame 0") as error:
        read_poses([{"image_id": 1, "keypoints": keypoints}], canvas=CANVAS)
    assert part in str(error.value)


@pytest.mark.parametrize("value", [[[]], [person()[:16]], [[person()], 5], [[[person()]]]])
def test_other_lists_are_no_frames(value):
    with pytest.raises(ValueError, match="frame 0 should be a dictionary"):
        read_poses(value, canvas=CANVAS)


def test_openpose_joints_come_first():
    both = {"keypoints": flat(person(1)), "pose_keypoints_2d": [9.0, 9.0, 1.0] * 18}
    (frame,) = read_poses({"canvas_width": 20, "canvas_height": 20, "people": [both]})
    assert frame.people[0].keypoints.tolist() == [[9, 9]] * 18
