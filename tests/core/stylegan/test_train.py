"""Training StyleGAN2: losses by hand, the two phases, adaptive augmentation, resuming, files."""
from __future__ import annotations

import argparse
import json
import math

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.runtime import Runtime
from anyone.core.stylegan import train
from anyone.core.stylegan.infer import sample_w
from anyone.core.stylegan.informed import Informed
from anyone.core.stylegan.losses import gradient_penalty, lazy_adam, path_lengths
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.trainable import trainable
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pool, StepContext, cli
from anyone.core.training.pool import to_batch
from safetensors.torch import load_file, save_file
from torch import nn

TINY = ["--base", 256, "--widest", 16, "--latent", 24, "--mapping", 2]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_pool(folder, PoolSettings(40, (32, 16), "studio", first_id=7), Runtime(device="cpu"))
    return folder


@pytest.fixture
def plain(tmp_path):
    """Pictures without anything known about them but a class: bright ones and dark ones."""
    folder = tmp_path / "plain"
    folder.mkdir()
    label = torch.arange(24, dtype=torch.uint8) % 2
    image = (label * 200)[:, None, None, None].expand(24, 3, 16, 16) + torch.randint(0, 40, (24, 3, 16, 16))
    save_file({"image": image.to(torch.uint8), "label": label}, folder / "pool-00000.safetensors")
    return folder


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


def run(pool, out, *words) -> list[dict]:
    arguments = ["stylegan", "--data", pool, "--out", out, "--batch", 8, *TINY, *words]
    assert cli.main(parse(*arguments)) == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def make_task(pool, *words, batch=8):
    return train.build(parse("stylegan", "--data", pool, "--out", "x", "--batch", batch, *TINY, *words),
                       Pool(pool))


def context(step: int = 0, progress: float = 0.0) -> StepContext:
    return StepContext(step=step, images=0, progress=progress, device=torch.device("cpu"),
                       generator=torch.Generator().manual_seed(step))


def batch_of(pool, count=8):
    return to_batch(Pool(pool).take(torch.arange(count)), torch.device("cpu"))


def test_the_gradient_penalty_of_a_plane_is_its_slope_squared():
    slope = torch.tensor([1.0, -2.0, 0.5])[:, None, None].expand(3, 2, 2)
    pictures = torch.randn(4, 3, 2, 2, requires_grad=True)
    logits = (pictures * slope).sum((1, 2, 3)) * torch.tensor([1.0, 1.0, 2.0, 2.0])
    assert gradient_penalty(logits, pictures).item() == pytest.approx(4 * 5.25 * (1 + 1 + 4 + 4) / 4)


def test_the_path_length_of_a_linear_generator():
    ws = torch.zeros(2, 3, 1, requires_grad=True)
    gains = torch.tensor([1.0, 2.0, 2.0])                  # of the three rows
    pictures = (ws[..., 0] * gains).sum(1)[:, None, None, None].expand(2, 1, 2, 2)
    directions = torch.stack([torch.ones(1, 2, 2), torch.full((1, 2, 2), -0.5)])
    # Along ones, four pixels move by `gains`, over sqrt(2*2): 2 * gains, of mean square 4 * 9 / 3.
    wanted = torch.tensor([math.sqrt(12), math.sqrt(3)])
    assert torch.allclose(path_lengths(pictures, ws, directions), wanted)


def test_lazy_steps_are_shorter_so_that_they_add_up():
    group = lazy_adam(nn.Linear(1, 1), 0.002, 4).param_groups[0]
    assert group["lr"] == pytest.approx(0.0016) and group["betas"] == (0.0, pytest.approx(0.99 ** 0.8))
    assert lazy_adam(nn.Linear(1, 1), 0.002, 0).param_groups[0]["lr"] == 0.002


