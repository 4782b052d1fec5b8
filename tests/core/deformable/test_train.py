"""Training Deformable GAN: the published losses, and that a run learns, saves and goes on."""
from __future__ import annotations

import argparse
import json

import pytest
import torch
from anyone.core.deformable import train
from anyone.core.runtime import Runtime
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pairs, cli
from safetensors import safe_open
from torch import nn

WIDTHS = "6,8,8,8,8,8"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pool(folder, PoolSettings(16, (128, 64), "studio", first_id=7, views=4), Runtime(device="cpu"))
    return folder


def run(pool, out, *words) -> list[dict]:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    arguments = ["deformable", "--data", pool, "--out", out, "--batch", 4, "--widths", WIDTHS, *words]
    assert cli.main(parser.parse_args(list(map(str, arguments)))) == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def header(out) -> dict[str, str]:
    with safe_open(out / "deformable.safetensors", framework="pt") as file:
        return file.metadata()


def test_a_run_learns(pool, tmp_path):
    lines = run(pool, tmp_path, "--steps", 60, "--muon", 0.02, "--pixel", 20, "--nearest", 1,
                "--adversarial", 0)
    first, last = lines[0], lines[-1]
    assert last["nearest"] < 0.9 * first["nearest"] and last["pixel"] < 0.8 * first["pixel"]
    assert last["opacity"] < 0.8 * first["opacity"] and "adversarial" not in last
    assert header(tmp_path)["size"] == "128x64" and header(tmp_path)["heatmaps"] == "smooth"
    assert header(tmp_path)["features"] == "features of detect-person"
    scores = json.loads((tmp_path / "deformable.json").read_text())["scores"]
    assert scores.keys() == {"l1", "copied", "ssim", "person_ssim", "mask_iou"}


def test_the_published_losses_and_rates(pool, tmp_path):
    last = run(pool, tmp_path, "--steps", 2)[-1]
    assert last.keys() - {"step", "images", "seconds"} == {"nearest", "adversarial", "discriminator",
                                                           "opacity"}
    assert 0.5 < last["discriminator"] < 3                  # nobody can tell yet: 2 log 2
    state = torch.load(tmp_path / "state.pt", weights_only=True)["optimizers"]
    assert {one["param_groups"][0]["initial_lr"] for one in state.values()} == {2e-4}


def test_the_baseline_by_l1(pool, tmp_path):
    last = run(pool, tmp_path, "--steps", 2, "--no-skips", "--loss", "l1", "--adversarial", 0)[-1]
    assert last.keys() - {"step", "images", "seconds"} == {"pixel", "opacity"}
    with safe_open(tmp_path / "deformable.safetensors", framework="pt") as file:
        assert file.get_slice("appearance.0.weight").get_shape() == [6, 3 + 18 + 18, 3, 3]
    assert header(tmp_path)["features"] == "none"


def test_small_pictures_first(pool, tmp_path):
    run(pool, tmp_path / "small", "--steps", 2, "--adversarial", 0, "--size", "64x32")
    weights = tmp_path / "small" / "deformable.safetensors"
    run(pool, tmp_path / "large", "--steps", 1, "--adversarial", 0, "--grow", weights, "--muon", 1e-6)
    with safe_open(weights, framework="pt") as old, \
            safe_open(tmp_path / "large" / "deformable.safetensors", framework="pt") as new:
        key = "decoder.blocks.2.conv.weight"
        assert torch.allclose(old.get_tensor(key).float(), new.get_tensor(key).float(), atol=1e-3)


def test_weights_of_another_network_are_no_start(pool, tmp_path, capsys):
    run(pool, tmp_path / "small", "--steps", 1, "--adversarial", 0)
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    words = ["deformable", "--data", pool, "--out", tmp_path / "next", "--steps", 1, "--widths", WIDTHS,
             "--no-skips", "--grow", tmp_path / "small" / "deformable.safetensors"]
    assert cli.main(parser.parse_args(list(map(str, words)))) == 1
    assert "do not fit" in capsys.readouterr().err


def test_initial_weights_are_glorots():
    conv = train.initialised(nn.Conv2d(8, 24, 4))
    assert conv.weight.std().item() == pytest.approx((2 / (16 * 32)) ** 0.5, rel=0.1)
    assert (conv.bias == 0).all()


def test_the_loss_window_follows_the_size(pool):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    pairs = Pairs(pool)
    for size, window, levels in ((None, 3, 6), ((256, 256), 5, 7)):
        args = parser.parse_args([])
        args.size = size
        task = train.build(args, pairs)
        assert task.window == window and len(task.generator.config.widths) == levels
