"""`run.py pool pictures`: any pictures, with or without classes."""
from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from anyone.core import shards
from anyone.core.training import Pool, pools_cli
from anyone.core.training.picture_sets import picture_folder
from PIL import Image


def save(path, grey, height=8, width=16):
    """Grey with white at the left and at the right, which the middle square has nothing of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), grey, np.uint8)
    pixels[:, :width // 4] = pixels[:, -width // 4:] = 255
    Image.fromarray(pixels).save(path)


def run(tmp_path, *words):
    parser = argparse.ArgumentParser()
    pools_cli.add_arguments(parser)
    folders = "--from", str(tmp_path / "set"), "--out", str(tmp_path / "pool")
    return pools_cli.main(parser.parse_args(["pictures", *folders, "--size", "8x8", *words]))


def greys(pool):
    return [round(value) for value in pool.take(torch.arange(len(pool)))["image"][:, 0, 4, 4].tolist()]


def test_the_middle_of_everything_in_a_mixed_order(tmp_path):
    for number in range(6):
        save(tmp_path / "set" / ("some" if number % 2 else ".") / f"{number}.png", 40 * number)
    (tmp_path / "set" / "notes.txt").write_text("no picture")
    (tmp_path / "set" / "._0.png").write_bytes(b"what some systems leave beside files")
    assert run(tmp_path) == 0
    pool = Pool(tmp_path / "pool")
    assert pool.shards[0].keys() == {"image"} and pool.size == (8, 8)
    assert sorted(greys(pool)) == [0, 40, 80, 120, 160, 200] != greys(pool)
    image = pool.shards[0]["image"].float()
    assert image.std((1, 2, 3)).max() < 2 and image.shape == (6, 3, 8, 8)      # nothing of the sides


@pytest.mark.parametrize("height, first", [(8, 0), (16, 4), (24, 8)])
def test_high_pictures_lose_what_is_above_and_below(tmp_path, height, first):
    pixels = np.tile(np.linspace(0, 240, height).astype(np.uint8)[:, None, None], (1, 8, 3))
    (tmp_path / "set").mkdir()
    Image.fromarray(pixels).save(tmp_path / "set" / "a.png")
    run(tmp_path)
    image = Pool(tmp_path / "pool").shards[0]["image"][0, 0].numpy()
    assert np.array_equal(image, pixels[first:first + 8, :, 0])


def test_photographs_stand_upright(tmp_path):
    """6 in a camera's notes: the sensor's left side is up."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 200
    picture, notes = Image.fromarray(pixels), Image.Exif()
    notes[0x0112] = 6
    (tmp_path / "set").mkdir()
    picture.save(tmp_path / "set" / "a.png", exif=notes)
    run(tmp_path)
    upright = Pool(tmp_path / "pool").shards[0]["image"][0, 0]
    assert (upright[:4] == 200).all() and (upright[4:] == 0).all()


def test_folders_are_classes_when_asked(tmp_path):
    for number in range(6):
        save(tmp_path / "set" / ("light" if number % 2 else "dark") / "more" / f"{number}.png", 40 * number)
    save(tmp_path / "set" / ".thumbnails" / "0.png", 10)
    assert run(tmp_path, "--classes") == 0
    pool = Pool(tmp_path / "pool")
    labels = pool.take(torch.arange(6))["label"]
    assert labels.dtype == torch.int64 and labels.tolist() == [grey // 40 % 2 for grey in greys(pool)]
    save(tmp_path / "set" / "loose.png", 0)
    with pytest.raises(ValueError, match="loose.png lies in .*set itself, so it has no class"):
        run(tmp_path, "--classes")


def test_broken_pictures_are_left_out_and_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 2)
    for number in range(4):
        save(tmp_path / "set" / f"{number}.png", 40 * number)
    (tmp_path / "set" / "2.png").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="2.png cannot be read.*With --skip-broken such pictures are left"):
        run(tmp_path)
    assert run(tmp_path, "--skip-broken") == 0
    assert "left out: 2.png cannot be read as a picture: it is another kind" in capsys.readouterr().err
    assert sorted(greys(Pool(tmp_path / "pool"))) == [0, 40, 120]
    save(tmp_path / "set" / "2.png", 80)                   # mended: only its shard is made again
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").iterdir()}
    assert run(tmp_path) == 0
    assert sorted(greys(Pool(tmp_path / "pool"))) == [0, 40, 80, 120]
    assert sum(path.stat().st_mtime_ns == time for path, time in kept.items()) == 1


def test_other_pictures_need_another_pool(tmp_path):
    save(tmp_path / "set" / "a.png", 0)
    run(tmp_path)
    save(tmp_path / "set" / "b.png", 0)
    with pytest.raises(ValueError, match="made with other settings"):
        run(tmp_path)


def test_no_pictures(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="There are no pictures in"):
            picture_folder(folder)
