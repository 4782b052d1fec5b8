"""Training StyleGAN: it grows from 8x8, mixes styles and follows the mean of w; the loss is ProGAN's."""
from __future__ import annotations

import argparse
import json

import pytest
import torch
from anyone.core.growing import Stage
from anyone.core.runtime import Runtime
from anyone.core.stylegan1 import train
from anyone.core.stylegan1.network import Config, Generator
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pool, cli
from safetensors.torch import load_file

TINY = ["--size", "16x8", "--base", 128, "--widest", 8, "--latent", 6, "--phase", 32]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_pool(folder, PoolSettings(24, (32, 16), "studio", first_id=7), Runtime(device="cpu"))
    return folder


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


@pytest.fixture
def task(people):
    return train.build(parse("stylegan1", "--data", people, "--out", "x", *TINY), Pool(people))


def test_a_run_grows_from_the_second_level_and_every_weight_learns(people, tmp_path):
    arguments = ["stylegan1", "--data", people, "--out", tmp_path, "--batch", 8, *TINY]
    before = Generator(Config((8, 8, 8), (4, 2), 6, (6,) * 8)).initialise(0).state_dict()
    for steps in (6, 20):                                  # stopped in the middle of the fade, resumed
        assert cli.main(parse(*arguments, "--steps", steps, "--resume")) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [48, 160]
    assert lines[0]["level"] == pytest.approx((4 * 1 + 1 + 1.25) / 6) and lines[1]["level"] > 1.9
    state = torch.load(tmp_path / "state.pt", weights_only=True)["modules"]["generator"]
    same = {name for name, value in before.items() if torch.equal(value, state[name])}
    assert same == {"torgb.0.weight", "torgb.0.bias"}, "level 0 never draws alone"
    generator = Generator(Config((8, 8, 8), (4, 2), 6, (6,) * 8))
    generator.load_state_dict(load_file(tmp_path / "stylegan1.safetensors"))
    assert generator.picture(generator.mapping(torch.randn(2, 6), psi=0.7)).shape == (2, 3, 16, 8)


def test_published_settings(people):
    with torch.device("meta"):
        task = train.build(parse("stylegan1", "--data", people, "--out", "x"), Pool(people))
    assert task.config == Config((512,) * 4, (4, 2), 512, (512,) * 8)
    assert task.schedule.stage(0) == Stage(1) and task.schedule.images == 800_000
    assert task.g_optimizer.param_groups[0]["lr"] == 0.001
    assert type(task.discriminator.blocks[0].halve).__name__ == "Resample"


def test_nine_in_ten_batches_mix_two_latents_at_a_row_the_level_has(task, monkeypatch):
    crossovers = []
    monkeypatch.setattr(train, "mix", lambda ws, other, row: crossovers.append(row) or ws)
    z, rng = torch.randn(2, 6), torch.Generator().manual_seed(0)
    for _ in range(400):
        task.draw(task.generator, z, Stage(1), rng)
    assert len(crossovers) == pytest.approx(360, abs=20) and set(crossovers) == {1, 2, 3}


def test_the_mean_of_w_follows_in_training_only(task):
    z, w_avg = torch.randn(5, 6), task.generator.mapping.w_avg
    task.draw(task.generator, z, Stage(2), torch.Generator().manual_seed(0))
    expected = 0.005 * task.generator.mapping(z)[:, 0].mean(0)
    torch.testing.assert_close(w_avg, expected)
    shown = task.draw(task.generator, z, Stage(2), None)
    torch.testing.assert_close(w_avg, expected)
    assert torch.equal(shown, task.generator.picture(task.generator.mapping(z)))
