"""Poses saved under fresh names and loaded from files and folders."""
from __future__ import annotations

import json

import pytest
from anyone.nodes import AnyoneLoadPose, AnyoneSavePose


def frame(nose_x: float, width: int = 40, height: int = 30) -> dict:
    person = {"pose_keypoints_2d": [nose_x, 9.0, 1.0] * 18}
    return {"canvas_width": width, "canvas_height": height, "people": [person]}


def noses(pose) -> list[float]:
    return [one["people"][0]["pose_keypoints_2d"][0] for one in pose]


@pytest.fixture
def write(tmp_path):
    """`write(name, value)`: a JSON file in the input folder."""
    def write(name: str, value) -> None:
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return write


SEQUENCE = [frame(3.0 + i) for i in range(7)]


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_what_is_saved_loads_again(run, pose, layout):
    given = [*pose, *SEQUENCE]
    saved, path = run(AnyoneSavePose, pose=given, layout=layout).args
    loaded, count = run(AnyoneLoadPose, path=path).args
    assert loaded == saved and count == 8
    assert saved[0] == pose[0] and noses(saved[1:]) == [3, 4, 5, 6, 7, 8, 9]


def test_one_file_of_all_frames(run, tmp_path):
    output = run(AnyoneSavePose, pose=SEQUENCE)
    assert output.args[1] == "pose/anyone_00001_.json [output]"
    assert output.ui["files"] == [{"filename": "anyone_00001_.json", "subfolder": "pose", "type": "output"}]
    assert output.ui["openpose_json"] == [json.dumps(output.args[0])]
    assert json.loads((tmp_path / "output/pose/anyone_00001_.json").read_text()) == output.args[0]


def test_a_folder_with_a_file_per_frame(run, tmp_path):
    output = run(AnyoneSavePose, pose=SEQUENCE[:2], filename_prefix="dance", layout="folder")
    assert output.args[1] == "dance_00001 [output]"
    assert output.ui["files"] == [
        {"filename": f"pose_0000{i}.json", "subfolder": "dance_00001", "type": "output"} for i in (0, 1)]
    written = json.loads((tmp_path / "output/dance_00001/pose_00001.json").read_text())
    assert written == output.args[0][1]


def test_nothing_is_ever_overwritten(run, tmp_path):
    paths = [run(AnyoneSavePose, pose=[frame(x)], filename_prefix="p", layout=layout).args[1]
             for x, layout in ((1, "file"), (2, "folder"), (3, "file"), (4, "folder"))]
    assert paths == [f"{name} [output]" for name in ("p_00001_.json", "p_00002", "p_00003_.json", "p_00004")]
    assert [noses(run(AnyoneLoadPose, path=path).args[0]) for path in paths] == [[1], [2], [3], [4]]
    assert len(list((tmp_path / "output").iterdir())) == 4, "no temporary files are left"


@pytest.mark.parametrize("prefix, words", [("../p", "outside"), ("", "no file name")])
@pytest.mark.parametrize("layout", ["file", "folder"])
def test_poses_are_saved_in_the_output_folder_only(run, pose, prefix, words, layout):
    with pytest.raises(ValueError, match=words):
        run(AnyoneSavePose, pose=pose, filename_prefix=prefix, layout=layout)


@pytest.mark.parametrize("inputs, expected", [
    ({}, [3, 4, 5, 6, 7, 8, 9]), ({"start": 2}, [5, 6, 7, 8, 9]), ({"count": 2}, [3, 4]),
    ({"every_nth": 3}, [3, 6, 9]), ({"start": 1, "every_nth": 2, "count": 2}, [4, 6]),
    ({"count": 99, "start": 6}, [9])])
def test_a_part_of_the_frames(run, write, inputs, expected):
    write("all.json", SEQUENCE)
    for i, one in enumerate(SEQUENCE):
        write(f"frames/f_{i + 5}.json", one)                                      # f_10 comes after f_9
    for path in ("all.json", "frames", " frames/ "):
        loaded, count = run(AnyoneLoadPose, path=path, **inputs).args
        assert noses(loaded) == expected and count == len(expected)


