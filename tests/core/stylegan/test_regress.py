"""Latents guessed from pictures."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.infer import render, sample_latents
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.project import ProjectionSettings, project
from anyone.core.stylegan.regress import guess_latents, ridge, shrunk
from anyone.core.stylegan.weights import SYSTEM
from torch import nn

CPU = Runtime("cpu")


@pytest.fixture
def make_fresh():
    """Keyword arguments of Config -> a loaded generator as at the start of training, but with colours that
    mostly keep within 0..1, as trained ones have them."""
    def make(**changes):
        config = Config(**{"channels": (8, 8, 8), "z": 7, "mapping": (9, 11)} | changes)
        generator = Generator(config).initialise(1).requires_grad_(False)
        for name, value in generator.named_parameters():
            if name.endswith("torgb.weight"):
                value.mul_(0.3)
        return LoadedNet(FastGenerator(generator), SYSTEM, "fresh")
    return make


class Pixels(nn.Module):
    def forward(self, picture):
        return picture.flatten(1)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_linear_map_is_found_again():
    x, slopes = rows(50, 8), rows(8, 3, seed=1)
    found = ridge(x + 5, x @ slopes - 2)
    torch.testing.assert_close(found(x[:5] + 5), x[:5] @ slopes - 2, atol=1e-2, rtol=0)


def test_what_tells_nothing_is_hardly_listened_to():
    """Fewer samples than numbers, and no connection: every slope would only repeat the noise."""
    x, y = rows(30, 60), rows(30, 2, seed=1) + 7
    guessed = ridge(x, y)(rows(40, 60, seed=2)) - y.mean(0)
    plain = torch.linalg.pinv(x - x.mean(0)) @ (y - y.mean(0))
    assert guessed.square().mean() < 0.5 * ((rows(40, 60, seed=2) - x.mean(0)) @ plain).square().mean()


def test_the_penalty_is_the_one_that_foretells_left_out_samples_best(monkeypatch):
    """The closed form agrees with leaving every sample out in turn."""
    x = rows(12, 20)
    y = x[:, :3] + 0.5 * rows(12, 3, seed=1)

    def error(penalty):
        monkeypatch.setattr("anyone.core.stylegan.regress._PENALTIES", (penalty,))
        scale = (x - x.mean(0)).square().sum(1).mean()
        total = 0.0
        for out in range(12):
            kept = [number for number in range(12) if number != out]
            # The penalty counts in mean squared lengths, which differ a little without the sample.
            own = (x[kept] - x[kept].mean(0)).square().sum(1).mean()
            monkeypatch.setattr("anyone.core.stylegan.regress._PENALTIES", (float(penalty * scale / own),))
            total += float((ridge(x[kept], y[kept])(x[out:out + 1]) - y[out:out + 1]).square().sum())
        return total

    errors = {penalty: error(penalty) for penalty in (1e-4, 1e-2, 1.0)}
    best = min(errors, key=errors.get)
    monkeypatch.setattr("anyone.core.stylegan.regress._PENALTIES", (best,))
    expected = ridge(x, y).slopes
    monkeypatch.setattr("anyone.core.stylegan.regress._PENALTIES", tuple(errors))
    torch.testing.assert_close(ridge(x, y).slopes, expected)


def test_small_pictures():
    assert shrunk(torch.rand(2, 3, 64, 32)).shape == (2, 3 * 16 * 8)
    assert shrunk(torch.rand(2, 3, 8, 4)).shape == (2, 3 * 8 * 4)
    picture = torch.rand(1, 3, 32, 16)
    assert shrunk(picture)[0, 0].item() == pytest.approx(picture[0, 0, :2, :2].mean().item())


@pytest.mark.parametrize("changes", [{"start": (4, 2)}, {"image_channels": 1}])
def test_guesses_begin_nearer_than_the_mean(changes, make_fresh):
    net = make_fresh(**changes)
    truth = sample_latents(net, range(8), psi=1, runtime=CPU)
    image = render(net, truth, runtime=CPU)
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    guess, still = guess_latents(net, image, runtime=CPU), ProjectionSettings(1, samples=300)
    assert guess.w_plus.shape == truth.w_plus.shape and guess.identity == truth.identity
    assert torch.equal(guess.w_plus, guess.w_plus[:, :1].expand_as(guess.w_plus))
    near, far = (project(net, image, Pixels(), still, start=start, runtime=CPU).starts
                 for start in (guess, None))
    assert (near < far).all() and near.mean() < 0.1 * far.mean()
    assert all(torch.equal(value, before[name]) for name, value in net.module.state_dict().items())
    assert torch.equal(guess_latents(net, image, runtime=CPU).w_plus, guess.w_plus)


def test_a_generator_that_draws_one_picture_gives_the_mean(make_net):
    net = make_net(channels=(8, 8))
    for name, value in net.module.generator.named_parameters():
        if ".affine.weight" in name:
            value.zero_()
    guess = guess_latents(net, torch.rand(1, 8, 8, 3), runtime=CPU)
    mean = sample_latents(net, range(2000), psi=1, runtime=CPU).w_plus.mean((0, 1))
    torch.testing.assert_close(guess.w_plus[0, 0], mean, atol=0.15, rtol=0)


def test_batches_halve_where_memory_runs_out(make_fresh, monkeypatch):
    net, image, batches = make_fresh(), torch.rand(1, 16, 16, 3), []
    whole, draw = guess_latents(net, image, runtime=CPU), net.module.picture

    def picture(ws):
        batches.append(len(ws))
        if len(ws) > 3:
            raise torch.OutOfMemoryError("no")
        return draw(ws)

    monkeypatch.setattr(net.module, "picture", picture)
    found = guess_latents(net, image, runtime=CPU)
    assert batches == [8, 4] + [2] * 150
    torch.testing.assert_close(found.w_plus, whole.w_plus, atol=1e-3, rtol=0)


def test_under_inference_mode_and_interrupted(make_net):
    class Stopped(Progress):
        def show(self, preview):
            if self.done >= 16:
                raise Interrupted

    net = make_net(channels=(8, 8))
    with torch.inference_mode():
        guess = guess_latents(net, torch.rand(2, 9, 8, 4), runtime=CPU)
        assert render(net, guess, runtime=CPU).shape == (2, 8, 8, 3)
    with pytest.raises(Interrupted):
        guess_latents(net, torch.rand(1, 8, 8, 3), runtime=Runtime("cpu", progress_class=Stopped))
