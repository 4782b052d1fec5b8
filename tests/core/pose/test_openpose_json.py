"""Reading every producer's POSE_KEYPOINT, writing the one that all consumers take (host contract, 5.1)."""
from __future__ import annotations

import copy
import json

import pytest
import torch
from anyone.core.pose import JOINTS, Pose, PoseFrame, read_poses, write_poses
from hypothesis import given, settings
from hypothesis import strategies as st

MISSING = [0.0, 0.0, 0.0]


def body(points: dict[str, list[float]], joints=JOINTS, missing=MISSING) -> list[float]:
    return [number for name in joints for number in points.get(name, missing)]


def frame(*people, width=640, height=480, **extra) -> dict:
    return {"canvas_width": width, "canvas_height": height,
            "people": [{"pose_keypoints_2d": numbers} for numbers in people], **extra}


def joint(pose: Pose, name: str) -> list[float]:
    i = JOINTS.index(name)
    return [*pose.keypoints[i].tolist(), float(pose.scores[i])]


DWPOSE = frame(body({"nose": [320, 100, 1.0], "left_wrist": [400.5, 250.25, 1.0]}))


@pytest.mark.parametrize("value", [
    [DWPOSE], DWPOSE, (DWPOSE,), json.dumps([DWPOSE]), json.dumps(DWPOSE), {"__value__": [DWPOSE]},
    json.dumps({"__value__": [DWPOSE]})])
def test_every_wrapping_reads_the_same(value):
    (read,) = read_poses(value)
    assert (read.width, read.height, len(read.people)) == (640, 480, 1)
    assert joint(read.people[0], "nose") == [320, 100, 1]
    assert joint(read.people[0], "left_wrist") == [400.5, 250.25, 1]
    assert int(read.people[0].present.sum()) == 2


def test_core_sdpose_keeps_scores_and_knows_minus_one():
    points = {"nose": [10, 20, 0.75], "neck": [-1, -1, 0.4], "left_hip": [-3, 20, 0.5]}
    (read,) = read_poses(frame(body(points)))
    assert joint(read.people[0], "nose") == [10, 20, 0.75]
    assert joint(read.people[0], "neck") == MISSING
    assert joint(read.people[0], "left_hip") == [-3, 20, 0.5]        # only left of the picture, not missing


def test_openpose_coordinates_refer_to_the_padded_map():
    value = frame(body({"nose": [0.5, 0.25, 1.0]}), body({"neck": [1.0, 1.0, 1.0]}), width=500, height=640)
    padded = read_poses(value)[0].people
    assert joint(padded[0], "nose") == [256, 160, 1]
    assert joint(padded[1], "neck") == [512, 640, 1]
    unpadded = read_poses(value, padded_to_64=False)[0].people
    assert joint(unpadded[0], "nose") == [250, 160, 1]


def test_normalised_is_decided_over_the_whole_frame():
    small, large = body({"nose": [0.5, 0.5, 1.0]}), body({"nose": [300, 0.5, 1.0]})
    people = read_poses(frame(small, large))[0].people
    assert joint(people[0], "nose") == [0.5, 0.5, 1]
    # A missing joint's coordinates do not vote.
    stray = body({"nose": [0.5, 0.5, 1.0], "neck": [300, 300, 0.0]})
    assert joint(read_poses(frame(stray))[0].people[0], "nose") == [320, 256, 1]


@pytest.mark.parametrize("numbers", [
    [5, 5, 0], [5, 5, -1], [5, 5, float("nan")], [float("inf"), 5, 1], [None, 5, 1], [-2, -2, 1],
    [1e300, 5, 1], [10 ** 400, 5, 1], [1e9, 5, 1]])
def test_missing_joints(numbers):
    (read,) = read_poses(frame(body({"nose": [100, 100, 1], "neck": numbers})))
    assert joint(read.people[0], "neck") == MISSING
    assert joint(read.people[0], "nose") == [100, 100, 1]


@pytest.mark.parametrize("person", [{}, {"pose_keypoints_2d": None}, {"pose_keypoints_2d": []}])
def test_null_lists_are_a_person_without_joints(person):
    (read,) = read_poses({"canvas_width": 8, "canvas_height": 8, "people": [person]})
    assert not read.people[0].present.any()