def test_openpose_s_own_files_take_the_given_canvas(run, write):
    for i in range(2):
        person = {"person_id": [-1], "pose_keypoints_2d": [10.0 + i, 20.0, 0.5] * 25}
        write(f"video/v_00000000000{i}_keypoints.json", {"version": 1.3, "people": [person]})
    loaded = run(AnyoneLoadPose, path="video", width=640, height=480).args[0]
    assert [(one["canvas_width"], one["canvas_height"]) for one in loaded] == [(640, 480)] * 2
    assert noses(loaded) == [10, 11]
    with pytest.raises(ValueError, match="width and height of the picture"):
        run(AnyoneLoadPose, path="video")


def test_a_file_s_own_canvas_comes_first(run, write):
    write("a.json", frame(3.0))
    (loaded,) = run(AnyoneLoadPose, path="a.json", width=640, height=480).args[0]
    assert (loaded["canvas_width"], loaded["canvas_height"]) == (40, 30)


def test_shares_of_a_padded_canvas(run, write):
    write("a.json", {**frame(0.5), "canvas_width": 100,
                     "people": [{"pose_keypoints_2d": [0.5, 0.5, 1.0] * 18}]})
    assert noses(run(AnyoneLoadPose, path="a.json").args[0]) == [64]
    assert noses(run(AnyoneLoadPose, path="a.json", padded_to_64=False).args[0]) == [50]


@pytest.mark.parametrize("inputs, words", [
    ({"path": ""}, "path is empty"), ({"path": "  "}, "path is empty"),
    ({"path": "none"}, "there is no none"), ({"path": "../secret.json"}, "outside"),
    ({"path": "a.json", "start": 1}, "has 1 frames"),
    ({"path": "empty.json"}, "has 0 frames"),
    ({"path": "a.json", "width": 5}, "width and height go together"),
    ({"path": "bad.json"}, "bad.json is no pose file: The pose is no valid JSON"),
    ({"path": "mixed"}, "2.json is no pose file"), ({"path": "coco.json"}, "it has images, annotations")])
def test_what_cannot_be_loaded_is_refused_in_a_sentence(run, write, tmp_path, inputs, words):
    (tmp_path / "secret.json").write_text(json.dumps(frame(1)))
    write("a.json", frame(1))
    write("empty.json", [])
    write("bad.json", "{")
    write("mixed/1.json", frame(1))
    write("mixed/2.json", "[5]")
    write("coco.json", {"images": [], "annotations": []})
    (tmp_path / "input" / "nothing").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyoneLoadPose, **inputs)
    with pytest.raises(FileNotFoundError, match=r"holds no \.json files"):
        run(AnyoneLoadPose, path="nothing")


def test_the_fingerprint_follows_the_file_and_every_file_of_a_folder(write, tmp_path):
    write("a.json", frame(1))
    write("f/1.json", frame(1))
    first = [AnyoneLoadPose.fingerprint_inputs(path=path, start=1) for path in ("a.json", "f")]
    assert first == [AnyoneLoadPose.fingerprint_inputs(path=path) for path in ("a.json", "f")]
    write("a.json", frame(1, width=4000))
    write("f/2.json", frame(1))
    second = [AnyoneLoadPose.fingerprint_inputs(path=path) for path in ("a.json", "f")]
    write("f/2.json", frame(1, width=4000))
    third = AnyoneLoadPose.fingerprint_inputs(path="f")
    (tmp_path / "input/f/1.json").rename(tmp_path / "input/f/3.json")
    fourth = AnyoneLoadPose.fingerprint_inputs(path="f")
    seen = [first[0], second[0], first[1], second[1], third, fourth]
    assert len({str(stamp) for stamp in seen}) == 6
    json.dumps(seen)
    assert AnyoneLoadPose.fingerprint_inputs(path=None) == AnyoneLoadPose.fingerprint_inputs()


def test_an_unknown_layout_is_refused(run, pose):
    with pytest.raises(ValueError, match="layout should be one of file, folder"):
        run(AnyoneSavePose, pose=pose, layout="zip")
