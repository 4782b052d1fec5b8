"""Every producer's POSE_KEYPOINT through the nodes, and poses no node may stumble over."""
from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from anyone.core.pose import COCO_JOINTS, JOINTS
from anyone.nodes import (
    AnyoneComparePoses,
    AnyoneDrawPose,
    AnyoneInterpolatePoses,
    AnyoneLoadPose,
    AnyonePoseFromJSON,
    AnyonePoseMaps,
    AnyonePoseMask,
    AnyonePoseToJSON,
    AnyoneRetargetPose,
    AnyoneSavePose,
    AnyoneSelectPerson,
    AnyoneSmoothPoses,
    AnyoneTransformPose,
)

BODY_25 = [*JOINTS[:8], "mid_hip", *JOINTS[8:], *(f"toe_{i}" for i in range(6))]
SEEN = {"nose": (320.0, 120.0), "right_shoulder": (256.0, 192.0), "left_shoulder": (384.0, 200.0),
        "left_wrist": (448.0, 400.0)}                      # pixels of 640 x 480
NECK = (320.0, 196.0)                                      # where COCO's shoulders put it


def joints(order, missing, scale=(1.0, 1.0), score=1.0) -> list[float]:
    """Triples of SEEN in some order of joints."""
    points = {name: [x / scale[0], y / scale[1], score] for name, (x, y) in SEEN.items()}
    return [number for name in order for number in points.get(name, missing)]


def frame(person: dict, width=640, height=480) -> dict:
    return {"people": [person], "canvas_width": width, "canvas_height": height}


ABSENT = {"face_keypoints_2d": None, "hand_left_keypoints_2d": None, "hand_right_keypoints_2d": None}
HANDS = {"face_keypoints_2d": [-1.0, -1.0, 0.1] * 70, "hand_left_keypoints_2d": [5.0, 5.0, 0.9] * 21,
         "hand_right_keypoints_2d": [-1.0, -1.0, 0.0] * 21, "foot_keypoints_2d": [9.0, 9.0, 0.4] * 6}
DIALECTS = {
    "DWPose": frame({"pose_keypoints_2d": joints(JOINTS, [0, 0, 0]), **ABSENT}),
    "controlnet_aux OpenPose": frame({"pose_keypoints_2d": joints(JOINTS, [0, 0, 0], (640, 512)), **ABSENT}),
    "a canvas of no multiple of 64": frame(
        {"pose_keypoints_2d": joints(JOINTS, [0, 0, 0], (640, 512)), **ABSENT}, 600, 470),
    "core SDPose": frame({"pose_keypoints_2d": joints(JOINTS, [-1, -1, 0.2], score=0.75), **HANDS}),
    "BODY_25": frame({"person_id": [-1], "pose_keypoints_2d": joints(BODY_25, [0, 0, 0], score=0.5)}),
}
COCO = joints(COCO_JOINTS, [0, 0, 0], score=0.75)
NO_CANVAS = {
    "OpenPose's own file": {"version": 1.3, "people": [{"pose_keypoints_2d": joints(BODY_25, [0, 0, 0])}]},
    "COCO results": [{"image_id": 7, "category_id": 1, "keypoints": COCO, "score": 0.9}],
    "COCO array": [[COCO[i:i + 3] for i in range(0, 51, 3)]],
}


def found(pose) -> dict[str, tuple[float, float]]:
    """name -> x, y of the present joints of the only person, as any consumer reads them."""
    (person,) = pose[0]["people"]
    numbers = person["pose_keypoints_2d"]
    assert len(numbers) == 54 and set(numbers[2::3]) <= {0.0, 1.0}
    return {name: (numbers[3 * i], numbers[3 * i + 1]) for i, name in enumerate(JOINTS) if numbers[3 * i + 2]}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_becomes_the_one_all_consumers_take(run, name, tmp_path):
    value = DIALECTS[name]
    before = copy.deepcopy(value)
    path = tmp_path / "input" / "p.json"
    path.parent.mkdir()
    path.write_text(json.dumps([value]))
    for pose in (run(AnyonePoseFromJSON, json=json.dumps(value)).args[0],
                 run(AnyonePoseFromJSON, file="p.json").args[0], run(AnyoneLoadPose, path="p.json").args[0],
                 run(AnyoneSelectPerson, pose=[value]).args[0],
                 json.loads(run(AnyonePoseToJSON, pose={"__value__": [value]}).args[0])):
        assert found(pose) == SEEN
        assert (pose[0]["canvas_width"], pose[0]["canvas_height"]) == (value["canvas_width"],
                                                                        value["canvas_height"])
        assert run(AnyonePoseFromJSON, json=json.dumps(pose)).args[0] == pose, "a round trip changes nothing"
    assert value == before


@pytest.mark.parametrize("name, score", [("DWPose", 1), ("core SDPose", 0.75), ("BODY_25", 0.5)])
def test_true_scores_travel_beside_the_ones(run, name, score):
    pose = run(AnyoneSelectPerson, pose=[DIALECTS[name]]).args[0]
    scores = pose[0]["people"][0]["anyone_scores"]
    assert {JOINTS[i]: value for i, value in enumerate(scores) if value} == dict.fromkeys(SEEN, score)