def test_body_25_is_mapped():
    order = [*JOINTS[:8], "mid_hip", *JOINTS[8:],
             "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
    points = {name: [10.0 + i, 200.0 - i, 0.5] for i, name in enumerate(order)}
    (read,) = read_poses(frame(body(points, order)))
    assert {name: joint(read.people[0], name) for name in JOINTS} == {name: points[name] for name in JOINTS}


def test_animals_are_no_people_and_the_note_names_them():
    animals = {"version": "ap10k", "animals": [[[1, 2, 1]] * 17], "canvas_width": 9, "canvas_height": 8}
    (read,) = read_poses([animals])
    assert read.people == ()
    assert "AP-10K" in read.note
    assert "AP-10K" not in read_poses({"canvas_width": 9, "canvas_height": 8})[0].note


@pytest.mark.parametrize(("value", "part"), [
    (None, "NoneType"), (3, "int"), ("{", "valid JSON"), ("[" * 100000, "valid JSON"), ([3], "frame 0"),
    ({"people": []}, "canvas_width"), (frame(width=0), "canvas_width"),
    (frame(height=float("nan")), "canvas_height"), (frame(width="wide"), "wide"),
    (frame(height=10 ** 9), "1000000000"),
    (frame([1.0] * 51), "51 numbers (the 17 joints of COCO"), (frame([1.0] * 7), "7 numbers"),
    (frame(["a"] * 54), "'a'"),
    (frame("nose"), "list of numbers"), ({**frame(), "people": 7}, "people of frame 0"),
    ([frame(), {**frame(), "people": [5]}], "person 0 of frame 1")])
def test_errors_say_what_and_where(value, part):
    with pytest.raises(ValueError, match="pose") as error:
        read_poses(value)
    assert part in str(error.value)


def test_reading_changes_nothing():
    value = [frame(body({"nose": [0.5, 0.5, 1.0]}), version="1.3")]
    before = copy.deepcopy(value)
    read_poses(value)
    assert value == before


def test_writing_pleases_every_consumer():
    keypoints = torch.arange(36.0).view(18, 2) + 3
    scores = torch.linspace(0, 1, 18)
    written = write_poses([PoseFrame(64, 48, (Pose(keypoints, scores, 64, 48),)), PoseFrame(64, 48)])
    assert [len(one["people"]) for one in written] == [1, 0]
    assert (written[0]["canvas_width"], written[0]["canvas_height"]) == (64, 48)
    person = written[0]["people"][0]
    lengths = {"pose_keypoints_2d": 54, "face_keypoints_2d": 210, "hand_left_keypoints_2d": 63,
               "hand_right_keypoints_2d": 63, "foot_keypoints_2d": 18, "anyone_scores": 18}
    assert {key: len(numbers) for key, numbers in person.items()} == lengths
    assert all(type(number) is float for numbers in person.values() for number in numbers)
    assert person["pose_keypoints_2d"][:6] == [0.0, 0.0, 0.0, 5.0, 6.0, 1.0]
    assert set(person["pose_keypoints_2d"][2::3]) == {0.0, 1.0}
    assert not any(person["face_keypoints_2d"])
    assert json.loads(json.dumps(written)) == written


def test_joints_up_and_left_of_the_canvas_survive_a_round_trip():
    pose = Pose(torch.full((18, 2), -5.0), torch.linspace(0, 1, 18), 100, 90)
    written = write_poses([PoseFrame(100, 90, (pose,))])
    assert torch.equal(read_poses(written)[0].people[0].keypoints, pose.keypoints)
    written[0]["people"][0]["anyone_scores"][5] = 0.0                # now only somebody else's -5, -5
    assert read_poses(written)[0].people[0].present.tolist() == [0 < i != 5 for i in range(18)]


def test_round_trip_keeps_scores_even_after_an_editor():
    pose = Pose(torch.arange(36.0).view(18, 2) + 2, torch.linspace(0, 1, 18), 100, 90)
    written = write_poses([PoseFrame(100, 90, (pose,))])
    read = read_poses(json.dumps(written))[0].people[0]
    assert torch.equal(read.keypoints, pose.keypoints)
    assert torch.equal(read.scores, pose.scores)
    numbers = written[0]["people"][0]["pose_keypoints_2d"]
    numbers[:6] = [7.0, 8.0, 1.0, 5.0, 6.0, 0.0]                     # an editor adds the nose, drops the neck
    edited = read_poses(written)[0].people[0]
    assert joint(edited, "nose") == [7, 8, 1]
    assert joint(edited, "neck") == MISSING


EMPTY_PARTS = {"face_keypoints_2d": None, "hand_left_keypoints_2d": None, "hand_right_keypoints_2d": None}
OURS = Pose(torch.full((18, 2), 7.5), torch.full((18,), 0.3), 64, 48)
DIALECTS = {
    "DWPose": {**DWPOSE, "people": [{**DWPOSE["people"][0], **EMPTY_PARTS}]},
    "OpenPose": frame(body({"nose": [0.5, 0.25, 1.0], "neck": [0.5, 0.375, 1.0]}), width=500, height=600),
    "SDPose": frame(body({"nose": [10, 20, 0.75], "neck": [30, 40, 0.25]}, missing=[-1.0, -1.0, 0.0])),
    "BODY_25": frame([10.0, 20.0, 0.5] * 25),
    "AP-10K": {"version": "ap10k", "animals": [[[1, 2, 1]] * 17], "canvas_width": 9, "canvas_height": 8},
    "ours": write_poses([PoseFrame(64, 48, (OURS,))])[0],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_survives_a_round_trip(dialect):
    read = read_poses(DIALECTS[dialect])
    written = write_poses(read)
    (again,) = read_poses(json.dumps(written), padded_to_64=False)
    assert write_poses([again]) == written
    assert len(again.people) == (dialect != "AP-10K")
    for before, after in zip(read[0].people, again.people, strict=True):
        assert before.present.any()
        assert torch.equal(before.keypoints, after.keypoints)
        assert torch.equal(before.scores, after.scores)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=5), x, max_size=3),
                    max_leaves=12)
NUMBERS = st.lists(st.none() | st.floats() | st.integers(), min_size=54, max_size=54)
PERSON = st.fixed_dictionaries({}, optional={"pose_keypoints_2d": NUMBERS | JSON, "anyone_scores": JSON})
SIDE = st.integers(1, 4096) | JSON
FRAME = st.fixed_dictionaries({}, optional={"canvas_width": SIDE, "canvas_height": SIDE, "animals": JSON,
                                            "people": st.lists(PERSON, max_size=3) | JSON})


@settings(max_examples=300, deadline=None, database=None)
@given(JSON | FRAME | st.lists(FRAME, max_size=3) | st.text())
def test_garbage_is_a_pose_or_a_value_error(value):
    try:
        frames = read_poses(value)
    except ValueError as error:
        assert str(error).endswith(".")
        return
    for one in frames:
        for pose in one.people:
            assert torch.isfinite(pose.keypoints).all()
            assert ((pose.scores >= 0) & (pose.scores <= 1)).all()
    json.dumps(write_poses(frames), allow_nan=False)
