import argparse
import json

import numpy as np
import pytest
import torch
from anyone.core import shards
from anyone.core.runtime import Interrupted, Runtime
from anyone.core.synthetic import REGION_PALETTE, cli, render_people
from anyone.core.synthetic.pool import PoolSettings, write_pictures, write_pool
from anyone.core.training import Pool
from PIL import Image
from safetensors.torch import load_file

SETTINGS = PoolSettings(count=10, size=(48, 32), first_id=100, seed=2)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 4)


def test_a_pool_holds_what_was_drawn(tmp_path, small_shards):
    write_pool(tmp_path, SETTINGS, Runtime(device="cpu"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"pool-0000{k}.safetensors" for k in range(3)]
    samples = Pool(tmp_path).take(torch.arange(10))
    expected = render_people(torch.arange(100, 110), 48, 32, seed=2)
    assert (samples["image"].float() / 255 - expected.image).abs().max() <= .5 / 255 + 1e-6
    for name in ("regions", "people", "people_regions", "keypoints", "visibility"):
        assert torch.equal(samples[name], getattr(expected, name)), name
    assert torch.equal(samples["identity"], expected.identity_vector.half())


def test_finished_shards_are_kept_and_missing_ones_made(tmp_path, small_shards):
    write_pool(tmp_path, SETTINGS, Runtime(device="cpu"))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "pool-00001.safetensors").unlink()
    write_pool(tmp_path, SETTINGS, Runtime(device="cpu"))
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert set(after) == set(before)
    assert [name for name in after if after[name] != before[name]] == ["pool-00001.safetensors"]


def test_a_longer_pool_extends_a_shorter_one(tmp_path, small_shards):
    write_pool(tmp_path, PoolSettings(6, (48, 32)), Runtime(device="cpu"))
    write_pool(tmp_path, PoolSettings(8, (48, 32)), Runtime(device="cpu"))
    assert len(load_file(tmp_path / "pool-00001.safetensors")["image"]) == 4


def test_a_pool_of_other_settings_is_refused(tmp_path, small_shards):
    write_pool(tmp_path, PoolSettings(2, (48, 32)), Runtime(device="cpu"))
    with pytest.raises(ValueError, match="other settings"):
        write_pool(tmp_path, PoolSettings(2, (48, 32), seed=1), Runtime(device="cpu"))


def test_an_interrupt_leaves_no_half_shard(tmp_path, small_shards, impatient):
    with pytest.raises(Interrupted):
        write_pool(tmp_path, SETTINGS, impatient(3))
    assert [path.name for path in tmp_path.iterdir()] == ["pool-00000.safetensors"]


def test_pictures_come_with_labels_and_keypoints(tmp_path):
    write_pictures(tmp_path, PoolSettings(2, (64, 48)), Runtime(device="cpu"))
    expected = render_people(torch.arange(2), 64, 48)
    with Image.open(tmp_path / "person-000001.labels.png") as labels:
        assert labels.mode == "P" and labels.getpalette()[:36] == REGION_PALETTE.flatten().tolist()
        assert torch.equal(torch.tensor(np.array(labels)),
                           expected.regions[1])
    with Image.open(tmp_path / "person-000001.png") as picture:
        assert picture.size == (48, 64) and picture.mode == "RGB"
    annotation = json.loads((tmp_path / "person-000001.json").read_text())
    assert annotation["width"] == 48 and annotation["keypoint_order"][0] == "nose"
    main = torch.tensor(annotation["people"][0])
    assert (main[:, :2] - expected.keypoints[1, 0]).abs().max() <= .006
    assert torch.equal(main[:, 2], expected.visibility[1, 0].float())


def test_the_command_line(tmp_path):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    sheet = tmp_path / "sheet.png"
    args = parser.parse_args(["--out", str(tmp_path / "set"), "--count", "3", "--size", "48x32", "--sheet",
                              str(sheet)])
    assert cli.main(args) == 0
    assert len(load_file(tmp_path / "set/pool-00000.safetensors")["image"]) == 3
    with Image.open(sheet) as picture:
        assert picture.size == (3 * 34 - 2, 2 * 50 - 2)             # pictures above, annotated ones below
    with pytest.raises(ValueError, match="--out"):
        cli.main(parser.parse_args([]))
    with pytest.raises(SystemExit):
        parser.parse_args(["--size", "big"])
