"""Folders that appear whole, under a name nobody has."""
from __future__ import annotations

import pytest
from anyone.core.graph.files import save_folder
from anyone.core.runtime import Runtime


def fill(folder):
    (folder / "a.txt").write_text("a")


def test_folders_count_on_from_what_is_there(tmp_path):
    output = tmp_path / "output"
    first = save_folder(fill, "deep/take", Runtime(root=tmp_path), "output")
    assert first == output / "deep" / "take_00001"
    (output / "deep" / "take_00007_.json").touch()
    second = save_folder(fill, "deep/take", Runtime(root=tmp_path), "output")
    assert second.name == "take_00008" and (second / "a.txt").read_text() == "a"
    assert sorted(path.name for path in first.parent.iterdir()) == ["take_00001", "take_00007_.json",
                                                                    "take_00008"]


def test_others_may_look_into_the_folder(tmp_path):
    mode = save_folder(fill, "take", Runtime(root=tmp_path), "output").stat().st_mode
    (tmp_path / "plain").mkdir()
    assert mode == (tmp_path / "plain").stat().st_mode


def test_a_failure_leaves_nothing(tmp_path):
    def fail(folder):
        fill(folder)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        save_folder(fail, "take", Runtime(root=tmp_path), "output")
    assert list((tmp_path / "output").iterdir()) == []


@pytest.mark.parametrize(("prefix", "words"), [("../take", "outside"), ("", "no file name")])
def test_folders_stay_inside(tmp_path, prefix, words):
    with pytest.raises(ValueError, match=words):
        save_folder(fill, prefix, Runtime(root=tmp_path), "output")
