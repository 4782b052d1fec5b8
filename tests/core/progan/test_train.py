"""Training ProGAN: the loss by hand, growing along the pictures seen, resuming, files."""
from __future__ import annotations

import argparse
import json
import math

import pytest
import torch
from anyone.core.growing import Config, Schedule, Stage, at_stage
from anyone.core.progan import train
from anyone.core.progan.network import Generator
from anyone.core.runtime import Runtime
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pool, StepContext, cli
from anyone.core.training.growing import config_of, gradient_penalty
from anyone.core.training.pool import to_batch
from safetensors import safe_open

CPU = torch.device("cpu")
TINY = ["--size", "16x8", "--base", 128, "--widest", 8, "--latent", 6, "--phase", 32]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_pool(folder, PoolSettings(24, (32, 16), "studio", first_id=7), Runtime(device="cpu"))
    return folder


@pytest.fixture(scope="module")
def batch(people):
    return to_batch(Pool(people).take(torch.arange(8)), CPU, (16, 8))


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


def run(pool, out, *words) -> list[dict]:
    assert cli.main(parse("progan", "--data", pool, "--out", out, "--batch", 8, *TINY, *words)) == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def make_task(pool, *words) -> train.ProganTask:
    return train.build(parse("progan", "--data", pool, "--out", "x", *TINY, *words), Pool(pool))


def context(images=0) -> StepContext:
    return StepContext(0, images, 0.0, CPU, torch.Generator().manual_seed(1))


def weights(out) -> dict[str, torch.Tensor]:
    return torch.load(out / "state.pt", weights_only=True)["modules"]["generator"]


def test_the_gradient_penalty_of_a_linear_critic():
    slope = torch.tensor([3.0, 0.0, 4.0])[:, None, None].expand(3, 2, 2)           # of norm 10
    pictures = torch.randn(2, 3, 2, 2, requires_grad=True)
    scores = (pictures * slope).sum((1, 2, 3)) * torch.tensor([0.1, 0.3])
    assert gradient_penalty(scores[:, None], pictures).item() == pytest.approx((0 + 4) / 2, abs=1e-5)


def test_the_published_loss(people, batch, monkeypatch):
    task, descents = make_task(people), {}
    task.discriminator.out.bias.data.fill_(30.0)           # for the drift to count
    monkeypatch.setattr(StepContext, "descend", lambda self, by, loss: descents.update({id(by): loss.item()}))
    losses = {name: value.item() for name, value in task.step(batch, context(2 * 32)).items()}
    rng, stage = torch.Generator().manual_seed(1), Stage(1)
    fake = task.generator.picture(torch.randn(8, 6, generator=rng), 1)
    share = torch.rand(8, 1, 1, 1, generator=rng)
    real = at_stage(batch["image"] * 2 - 1, stage, 3)
    on_real, on_fake = (task.discriminator(pictures, stage) for pictures in (real, fake))
    between = (real * (1 - share) + fake * share).detach().requires_grad_()
    slope, = torch.autograd.grad(task.discriminator(between, stage).sum(), between)
    penalty = (slope.pow(2).sum((1, 2, 3)).sqrt() - 1).pow(2).mean().item()
    critic = (on_fake.mean() - on_real.mean()).item()
    assert losses["penalty"] == pytest.approx(penalty, rel=1e-4) and losses["level"] == 1
    expected = critic + 10 * penalty + 0.001 * on_real.pow(2).mean().item()
    assert descents[id(task.d_optimizer)] == pytest.approx(expected, rel=1e-4)
    redrawn = task.generator.picture(torch.randn(8, 6, generator=rng), 1)
    expected = -task.discriminator(redrawn, stage).mean().item()
    assert descents[id(task.g_optimizer)] == losses["generator"] == pytest.approx(expected, rel=1e-4)


def test_published_settings(people):
    args = parse("progan", "--data", people, "--out", "x", "--steps", 1)
    with torch.device("meta"):
        task = train.build(args, Pool(people))
    assert task.config == Config((512, 512, 512, 512), (4, 2), 512) and task.schedule == Schedule(4, 800_000)
    for optimizer in task.optimizers.values():
        group, = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (0.001, (0.0, 0.99), 1e-8)
    args.size = (1024, 1024)
    assert config_of(args, Pool(people)) == Config()


def test_a_run_grows_and_every_weight_learns(people, tmp_path):
    before = Generator(Config((8, 8, 8), (4, 2), 6)).initialise(0).state_dict()
    lines = run(people, tmp_path, "--steps", 20)           # 160 pictures: all five phases
    assert lines[-1]["level"] == pytest.approx(
        sum([0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1.25, 1.5, 1.75, 2, 2, 2, 2]) / 20)
    assert all(math.isfinite(value) for value in lines[-1].values())
    after = weights(tmp_path)
    assert all(not torch.equal(value, after[name]) for name, value in before.items())


def test_levels_to_come_are_left_alone(people, tmp_path):
    run(people, tmp_path, "--steps", 5)                    # the fifth step fades level 1 in from nothing
    before = Generator(Config((8, 8, 8), (4, 2), 6)).initialise(0).state_dict()
    same = {name for name, value in weights(tmp_path).items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith(("blocks.2", "torgb.2"))} <= same
    assert not {name for name in same if name.startswith(("blocks.0", "torgb.0"))}


def test_a_stopped_run_goes_on_as_if_it_had_not(people, tmp_path, monkeypatch):
    """In the middle of a fade, with optimisers that have not met the higher levels."""
    monkeypatch.setattr(StepContext, "decay", 1.0)         # which follows the budget, and differs here
    run(people, tmp_path / "whole", "--steps", 15)
    run(people, tmp_path / "parts", "--steps", 6)
    run(people, tmp_path / "parts", "--steps", 15, "--resume")
    whole, parts = (weights(tmp_path / name) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert not [name for name, value in whole.items() if not torch.equal(value, parts[name])]


def test_a_run_that_is_over_shows_where_it_is(people, tmp_path):
    run(people, tmp_path, "--steps", 7)
    sheet, = (tmp_path / "samples").iterdir()
    shown = sheet.read_bytes()
    sheet.unlink()
    run(people, tmp_path, "--steps", 7, "--resume")
    assert sheet.read_bytes() == shown


def test_the_file_says_how_far_it_has_grown(people, tmp_path):
    run(people, tmp_path, "--steps", 7)                    # the last step saw 48 pictures: half of a phase
    with safe_open(tmp_path / "progan.safetensors", "pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["size"] == "8x4" and (metadata["level"], metadata["alpha"]) == ("1", "0.5")
    generator = Generator(Config(**json.loads(metadata["config"])))
    generator.load_state_dict(state)
    assert generator.picture(torch.randn(2, 6), 1, 0.5).shape == (2, 3, 8, 4)


def test_the_sheet_shows_the_level_at_hand(people, batch):
    task = make_task(people)
    task.seen.images.fill_(48)
    sheet = task.sample(batch, {"generator": task.generator})
    assert sheet.shape == (2, 8, 3, 16, 8)
    pixels = at_stage(batch["image"], Stage(1, 0.5), 3)
    assert torch.equal(sheet[0, :, :, ::2, ::2], pixels) and torch.equal(sheet[0, :, :, 1::2, 1::2], pixels)


def test_impossible_sizes_are_refused(people):
    for size in ("48x24", "32x12", "4x4"):
        with pytest.raises(ValueError, match="power of two high"):
            make_task(people, "--size", size)