@pytest.mark.parametrize("name", NO_CANVAS)
def test_files_without_a_canvas_take_the_given_one(run, name, tmp_path):
    path = tmp_path / "input" / "p.json"
    path.parent.mkdir()
    path.write_text(json.dumps(NO_CANVAS[name]))
    pose = run(AnyoneLoadPose, path="p.json", width=640, height=480).args[0]
    assert found(pose) == ({**SEEN, "neck": NECK} if "COCO" in name else SEEN)
    assert pose[0]["canvas_width"] == 640
    with pytest.raises(ValueError, match="width and height of the picture"):
        run(AnyonePoseFromJSON, json=json.dumps(NO_CANVAS[name]))


def test_animals_are_refused_by_name(run, tmp_path):
    animals = {"version": "ap10k", "animals": [[[1, 2, 1]] * 17], "canvas_width": 64, "canvas_height": 64}
    pose, note = run(AnyoneSelectPerson, pose=[animals]).args
    assert pose[0]["people"] == [] and "AP-10K" in note
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "p.json").write_text(json.dumps([animals]))
    output = run(AnyoneLoadPose, path="p.json")
    assert output.args == (pose, 1) and output.ui["text"] == [note]
    with pytest.raises(ValueError, match="51 numbers .the 17 joints of COCO or AP-10K."):
        run(AnyonePoseFromJSON, json=json.dumps(frame({"pose_keypoints_2d": [1.0] * 51})))


PICTURE = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))
NODES = {AnyonePoseToJSON: {}, AnyoneDrawPose: {}, AnyoneSavePose: {}, AnyonePoseMaps: {}, AnyonePoseMask: {},
         AnyoneSelectPerson: {"keep": "all"}, AnyoneTransformPose: {"mirror": True, "rotation": 10.0},
         AnyoneSmoothPoses: {}}
PAIRS = {AnyoneComparePoses: "reference", AnyoneInterpolatePoses: "end", AnyoneRetargetPose: "reference",
         AnyoneSelectPerson: "other"}
NOBODY = {"canvas_width": 64, "canvas_height": 48, "people": []}
GARBAGE = [("{", "no valid JSON"), ("nonsense", "no valid JSON"), (5, "list of frames"), ([], "empty list"),
           ([5], "dictionary"), ([{"people": []}], "canvas_width"),
           ([{**NOBODY, "people": 5}], "people of frame 0"), ([{**NOBODY, "people": ["x"]}], "person 0"),
           ([{**NOBODY, "canvas_width": math.nan}], "canvas_width"),
           ([{**NOBODY, "people": [{"pose_keypoints_2d": [1.0] * 7}]}], "7 numbers")]


@pytest.mark.parametrize("value, words", GARBAGE)
def test_garbage_is_refused_in_a_sentence_that_names_the_input(run, value, words):
    for node, inputs in NODES.items():
        with pytest.raises(ValueError, match=f"^pose.*{words}"):
            run(node, pose=value, **inputs)
    for node, name in PAIRS.items():
        with pytest.raises(ValueError, match=f"^{name}.*{words}"):
            run(node, **{"pose": [NOBODY], name: value})


def body(numbers: list[float]) -> dict:
    return {"pose_keypoints_2d": numbers}


def line(x: float, y: float) -> list[float]:
    return [number for i in range(18) for number in (x + i / 2, y + i, 1.0)]


BROKEN = {
    "nobody": [],
    "no joints": [body([0.0] * 54), {}],
    "NaN": [body([math.nan, 5.0, 1.0, 5.0, math.inf, 1.0, 5.0, 5.0, math.nan] * 6)],
    "one joint NaN": [body([math.nan, 5.0, 1.0, *line(20, 10)[3:]])],
    "huge": [body([1e30, 1e30, 1.0] * 18), body([1e6, -1e6, 1.0] * 18)],
    "one point": [body([20.0, 20.0, 1.0] * 18)],
    "100 people": [body(line(number / 2, number / 4)) for number in range(100)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_odd_poses_pass_through_every_node(run, name):
    given = [{**NOBODY, "people": BROKEN[name]}, NOBODY]
    several = {**NODES, AnyonePoseMask: {"image": PICTURE, "method": "body"},
               AnyoneInterpolatePoses: {"end": given, "loop": True}, AnyoneComparePoses: {"reference": given},
               AnyoneRetargetPose: {"reference": [{**NOBODY, "people": [body(line(3, 3))]}]}}
    for node, inputs in several.items():
        for result in run(node, pose=given, **inputs).args:
            json.dumps(result.tolist() if isinstance(result, torch.Tensor) else result, allow_nan=False)


def test_a_hundred_people_stay_a_hundred(run):
    given = [{**NOBODY, "people": BROKEN["100 people"]}]
    for node, inputs in ((AnyoneTransformPose, {}), (AnyoneSmoothPoses, {"track": False}),
                         (AnyoneSelectPerson, {"keep": "all"}), (AnyoneRetargetPose, {"reference": given})):
        assert len(run(node, pose=given, **inputs).args[0][0]["people"]) == 100
    assert run(AnyoneComparePoses, pose=given, reference=given).args[:2] == (1, 1)


@pytest.mark.parametrize("method", ["grabcut", "pg2", "deformable-gan"])
@pytest.mark.parametrize("name", [name for name in BROKEN if name != "100 people"])
def test_odd_poses_make_masks(run, name, method):
    given = [{**NOBODY, "people": BROKEN[name]}]
    assert run(AnyonePoseMask, pose=given, image=PICTURE, method=method).args[0].shape == (1, 48, 64)