def test_the_trainable_generator_draws_the_same():
    config = Config(channels=(8, 6, 5), start=(4, 2), z=6, mapping=(7,))
    plain, shared = Generator(config).initialise(3), trainable(config)
    state = {name: value + 0.3 if name.endswith(("bias", "strength")) else value
             for name, value in plain.state_dict().items()}
    plain.load_state_dict(state)
    shared.load_state_dict(state)
    ws = torch.randn(2, config.num_ws, 7)
    assert torch.allclose(plain.picture(ws), shared.picture(ws), atol=1e-4)


def test_published_settings():
    auto = train.resolved(train.PRESETS["auto"], 256, 32)
    assert (auto.base, auto.rate, auto.mapping, auto.group) == (16384, 0.0025, 2, 4)
    assert auto.gamma == pytest.approx(0.0002 * 256 ** 2 / 32)
    large = train.resolved(train.PRESETS["shhq"], 1024, 8)
    assert (large.base, large.rate, large.mapping, large.augmented) == (32768, 0.002, 8, False)
    assert train.resolved(train.PRESETS["paper256"], 256, 64)[:5] == (16384, 0.0025, 1.0, 8, 8)


def test_an_informed_run_learns_people_and_then_goes_on(people, tmp_path):
    lines = run(people, tmp_path, "--steps", 120, "--informed-until", 0.75, "--preset", "shhq")
    first, taught, last = lines[0], lines[3], lines[-1]
    assert taught["pixel"] < 0.7 * first["pixel"] and taught["features"] < 0.9 * first["features"]
    assert "discriminator" not in taught and last.keys() >= {"generator", "discriminator", "pixel", "path"}
    assert last["pixel"] < 0.8 * first["pixel"] and last["augmented"] == 0
    card = json.loads((tmp_path / "stylegan.json").read_text())
    assert card["scores"]["fid_detector"] > 0 and card["size"] == "32x16"


def test_an_exported_file_is_a_generator(people, tmp_path):
    run(people, tmp_path, "--steps", 2)
    net = load(tmp_path / "stylegan.safetensors")
    assert net.system.role == "generator"
    config = net.module.config
    assert config.start == (4, 2) and config.channels == (16, 16, 16, 8) and config.z == 24
    picture = net.module.picture(net.module.mapping(torch.randn(1, 24)))
    assert picture.shape == (1, 3, 32, 16) and picture.isfinite().all()


def test_a_run_goes_on_where_it_stopped(people, tmp_path):
    run(people, tmp_path / "whole", "--steps", 6)
    task = make_task(people)
    state = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)
    assert state["modules"]["known"].keys() == {"p", "signs", "length"}
    assert state["modules"]["known"]["length"] > 0
    task.modules["known"].load_state_dict(state["modules"]["known"])
    assert task.known.length == state["modules"]["known"]["length"]
    lines = run(people, tmp_path / "whole", "--steps", 9, "--resume")
    assert lines[-1]["step"] == 9


def test_classes(plain, tmp_path):
    run(plain, tmp_path / "run", "--steps", 2)
    state = load_file(tmp_path / "run" / "stylegan.safetensors")
    assert state["mapping.embed.weight"].shape == (24, 2)
    assert load(tmp_path / "run" / "stylegan.safetensors").module.config.labels == 2


def test_a_run_starts_from_a_file(plain, tmp_path):
    run(plain, tmp_path / "first", "--steps", 2)
    task = make_task(plain, "--start", tmp_path / "first" / "stylegan.safetensors")
    weights = load_file(tmp_path / "first" / "stylegan.safetensors")
    assert torch.equal(task.generator.state_dict()["synthesis.b8.conv0.weight"],
                       weights["synthesis.b8.conv0.weight"].float())
    assert task.speed == 100_000 and task.generator.synthesis.b8.conv0.weight.requires_grad


def test_a_smaller_generator_grows(people, tmp_path):
    run(people, tmp_path / "small", "--steps", 2, "--size", "16x8")
    start = tmp_path / "small" / "stylegan.safetensors"
    task, small = make_task(people, "--start", start, "--base", 128), load(start).module.generator
    assert task.generator.config.size(-1) == (32, 16) and task.generator.config.channels == (16, 16, 16, 4)
    ws = small.mapping(torch.randn(2, 24, generator=torch.Generator().manual_seed(0)))
    enlarged = task.generator.synthesis.b32.upsample(small.picture(ws))
    drawn = task.generator.picture(ws[:, :1].repeat(1, task.generator.config.num_ws, 1))
    assert torch.allclose(drawn, enlarged, atol=1e-5)
    assert task.discriminator(drawn).shape == (2, 1)


