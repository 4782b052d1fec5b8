"""`run.py run`: settings, folders, batches, failures and exit codes."""
from __future__ import annotations

import argparse
import json

import pytest
from anyone.core.graph import batch, cli
from PIL import Image

FLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "astronaut.png"}},
        "2": {"class_type": "LoadImageMask", "inputs": {"image": "astronaut_mask.png", "channel": "red"}},
        "3": {"class_type": "Number", "inputs": {"value": 3}, "_meta": {"title": "Times"}},
        "4": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": ["3", 0]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "all/look"}},
        "6": {"class_type": "MaskToImage", "inputs": {"mask": ["2", 0]}},
        "7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}},
        "8": {"class_type": "Show", "inputs": {"value": ["3", 0]}, "_meta": {"title": "Note"}}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def draw(folder, *names):
    for name in names:
        Image.new("RGB", (4, 4), (255, 0, 0)).save(folder / name)


@pytest.fixture
def start(tmp_path, toys):
    """Runs the command on FLOW (or another prompt) and returns its exit code."""
    def start(*words, flow=FLOW):
        (tmp_path / "flow.json").write_text(json.dumps(flow), encoding="utf-8")
        parser = argparse.ArgumentParser()
        cli.add_arguments(parser)
        parser.set_defaults(pack_nodes=lambda: toys.all)
        return cli.main(parser.parse_args([str(tmp_path / "flow.json"), "--output", str(tmp_path / "out"),
                                           *map(str, words)]))

    return start


def saved(tmp_path):
    return sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))


def test_one_run_prints_texts_and_files(start, folder, tmp_path, capsys):
    draw(folder, "astronaut.png", "astronaut_mask.png", "other.png")
    assert start("--input", folder, "--set", "Times.value=2") == 0
    assert saved(tmp_path) == ["all/look_00001_.png", "all/look_00002_.png"]
    output = capsys.readouterr()
    paths = [str(tmp_path / "out" / name) for name in saved(tmp_path)]
    assert output.out.splitlines() == ["8 Note (Show): 2", *paths]
    assert "done" in output.err and "error" not in output.err


def test_input_defaults_to_the_folder_beside_the_workflow(start, tmp_path):
    (tmp_path / "input").mkdir()
    draw(tmp_path / "input", "astronaut.png", "astronaut_mask.png")
    assert start() == 0


def test_a_missing_picture_is_an_error_unless_a_folder_was_given(start, tmp_path, capsys):
    (tmp_path / "input").mkdir()
    draw(tmp_path / "input", "other.png", "other_mask.png")
    assert start() == 1
    assert "1 LoadImage: Invalid image file: astronaut.png" in capsys.readouterr().err
    assert start("--input", tmp_path / "input") == 0


def test_a_picture_brings_the_files_beside_it(start, folder, tmp_path):
    draw(folder, "scene.jpg", "scene_mask.png", "astronaut.png", "astronaut_mask.png")
    assert start("--input", folder / "scene.jpg", "--set", "3.value=1") == 0
    assert saved(tmp_path) == ["all/look_scene_00001_.png"]


def test_a_folder_without_the_picture_runs_all_others(start, folder, tmp_path, capsys):
    draw(folder, "b.png", "b_mask.png", "a.png", "c.png")
    (folder / "a_mask.png").write_bytes(b"broken")
    assert start("--input", folder, "--set", "3.value=1") == 1
    assert saved(tmp_path) == [f"all/look_{name}_00001_.png" for name in "abc"]  # saving needs no mask
    error = capsys.readouterr().err
    assert "2 of 3 failed:" in error
    assert "error: a.png: 2 LoadImageMask: a_mask.png cannot be read as a picture: it is another" in error
    assert "error: c.png: 2 LoadImageMask: Invalid image file: c_mask.png" in error


def test_every_picture_on_request(start, folder, tmp_path):
    draw(folder, "astronaut.png", "astronaut_mask.png", "b.png", "b_mask.png")
    assert start("--input", folder, "--batch", "--set", "3.value=1") == 0
    assert saved(tmp_path) == ["all/look_astronaut_00001_.png", "all/look_b_00001_.png"]


def test_json_tells_everything(start, folder, capsys):
    draw(folder, "astronaut.png", "astronaut_mask.png")
    assert start("--input", folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["error"] is None and report["node_errors"] == {} and len(report["files"]) == 3
    assert report["outputs"]["8"] == {"text": ["3"]} and report["messages"][-1][0] == "execution_success"


def test_a_refused_workflow(start, folder, tmp_path, capsys):
    draw(folder, "astronaut.png", "astronaut_mask.png")
    assert start("--input", folder, "--set", "3.value=99", "--json") == 1
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert report["node_errors"]["3"]["errors"][0]["type"] == "value_bigger_than_max"
    assert report["messages"][-1][0] == "execution_success"  # the mask's preview does not need the number
    assert output.err.splitlines()[-1] == "error: 3 Times (Number): Value 99 bigger than max of 10: value"


def test_a_failing_node(start, folder, capsys):
    draw(folder, "astronaut.png", "astronaut_mask.png")
    assert start("--input", folder, flow={**FLOW, "3": {"class_type": "Fail", "inputs": {"value": 1}}}) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: 3 Fail: no luck"


@pytest.mark.parametrize(("words", "error", "phrase"), [
    (["--input", "nowhere"], FileNotFoundError, "no folder or picture nowhere"),
    (["--set", "3.value"], ValueError, "lacks a value"),
    (["--set", "9.value=1"], ValueError, "fits none of")])
def test_wrong_arguments(start, words, error, phrase):
    with pytest.raises(error, match=phrase):
        start(*words)


def test_folders_need_one_picture_to_vary(start, folder):
    draw(folder, "x.png")
    two = {**FLOW, "9": {"class_type": "LoadImage", "inputs": {"image": "background.png"}}}
    with pytest.raises(ValueError, match=r"loads astronaut\.png and background\.png"):
        start("--input", folder, flow=two)


def test_an_empty_folder_is_named(start, folder):
    with pytest.raises(ValueError, match="no pictures in"):
        start("--input", folder)


def test_companions_are_no_pictures_of_their_own(folder):
    draw(folder, "a.png", "a_mask.png", "a_hair.png", "a_2.png", "b_pose.png", "lone_mask.png")
    flow = {**FLOW, "9": {"class_type": "LoadImage", "inputs": {"image": "astronaut_hair.png"}}}
    assert batch.own_pictures(flow, folder) == ["a.png", "a_2.png", "b_pose.png", "lone_mask.png"]


def test_pointing_changes_names_and_nothing_else():
    flow = {"1": {"class_type": "LoadImage", "inputs": {"image": "astronaut.png"}},
            "2": {"class_type": "X", "inputs": {"file": "astronaut_pose.v2.json", "text": "astronaut", "n": 1,
                                                "other": "astronauts.png", "filename_prefix": ["3", 0]}}}
    changed = batch.pointed_at(flow, "scene.jpeg")
    assert changed["1"]["inputs"] == {"image": "scene.jpeg"}
    assert changed["2"]["inputs"] == {**flow["2"]["inputs"], "file": "scene_pose.v2.json"}
    assert flow["1"]["inputs"] == {"image": "astronaut.png"}
