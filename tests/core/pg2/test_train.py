"""Training PG2: the published losses and stages, and that a run learns, saves and goes on."""
from __future__ import annotations

import argparse
import json

import pytest
import torch
import torch.nn.functional as F
from anyone.core.checkpoints import load
from anyone.core.pg2 import train
from anyone.core.pg2.network import PG2, Config, Discriminator, mask_l1, network_pose
from anyone.core.pose import pose_mask
from anyone.core.runtime import Runtime
from anyone.core.synthetic.pool import PoolSettings, write_pool
from anyone.core.training import Pairs, StepContext, cli
from anyone.core.training.pool import to_batch
from anyone.core.training.transfer import prepared
from safetensors.torch import save_file
from torch.testing import assert_close

CPU = torch.device("cpu")
FAST = ("--muon", 0.02, "--adversarial-weight", 0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pool(folder, PoolSettings(16, (64, 32), "studio", first_id=7, views=4), Runtime(device="cpu"))
    return folder


@pytest.fixture(scope="module")
def batch(pool):
    return to_batch(Pairs(pool).take(torch.arange(0, 12, 3)), CPU)


def run(pool, out, *words) -> list[dict]:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    arguments = ["pg2", "--data", pool, "--out", out, "--batch", 4, "--channels", 4, "--code", 6, *words]
    assert cli.main(parser.parse_args(list(map(str, arguments)))) == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def make_task(plan=None) -> train.Pg2Task:
    config = Config(64, 32, 4, 6, outputs=4)
    discriminator = Discriminator(config, 4).initialise()
    return train.Pg2Task(PG2(config).initialise(), discriminator, plan or train.Plan())


def context(progress=0.0, step=0) -> StepContext:
    return StepContext(step, 0, progress, CPU, torch.Generator().manual_seed(1))


def weights(module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(module, before) -> bool:
    return all(map(torch.equal, module.parameters(), before))


def test_a_run_learns_in_both_stages_and_its_file_can_be_used(pool, tmp_path):
    lines = run(pool, tmp_path, "--steps", 120, *FAST, "--stage2-from", 0.5)
    assert [line.keys() & {"coarse", "refined", "adversarial"} for line in lines] == \
        3 * [{"coarse"}] + 3 * [{"refined"}]
    assert lines[2]["coarse"] < 0.7 * lines[0]["coarse"]
    assert lines[5]["refined"] < 0.9 * lines[3]["refined"] and lines[5]["refined"] < lines[2]["coarse"]
    scores = json.loads((tmp_path / "pg2.json").read_text())["scores"]
    assert {"l1", "coarse_l1", "copied", "ssim", "coarse_mask_iou"} < scores.keys()
    net = load(tmp_path / "pg2.safetensors")
    assert net.module.config == Config(64, 32, 4, 6, outputs=4)
    assert net.metadata == {"system": "pg2", "size": "64x32"}


def test_a_stopped_run_goes_on_in_the_second_stage(pool, tmp_path):
    def state():
        return torch.load(tmp_path / "state.pt", weights_only=True)["modules"]["pg2"]

    run(pool, tmp_path, "--steps", 4, "--stage2-from", 1)
    before = state()
    lines = run(pool, tmp_path, "--steps", 8, "--stage2-from", 0.5, "--resume")
    assert [line["images"] for line in lines] == [16, 32] and "refined" in lines[1]
    for name, value in state().items():
        assert torch.equal(value, before[name]) is name.startswith("g1."), name


def test_weights_of_a_run_start_another(pool, tmp_path):
    run(pool, tmp_path / "first", "--steps", 2, "--stage2-from", 1)
    weights_file = tmp_path / "first" / "pg2.safetensors"
    run(pool, tmp_path / "next", "--steps", 1, "--stage2-from", 0, "--grow", weights_file)
    first, following = (load(tmp_path / name / "pg2.safetensors").module for name in ("first", "next"))
    assert same(following.g1, weights(first.g1)), "the second stage leaves the first alone"
    assert 0 < (following.g2.last.weight - first.g2.last.weight).abs().max() < 1e-4, "one step of 2e-5"


def test_published_rates_and_stages(batch):
    task = make_task()
    for optimizer in task.optimizers.values():
        assert [(group["lr"], group["betas"]) for group in optimizer.param_groups] == [(2e-5, (0.5, 0.999))]
    before = {name: weights(module) for name, module in
              {"g1": task.net.g1, "g2": task.net.g2, "discriminator": task.discriminator}.items()}
    assert task.step(batch, context(step=21_999)).keys() == {"coarse"}
    assert same(task.net.g2, before["g2"]) and same(task.discriminator, before["discriminator"])
    assert not same(task.net.g1, before["g1"])
    before["g1"] = weights(task.net.g1)
    assert task.step(batch, context(step=22_000)).keys() == {"refined", "adversarial", "discriminator"}
    assert same(task.net.g1, before["g1"])
    assert not same(task.net.g2, before["g2"]) and not same(task.discriminator, before["discriminator"])


@pytest.mark.parametrize(("progress", "refining", "decay"), [
    (0.0, False, 1.0), (0.44, False, 0.5), (0.5, True, 1.0), (0.9, True, 0.5)])
def test_each_stage_s_rate_falls_over_its_own_part(progress, refining, decay):
    found, stage = train.stage_of(context(progress), 0.55 if progress < 0.5 else 0.5)
    assert found is refining and stage.decay == pytest.approx(decay)
    assert train.stage_of(context(0.99), 1.0)[0] is False
    assert train.stage_of(context(0.0), 0.0)[0] is True


def test_the_discriminator_joins_late_or_never(batch):
    late = make_task(train.Plan(stage2_from=0.0, adversarial_from=0.7))
    assert late.step(batch, context(0.6)).keys() == {"refined"}
    assert late.step(batch, context(0.7)).keys() == {"refined", "adversarial", "discriminator"}
    never = make_task(train.Plan(stage2_from=0.0, adversarial=0.0))
    assert never.step(batch, context(0.9)).keys() == {"refined"}


@pytest.mark.parametrize("masked", [True, False])
def test_the_loss_of_stage_1(batch, masked):
    """The opacity counts like a colour."""
    task = make_task(train.Plan(masked=masked))
    pair = prepared(batch, torch.Generator().manual_seed(1))
    with torch.no_grad():
        coarse = task.net.g1(pair.source, network_pose(pair.target_joints, task.net.config))
    mask = torch.stack([pose_mask(joints, 64, 32) for joints in pair.target_joints])[:, None].float()
    wanted = torch.cat([pair.target, 2 * pair.mask - 1], 1)
    expected = mask_l1(coarse, wanted, mask if masked else torch.zeros_like(mask))
    assert_close(task.step(batch, context())["coarse"].detach(), expected)


@pytest.mark.parametrize(("form", "weight"), [("market", 10), ("fashion", 50)])
def test_the_losses_of_stage_2(batch, form, weight, monkeypatch):
    """Market-1501's coarse pictures count in the batch norms; DeepFashion's sources are to fool, too."""
    task = make_task(train.Plan(form, stage2_from=0.0, adversarial=3.0))
    descents = []
    monkeypatch.setattr(StepContext, "descend", lambda self, by, loss, **options: descents.append(loss))
    losses = {name: loss.item() for name, loss in task.step(batch, context()).items()}
    pair = prepared(batch, torch.Generator().manual_seed(1))
    with torch.no_grad():
        coarse, refined = task.net(pair.source, network_pose(pair.target_joints, task.net.config))
        seen = [pair.target, refined[:, :3], pair.source, coarse[:, :3]][:3 if form == "fashion" else 4]
        target, drawn, source = task.discriminator(torch.cat(seen)).split(4)[:3]
    fooled = drawn if form == "market" else torch.cat([drawn, source])
    assert losses["adversarial"] == pytest.approx(F.softplus(-fooled).mean().item(), rel=1e-5)
    assert losses["discriminator"] == pytest.approx(
        (F.softplus(-target) / 2 + F.softplus(source) / 4 + F.softplus(drawn) / 4).mean().item(), rel=1e-5)
    assert [loss.item() for loss in descents] == pytest.approx(
        [weight * losses["refined"] + 3 * losses["adversarial"], losses["discriminator"]], rel=1e-5)


@pytest.mark.parametrize("pose", ["coordinates", "encoded"])
def test_embedded_poses_and_plain_loss(pool, tmp_path, pose):
    lines = run(pool, tmp_path, "--steps", 40, *FAST, "--stage2-from", 1, "--pose", pose, "--loss", "l1")
    assert lines[1]["coarse"] < 0.97 * lines[0]["coarse"]
    assert load(tmp_path / "pg2.safetensors").module.config.pose == pose


def test_options_as_published(pool):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    args = parser.parse_args([])
    assert (args.channels, args.code, args.muon) == (128, 64, 0)
    args.size, args.seed, args.channels = None, 0, 4
    task = train.build(args, Pairs(pool))
    assert task.plan == train.Plan() and not task.net.config.first_skip
    assert task.net.g2.last.weight.any()
    args.form, args.muon = "fashion", 0.01
    task = train.build(args, Pairs(pool))
    assert task.net.config.first_skip
    assert not task.net.g2.last.weight.any(), "Muon starts from the coarse picture"


def test_pools_without_masks_give_networks_without_opacity(pool, tmp_path):
    shard = dict(Pairs(pool).shards[0])
    del shard["people"]
    save_file(shard, tmp_path / "pool-00000.safetensors")
    run(tmp_path, tmp_path / "run", "--steps", 1)
    assert load(tmp_path / "run" / "pg2.safetensors").module.config.outputs == 3


def test_a_size_it_cannot_draw_is_refused(pool, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args(["pg2", "--data", str(pool), "--out", str(tmp_path), "--steps", "1",
                              "--size", "48x32"])
    assert cli.main(args) == 1
    assert "a height of 32, 64, 128" in capsys.readouterr().err
