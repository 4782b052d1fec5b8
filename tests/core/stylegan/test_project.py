"""Projection: schedules, the noise's regulariser, and pictures of a generator found again."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.image import image_to_bchw
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.stylegan.infer import render, sample_latents, sample_w
from anyone.core.stylegan.project import (
    PERSON,
    ProjectionSettings,
    Statistics,
    fit_target,
    noise_planes,
    project,
    roughness,
    seen,
)
from anyone.core.stylegan.tune import TuningSettings, tune
from torch import nn

CPU = Runtime("cpu")
QUICK = ProjectionSettings(steps=60, samples=300)


class Colours(nn.Module):
    """A stand-in for perception: the picture itself, a little smaller."""

    def forward(self, picture):
        return F.avg_pool2d(picture, 2).flatten(1)


def state(net):
    return {name: value.clone() for name, value in net.module.state_dict().items()}


def test_learning_starts_and_ends_gently():
    rates = [ProjectionSettings().rate_at(step) for step in (0, 25, 50, 750, 875, 999)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.05, 0.1 * (0.5 - 0.5 * math.cos(math.pi * 0.004))])
    assert [ProjectionSettings().wander_at(step) for step in (0, 375, 750, 900)] == [0.05, 0.0125, 0, 0]
    assert max(PERSON.rate_at(step) for step in range(450)) == pytest.approx(0.01)


def test_statistics_of_w():
    w = torch.tensor([[1.0, 0], [3, 0], [2, 3], [2, -3]])
    found = Statistics.of(w)
    assert found.mean.tolist() == [2, 0]
    assert found.deviation == pytest.approx(math.sqrt((1 + 1 + 9 + 9) / 4))


def test_white_noise_is_smooth_enough_and_patterns_are_not():
    zero, rng = torch.zeros(()), torch.Generator().manual_seed(0)
    white = torch.randn(64, 64, generator=rng)
    assert roughness([white], zero) < 0.03
    assert roughness([torch.ones(8, 4)], zero).item() == pytest.approx(2)
    assert roughness([torch.ones(32, 16)], zero).item() == pytest.approx(6)           # at 32, 16 and 8
    rows = torch.tensor([1.0, -1] * 4)[:, None].expand(8, 8)
    assert roughness([rows, rows], zero).item() == pytest.approx(4)
    shifted = torch.stack([white, white.roll(1, 1)]).mean(0) * 2**0.5
    assert roughness([shifted], zero) > 0.2


def test_tall_pictures_are_compared_at_256():
    picture = torch.arange(512.0)[:, None].expand(1, 3, 512, 256)
    assert seen(picture).shape == (1, 3, 256, 256)
    torch.testing.assert_close(seen(picture)[0, 0, :, 0], torch.arange(256) * 2 + 0.5)
    assert seen(picture[:, :, :256]).shape == (1, 3, 256, 256) and seen(picture[:, :, :64]).shape[2] == 64


def test_the_middle_of_a_picture_counts():
    wide = torch.zeros(1, 3, 8, 20)
    wide[..., 8:12] = 1
    assert torch.equal(fit_target(wide, 8, 4), torch.ones(1, 3, 8, 4))
    assert fit_target(torch.rand(2, 3, 30, 8), 16, 8).shape == (2, 3, 16, 8)
    exact = torch.rand(1, 3, 16, 8)
    torch.testing.assert_close(fit_target(exact, 16, 8), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_generators_own_picture_is_found_again(space, make_net):
    net = make_net(start=(4, 2), channels=(8, 8, 8))
    truth = sample_latents(net, [3, 9], psi=1, runtime=CPU)
    image, before = render(net, truth, "none", runtime=CPU), state(net)
    found = project(net, image, Colours(), ProjectionSettings(60, 0.1, space, 300), runtime=CPU)
    mean = sample_w(net.module.mapping, 300, 123).mean(0).expand(1, 6, -1)
    start = Colours()(net.module.picture(mean)) - Colours()(image_to_bchw(image) * 2 - 1)
    torch.testing.assert_close(found.starts, start.square().sum(1), rtol=1e-3, atol=1e-3)
    assert (found.distances < 0.35 * found.starts).all()
    rows = found.latent.w_plus
    assert rows.shape == truth.w_plus.shape
    assert torch.equal(rows, rows[:, :1].expand_as(rows)) == (space == "w")
    drawn = Colours()(net.module.generator.picture(rows)) - Colours()(image_to_bchw(image) * 2 - 1)
    torch.testing.assert_close(drawn.square().sum(1), found.distances, rtol=1e-3, atol=1e-3)
    after = net.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(tensor.requires_grad for tensor in noise_planes(net.module.generator))
    assert (found.latent.generator, found.latent.identity) == ("tiny", truth.identity)


def test_pictures_do_not_depend_on_their_company_and_seeds_count(make_net):
    net, settings = make_net(channels=(8, 8)), ProjectionSettings(steps=5, samples=50)
    image = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(1))
    both = project(net, image, Colours(), settings, runtime=CPU).latent.w_plus
    assert torch.equal(project(net, image[1:], Colours(), settings, runtime=CPU).latent.w_plus, both[1:])
    other = project(net, image, Colours(), settings, seed=1, runtime=CPU).latent.w_plus
    assert not torch.equal(other, both)


def test_a_start_is_where_it_begins(make_net):
    net = make_net(channels=(8, 8))
    start, image = sample_latents(net, [1], runtime=CPU), torch.rand(2, 8, 8, 3)
    still = ProjectionSettings(steps=1, samples=50, space="w+")                    # whose first rate is 0
    found = project(net, image, Colours(), still, start=start, runtime=CPU)
    assert torch.equal(found.latent.w_plus, start.w_plus.expand(2, -1, -1))
    rows = start.edited(torch.randn(1, 4, 11))
    found = project(net, image, Colours(), ProjectionSettings(1, samples=50), start=rows, runtime=CPU)
    torch.testing.assert_close(found.latent.w_plus, rows.w_plus.mean(1, keepdim=True).expand(2, 4, -1))
    with pytest.raises(ValueError, match="There are 2 pictures, but 3 latents to start from"):
        project(net, image, Colours(), start=start.taken([0, 0, 0]), runtime=CPU)
    with pytest.raises(ValueError, match="made with other"):
        foreign = sample_latents(make_net(2, "other", channels=(8, 8)), [1], runtime=CPU)
        project(net, image, Colours(), start=foreign, runtime=CPU)


def test_an_interrupt_leaves_the_generator_as_it_was(make_net):
    class Stopped(Progress):
        def show(self, preview):
            assert (self.label, self.total) == ("projecting", QUICK.steps)
            assert preview.shape == (32, 32, 3)
            if self.done == 3:
                raise Interrupted

    net = make_net()
    before, image = state(net), torch.rand(1, 40, 32, 3)
    with pytest.raises(Interrupted):
        project(net, image, Colours(), QUICK, runtime=Runtime("cpu", progress_class=Stopped))
    assert all(torch.equal(value, before[name]) for name, value in net.module.state_dict().items())
    assert not any(value.requires_grad for value in net.module.state_dict(keep_vars=True).values())


@pytest.mark.parametrize("changes", [{}, {"image_channels": 1}, {"architecture": "orig", "noise": False}])
def test_under_inference_mode(changes, make_net):
    net = make_net(channels=(8, 8), **changes)
    with torch.inference_mode():
        image, start = torch.rand(1, 8, 8, 3), sample_latents(net, [1], runtime=CPU)
        start = start.edited(start.w_plus + 1)
        settings = ProjectionSettings(3, samples=50, space="w+")
        found = project(net, image, Colours(), settings, start=start, runtime=CPU)
        tuned = tune(net, image, found.latent, Colours(), TuningSettings(2, enough=0.0), runtime=CPU)
    assert found.distances.isfinite().all() and tuned.distances[2] < tuned.distances[0]
    assert tuned.distances[0] == pytest.approx(found.distances.item(), rel=1e-4)


@pytest.mark.parametrize(("changes", "message"), [
    ({"space": "z"}, "space should be one of w, w\\+; got 'z'"), ({"steps": 0}, "at least one step; got 0")])
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        ProjectionSettings(**changes)
