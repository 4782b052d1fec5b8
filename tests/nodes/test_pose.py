"""Pose nodes: JSON in and out, files, drawing."""
from __future__ import annotations

import json

import pytest
import torch
from anyone.nodes import AnyoneDrawPose, AnyonePoseFromJSON, AnyonePoseToJSON


def frame(width=40, height=30, people=0):
    person = {"pose_keypoints_2d": [20.0, 15.0, 1.0] * 18}
    return {"canvas_width": width, "canvas_height": height, "people": [person] * people}


def test_text_becomes_a_pose_and_text_again(run, pose):
    text = run(AnyonePoseToJSON, pose=pose).args[0]
    assert json.loads(text) == pose
    assert run(AnyonePoseFromJSON, json=text).args[0] == pose


def test_the_text_also_goes_into_the_history(run, pose):
    output = run(AnyonePoseToJSON, pose=pose)
    assert output.ui["text"] == output.ui["openpose_json"] == [output.args[0]]
    assert "files" not in output.ui


def test_a_pose_is_saved_under_a_fresh_name_and_read_back(run, pose, tmp_path):
    saved = [run(AnyonePoseToJSON, pose=pose, filename_prefix="sub/p").ui["files"] for _ in range(2)]
    (first,), (second,) = saved
    assert first == {"filename": "p_00001_.json", "subfolder": "sub", "type": "output"}
    assert second["filename"] == "p_00002_.json"
    assert json.loads((tmp_path / "output" / "sub" / "p_00001_.json").read_text()) == pose
    assert run(AnyonePoseFromJSON, file="sub/p_00002_.json [output]").args[0] == pose


def test_text_comes_before_the_file(run):
    (pose,) = run(AnyonePoseFromJSON, json=json.dumps(frame(8, 9)), file="none.json").args[0]
    assert pose["canvas_width"] == 8


@pytest.mark.parametrize("inputs, words", [
    ({}, "json and file are both empty"),
    ({"json": "  ", "file": " "}, "json and file are both empty"),
    ({"file": "none.json"}, "there is no none.json"),
    ({"file": "../secret.json"}, "outside"),
    ({"json": "{"}, "no valid JSON"),
    ({"json": "[]"}, "empty list"),
    ({"json": '{"people": []}'}, "canvas_width"),
])
def test_what_cannot_be_read_is_refused_in_a_sentence(run, tmp_path, inputs, words):
    (tmp_path / "secret.json").write_text(json.dumps(frame()))
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyonePoseFromJSON, **inputs)


def test_a_changed_file_changes_the_fingerprint(tmp_path):
    path = tmp_path / "input" / "p.json"
    path.parent.mkdir()
    seen = set()
    for width in (40, 4000):
        path.write_text(json.dumps(frame(width)))
        seen.add(AnyonePoseFromJSON.fingerprint_inputs(file="p.json"))
    assert len(seen) == 2
    assert AnyonePoseFromJSON.fingerprint_inputs(json="x", file="p.json") == "x"


def test_a_pose_may_not_be_saved_outside_the_output_folder(run, pose):
    with pytest.raises(ValueError, match="outside"):
        run(AnyonePoseToJSON, pose=pose, filename_prefix="../p")


def test_drawing_on_black_takes_the_canvas(run, pose):
    drawn = run(AnyoneDrawPose, pose=pose).args[0]
    assert drawn.shape == (1, 80, 120, 3)
    assert drawn.amax() > 0.9 and (drawn.amax(-1) == 0).float().mean() > 0.5


def test_drawing_on_a_picture_scales_the_pose_and_keeps_the_rest(run, pose):
    background = torch.full((1, 160, 240, 3), 0.25)
    drawn = run(AnyoneDrawPose, pose=pose, background=background).args[0]
    changed = (drawn != background).any(-1)[0]
    small = run(AnyoneDrawPose, pose=pose).args[0][0].amax(-1) > 0
    rows, columns = changed.nonzero().float().mean(0).tolist()
    expected = small.nonzero().float().mean(0) * 2
    assert rows == pytest.approx(expected[0], abs=2) and columns == pytest.approx(expected[1], abs=2)


def test_batches_of_poses_and_backgrounds_repeat_to_the_longer(run):
    poses = [frame(people=1), frame(people=0)]
    drawn = run(AnyoneDrawPose, pose=poses, background=torch.zeros(3, 30, 40, 3)).args[0]
    assert drawn.shape[0] == 3
    assert [bool(picture.any()) for picture in drawn] == [True, False, True]
    assert run(AnyoneDrawPose, pose=poses).args[0].shape[0] == 2


def test_thicker_lines_cover_more(run, pose):
    thin, thick = (run(AnyoneDrawPose, pose=pose, line_width=width).args[0] for width in (1.0, 9.0))
    assert thick.any(-1).sum() > 2 * thin.any(-1).sum()
