"""Networks of pose transfer on procedural people."""
from __future__ import annotations

import argparse
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.evaluation import cli, transfer
from anyone.core.people import Detection
from anyone.core.people.frame import Drawn
from anyone.core.pg2.network import PG2, Config
from anyone.core.pose import Pose, PoseFrame
from anyone.core.runtime import Runtime
from anyone.core.synthetic import render_people, sample_pose
from safetensors.torch import save_file

HEIGHT, WIDTH = 64, 32


@pytest.fixture
def system(monkeypatch):
    """system(draw, lifted): a network that redraws by `draw(number, source, view)`, view the true target."""
    def make(draw, lifted=False):
        targets, render = [], transfer.render_pairs
        numbers = iter(range(1000))

        def spy(*arguments):
            source, target = render(*arguments)
            targets.extend(replace(target, **{name: value[i:i + 1] for name, value in vars(target).items()})
                           for i in range(len(target.image)))
            return source, target

        def redraw(module, net, device, source, source_joints, target_joints, background=None):
            assert source_joints.shape == (18, 2) and target_joints.shape == (1, 18, 2)
            number = next(numbers)
            truth = targets[number]
            assert torch.equal(target_joints[0], truth.keypoints[0, 0] - 0.5)
            return draw(number, source, truth)

        monkeypatch.setattr(transfer, "render_pairs", spy)
        monkeypatch.setattr(transfer, "BATCH", 4)
        monkeypatch.setitem(transfer.SYSTEMS, "fake", SimpleNamespace(
            frame_size=lambda net: (HEIGHT, WIDTH), lifted=lambda net: lifted, redraw=redraw))
        return LoadedNet(torch.nn.Identity(), SimpleNamespace(name="fake", title="Fake"), "fake")

    return make


def score(net, count=6):
    return transfer.score_transfer(net, count=count, runtime=Runtime("cpu"))


@pytest.mark.parametrize("lifted", [False, True])
def test_the_truth_scores_best(system, lifted):
    """A lifted person comes with its opacity and is put on grey again."""
    net = system(lambda number, source, truth: Drawn(
        truth.image, truth.mask.float() if lifted else None), lifted)
    scores = score(net)
    assert scores["l1"] == pytest.approx(0, abs=1e-7) and scores["copied"] > 0.02
    assert scores["ssim"] == pytest.approx(1) and scores["mask_ssim"] == pytest.approx(1)
    assert scores["pck"] == scores["real_pck"] > 0.5 and scores["own_colours"] == 1


def test_the_source_itself_is_no_better_than_copied(system):
    scores = score(system(lambda number, source, truth: Drawn(source[None], None)))
    assert scores["l1"] == pytest.approx(scores["copied"]) and scores["ssim"] < 0.95
    assert scores["pck"] < 0.75 * scores["real_pck"] and scores["mask_ssim"] < 1


def test_a_lifted_source_stands_on_grey(system):
    seen = []
    score(system(lambda number, source, truth: seen.append(source) or Drawn(source[None], None), True), 2)
    corners = torch.stack(seen)[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.equal(corners, torch.full_like(corners, 0.5))
    assert all((source != 0.5).any() for source in seen)


def test_the_scores_do_not_depend_on_the_batch(system, monkeypatch):
    def dim(number, source, truth):
        return Drawn(truth.image * (0.5 + number / 20), None)

    first = score(system(dim))
    net = system(dim)
    monkeypatch.setattr(transfer, "BATCH", 6)
    assert score(net) == pytest.approx(first)


def test_pairs_are_one_person_in_one_scene_in_two_poses(system):
    people = transfer.PoolSettings(3, (HEIGHT, WIDTH), "studio", 500, views=2)
    source, target = transfer.render_pairs(people, 1, 2, Runtime("cpu"))
    ids = torch.arange(501, 503)
    for view, poses in ((source, 2 * ids), (target, 2 * ids + 1)):
        expected = render_people(ids, HEIGHT, WIDTH, mode="studio", pose=sample_pose(poses))
        assert torch.equal(view.image, expected.image) and torch.equal(view.keypoints, expected.keypoints)
    assert torch.equal(source.identity_vector, target.identity_vector)


def test_colours_are_compared_with_the_next_person():
    def row(*values):
        return torch.tensor(values)[:, None].expand(-1, 3)

    nan = float("nan")
    source = torch.stack([row(0., .2, .4), row(0., .8, nan), row(0., .5, .5)])
    fake = torch.stack([row(1., .3, .3), row(1., .6, .1), row(1., nan, .4)])
    # of the regions that all have: .1 against .5; .2 against .1; .1 against 0
    assert transfer.nearer_to_own(fake, source).tolist() == [True, False, False]


@pytest.mark.parametrize("off, right", [(2.9, 1.0), (3.1, 0.0)])
def test_joints_count_within_six_of_128_rows(system, monkeypatch, off, right):
    truths = []

    def detect(detector, image, **options):
        asked = truths[-len(image):]
        return [Detection(PoseFrame(WIDTH, HEIGHT, (Pose(
            one.keypoints[0, 0] + torch.tensor([0, off]), torch.ones(18), WIDTH, HEIGHT),)),
            one.mask, one.people_regions[0]) for one in asked]

    net = system(lambda number, source, truth: truths.append(truth) or Drawn(truth.image, None))
    monkeypatch.setattr(transfer, "detect_people", detect)
    scores = score(net, 4)
    assert scores["pck"] == scores["real_pck"] == right


def test_what_cannot_be_scored_is_refused(system):
    net = system(lambda *arguments: None)
    with pytest.raises(ValueError, match="two people or more .* got 1 and fake"):
        score(net, 1)
    stranger = LoadedNet(torch.nn.Identity(), SimpleNamespace(name="sam", title="SAM 2"), "mine")
    with pytest.raises(ValueError, match="deformable or pg2 or fake; got 6 and mine, a SAM 2"):
        score(stranger)


def test_a_weight_file_is_scored_from_the_command_line(tmp_path, capsys):
    net = PG2(Config(height=32, width=16, channels=2, code=2, outputs=4)).initialise(0)
    save_file(net.state_dict(), tmp_path / "tiny.safetensors")
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    words = ["transfer", "--weights", str(tmp_path / "tiny.safetensors"), "--count", "3"]
    assert cli.main(parser.parse_args(words)) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["l1", "copied", "ssim", "mask_ssim", "pck", "real_pck", "own_colours"]
    assert 0 < float(lines["l1"]) < 1 and float(lines["ssim"]) < 1
