"""Training SEAN: the published losses, and that a run learns, saves and goes on."""
from __future__ import annotations

import argparse
import json

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.sean import train
from anyone.core.sean.styles import own_means
from anyone.core.training import cli
from safetensors.torch import save_file

SIDE = 32


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Twelve pictures: a background and two squares, each region of one colour."""
    folder = tmp_path_factory.mktemp("pool")
    rng = torch.Generator().manual_seed(0)
    regions = torch.zeros(12, SIDE, SIDE, dtype=torch.uint8)
    regions[:, 4:16, 4:20], regions[:, 16:28, 8:30] = 4, 7
    colours = torch.randint(0, 256, (12, 12, 3), generator=rng, dtype=torch.uint8)
    image = torch.stack([colours[i][regions[i].long()] for i in range(12)]).movedim(-1, 1).contiguous()
    save_file({"image": image, "regions": regions}, folder / "pool-00000.safetensors")
    return folder


def run(pool, out, *words) -> dict:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    arguments = ["sean", "--data", pool, "--out", out, "--batch", "4", "--width", "4", "--style", "6", *words]
    assert cli.main(parser.parse_args(list(map(str, arguments)))) == 0
    return {"lines": [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()],
            "card": json.loads((out / "sean.json").read_text())}


def test_a_run_learns_the_colours_and_its_file_can_be_used(pool, tmp_path):
    seen = run(pool, tmp_path, "--steps", 60, "--muon", "0.02", "--pixel", "10", "--adversarial-from", "1")
    first, last = seen["lines"][0], seen["lines"][-1]
    assert last["perceptual"] < 0.7 * first["perceptual"] and last["pixel"] < first["pixel"]
    net = load(tmp_path / "sean.safetensors")
    assert net.metadata["regions"].split(",")[4] == "top" and net.metadata["size"] == "32x32"
    means = own_means(net)
    assert means.present[0].nonzero()[:, 0].tolist() == [0, 4, 7]


def test_the_published_losses_and_rates(pool, tmp_path):
    seen = run(pool, tmp_path, "--steps", 2)["lines"][-1]
    assert seen.keys() - {"step", "images", "seconds"} == {
        "perceptual", "adversarial", "matching", "discriminator"}
    assert seen["discriminator"] == pytest.approx(2, abs=0.5)        # nobody can tell yet
    state = torch.load(tmp_path / "state.pt", weights_only=True)["optimizers"]
    rates = {name: one["param_groups"][0]["initial_lr"] for name, one in state.items()}
    assert rates == {"generator": 1e-4, "discriminator": 4e-4}


def test_small_pictures_first(pool, tmp_path):
    run(pool, tmp_path / "small", "--steps", 2, "--size", "16x16", "--adversarial-from", "1")
    run(pool, tmp_path / "large", "--steps", 1, "--adversarial-from", "1",
        "--grow", tmp_path / "small" / "sean.safetensors")
    small, large = (load(tmp_path / name / "sean.safetensors").module for name in ("small", "large"))
    assert (small.config.size, large.config.size) == ((16, 16), (32, 32))
    moved = (small.conv_img.weight - large.conv_img.weight).abs().max()
    assert 0 < moved < 2e-3, "one step of a thousandth"


def test_without_styles_it_is_spade(pool, tmp_path):
    run(pool, tmp_path, "--steps", 2, "--mask-only", "--adversarial-from", "1")
    assert load(tmp_path / "sean.safetensors").module.config.styled_stages == 0


def test_a_size_it_cannot_draw_is_refused(pool, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args(["sean", "--data", str(pool), "--out", str(tmp_path), "--steps", "1",
                              "--size", "40x40"])
    assert cli.main(args) == 1
    assert "--size should be multiples of 16; got 40x40." in capsys.readouterr().err


def test_batch_norms_are_synchronised_once(make_generator):
    generator = make_generator()
    keys = list(generator.state_dict())
    train.synchronise(generator)
    train.synchronise(generator)
    norms = [module for module in generator.modules() if "BatchNorm" in type(module).__name__]
    assert norms and all(type(norm) is torch.nn.SyncBatchNorm for norm in norms)
    assert list(generator.state_dict()) == keys


def test_matching_leaves_the_judgement_out():
    fake = [[torch.zeros(n) for n in (2, 3, 1)], [torch.zeros(n) for n in (2, 1, 1)]]
    real = [[torch.ones(2), 2 * torch.ones(3), torch.ones(1)], [torch.ones(n) for n in (2, 1, 1)]]
    assert train.matching(fake, real) == pytest.approx((1 + 2 + 1 + 1) / 2)


def test_borrowed_styles_come_from_the_next_who_has_them():
    codes = torch.zeros(3, 2, 1)
    codes[0, 0], codes[1, 0], codes[2, 0], codes[0, 1], codes[2, 1] = 1, 2, 3, 4, 6
    assert train.borrowed(codes)[..., 0].tolist() == [[2, 6], [3, 0], [1, 4]]