def test_w_can_be_spread_without_changing_pictures(people):
    task = make_task(people, "--spread", 0.5)
    own, spread = task.generator, trainable(task.generator.config)
    own.mapping.update_w_avg(torch.ones(1, 24), decay=0)
    state, _ = task.export({"generator": own})
    spread.load_state_dict(state)
    z = torch.randn(4, 24, generator=torch.Generator().manual_seed(0))
    drawn = own.picture(own.mapping(z, psi=0.6))
    assert torch.allclose(spread.picture(spread.mapping(z, psi=0.6)), drawn, atol=1e-5)
    assert sample_w(spread.mapping, 4096, 1).std(0).mean().item() == pytest.approx(0.5, rel=0.02)
    assert sample_w(own.mapping, 4096, 1).std(0).mean() > 0.6


def test_the_augmentation_rises_while_the_discriminator_is_sure(people):
    task = make_task(people)
    with torch.no_grad():
        for parameter in task.discriminator.b4.out.parameters():
            parameter.zero_()
        task.discriminator.b4.out.bias.fill_(5.0)          # everything is real
    task.d_optimizer.param_groups[0]["lr"] = 0.0
    seen = []
    for step in range(8):
        task.step(batch_of(people), context(step))
        seen.append(task.known.p.item())
    assert seen[:3] == [0, 0, 0] and seen[3] == pytest.approx(32 / 500_000)
    assert seen[7] == pytest.approx(64 / 500_000)
    task.discriminator.b4.out.bias.data.fill_(-5.0)
    for step in range(8, 12):
        task.step(batch_of(people), context(step))
    assert task.known.p.item() == pytest.approx(32 / 500_000)


def test_regularisers_are_lazy(people):
    task = make_task(people)
    losses = [task.step(batch_of(people), context(step)).keys() for step in range(5)]
    assert "path" in losses[0] and "path" in losses[4] and not any("path" in one for one in losses[1:4])
    assert "r1" in losses[0] and not any("r1" in one for one in losses[1:])
    plain = make_task(people, "--preset", "cifar")
    assert "path" not in plain.step(batch_of(people), context(0))


def test_informed_latents_look_normal_and_know_the_person(people):
    pool = Pool(people)
    informed = Informed(train.spread_over(pool), 24, seed=0)
    z = torch.cat([informed.latents(batch_of(people, 40), torch.Generator().manual_seed(i))
                   for i in range(200)])
    assert z.mean(0).abs().max() < 0.1
    assert (z.T.cov() - torch.eye(24)).abs().max() < 0.15
    again = Informed(train.spread_over(pool), 24, seed=0)
    one = informed.latents(batch_of(people), torch.Generator().manual_seed(1))
    two = again.latents(batch_of(people), torch.Generator().manual_seed(2))
    own = (one - two).norm(dim=1)
    assert (own < 1e-3 * one.norm(dim=1)).all()            # 24 directions of the people fill z


def test_pools_without_people_cannot_inform(plain):
    with pytest.raises(ValueError, match="run.py people"):
        make_task(plain, "--informed-until", 0.5)


def test_impossible_sizes_are_refused(people):
    for size in ("48x24", "32x12", "4x4"):
        with pytest.raises(ValueError, match="power of two"):
            make_task(people, "--size", size)


def test_files_of_another_kind_or_size_are_no_start(people, plain, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="no StyleGAN2 generator"):
        make_task(people, "--start", tmp_path / "x.safetensors")
    run(plain, tmp_path / "square", "--steps", 1)
    with pytest.raises(ValueError, match="16x16"):
        make_task(people, "--start", tmp_path / "square" / "stylegan.safetensors")
