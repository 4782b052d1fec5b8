from __future__ import annotations

import json

import pytest
import torch
from anyone.core.pose import Pose, PoseFrame, load_poses, save_pose_file, save_pose_folder


@pytest.fixture
def frames(person, without) -> list[PoseFrame]:
    faint = Pose(person.keypoints + 0.375, torch.linspace(0, 1, 18), 200, 256)
    return [PoseFrame(200, 256, (person, faint)), PoseFrame(200, 256),
            PoseFrame(64, 48, (without(person, "neck"),))]


def same(a: list[PoseFrame], b: list[PoseFrame]) -> bool:
    sizes = [[(frame.width, frame.height, len(frame.people)) for frame in frames] for frames in (a, b)]
    return sizes[0] == sizes[1] and all(
        torch.equal(p.keypoints, q.keypoints) and torch.equal(p.scores, q.scores)
        for f, g in zip(a, b, strict=True) for p, q in zip(f.people, g.people, strict=True))


def test_one_file(frames, tmp_path):
    path = tmp_path / "deep" / "poses.json"
    save_pose_file(frames, path)
    assert same(load_poses(path), frames)
    assert [len(frame["people"]) for frame in json.loads(path.read_text())] == [2, 0, 1]
    save_pose_file(frames[:1], path)
    assert same(load_poses(path), frames[:1])
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_of_frames(frames, tmp_path):
    paths = save_pose_folder(frames, tmp_path / "dance", "take[1]")
    assert [path.name for path in paths] == ["take[1]_00000.json", "take[1]_00001.json", "take[1]_00002.json"]
    assert same(load_poses(tmp_path / "dance"), frames)
    assert same(load_poses(paths[2]), frames[2:])
    with pytest.raises(FileExistsError, match="dance already holds take"):
        save_pose_folder(frames[:1], tmp_path / "dance", "take[1]")
    assert len(save_pose_folder(frames, tmp_path / "dance", "other")) == 3


def test_numbers_sort_as_numbers(frames, tmp_path):
    for number in (10, 9, 100):
        save_pose_file([PoseFrame(number, 1)], tmp_path / f"frame_{number}.json")
    assert [frame.width for frame in load_poses(tmp_path)] == [9, 10, 100]


def test_openpose_s_own_files_need_a_canvas(tmp_path):
    body = [10.0, 20.0, 0.5] * 25
    (tmp_path / "video_000000000000_keypoints.json").write_text(
        json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": body}]}))
    with pytest.raises(ValueError, match="canvas_width, canvas_height and people; it has version, people"):
        load_poses(tmp_path)
    (frame,) = load_poses(tmp_path, canvas=(640, 480))
    assert (frame.width, frame.height) == (640, 480)
    assert frame.people[0].keypoints.tolist() == [[10, 20]] * 18


def test_padding_is_passed_on(tmp_path):
    (tmp_path / "a.json").write_text('﻿{"canvas_width": 100, "canvas_height": 50, "people": '
                                     '[{"pose_keypoints_2d": [' + ", ".join(["0.5, 0.5, 1"] * 18) + "]}]}",
                                     encoding="utf-8")
    assert load_poses(tmp_path)[0].people[0].keypoints[0].tolist() == [64, 32]
    assert load_poses(tmp_path, padded_to_64=False)[0].people[0].keypoints[0].tolist() == [50, 25]


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no pose file or folder .*none\.json"):
        load_poses(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"holds no \.json files"):
        load_poses(tmp_path)
    for content in (b"{", b"\xff\xfe\x00", b"[[[1, 2, 1]]]", b'{"annotations": [], "images": []}'):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.json is no pose file"):
            load_poses(tmp_path)
