"""Sampling, truncating, interpolating and drawing latents with tiny random generators."""
from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.sean.weights import SYSTEM as SEAN
from anyone.core.stylegan.infer import (
    BATCH,
    generator_of,
    interpolate_z,
    render,
    sample_latents,
    truncate,
)
from anyone.core.stylegan.latents import identity_of, mix, slerp

CPU = Runtime("cpu")


def shown(net, latent, *arguments):
    pictures = (generator_of(net).generator.picture(latent.w_plus, *arguments) + 1) / 2
    return pictures.movedim(1, -1).clamp(0, 1)


def test_seeds_are_those_of_the_published_scripts(make_net):
    net = make_net()
    latent = sample_latents(net, [5, 2**32 + 6], psi=1, runtime=CPU)
    z = np.concatenate([np.random.RandomState(seed).randn(1, 7) for seed in (5, 6)])
    assert torch.equal(latent.origin.z, torch.from_numpy(z).float())
    assert torch.equal(latent.w_plus, net.module.mapping(torch.from_numpy(z)))
    assert (latent.generator, latent.identity) == ("tiny", identity_of(net.module.mapping))


def test_truncation(make_net):
    net = make_net()
    plain = sample_latents(net, [1, 2], psi=1, runtime=CPU)
    mean = net.module.mapping.w_avg
    usual = sample_latents(net, [1, 2], runtime=CPU)
    torch.testing.assert_close(usual.w_plus, 0.3 * mean + 0.7 * plain.w_plus)
    some = sample_latents(net, [1, 2], psi=0, cutoff=3, runtime=CPU)
    assert torch.equal(some.w_plus[:, 3:], plain.w_plus[:, 3:])
    torch.testing.assert_close(some.w_plus[:, :3], mean.expand(2, 3, -1))
    later = truncate(net, mix(plain, plain, [0]), 0.7, runtime=CPU)
    torch.testing.assert_close(later.w_plus, usual.w_plus)
    assert later.origin is None and later.identity == plain.identity


def test_classes(make_net):
    net = make_net(labels=3, embed=5)
    second, none = (sample_latents(net, [4], label=label, psi=1, runtime=CPU) for label in (1, None))
    z = torch.from_numpy(np.random.RandomState(4).randn(1, 7))
    assert torch.equal(second.w_plus, net.module.mapping(z, torch.eye(3)[1:2]))
    assert torch.equal(none.w_plus, net.module.mapping(z))
    with pytest.raises(ValueError, match="tiny knows classes 0 to 2; got class 3"):
        sample_latents(net, [4], label=3, runtime=CPU)
    with pytest.raises(ValueError, match="tiny knows no classes; got class 0"):
        sample_latents(make_net(), [4], label=0, runtime=CPU)
    with pytest.raises(ValueError, match="give at least one"):
        sample_latents(net, [], runtime=CPU)


def test_the_way_through_z(make_net):
    net = make_net()
    a, b = (sample_latents(net, [seed], runtime=CPU) for seed in (1, 2))
    found = interpolate_z(net, a, b, torch.tensor([0.0, 0.4, 1.0]), runtime=CPU)
    torch.testing.assert_close(found.w_plus[[0, 2]], torch.cat([a.w_plus, b.w_plus]))
    z = slerp(a.origin.z, b.origin.z, torch.tensor([0.4]))
    torch.testing.assert_close(found.w_plus[1:2], net.module.mapping(z, psi=0.7))
    torch.testing.assert_close(found.origin.z[1:2], z)
    with pytest.raises(ValueError, match="z of a latent is not known"):
        interpolate_z(net, a, mix(b, b, [0]), torch.zeros(1), runtime=CPU)
    with pytest.raises(ValueError, match="truncated alike; got psi 0.7 below layer None, and psi 1.0"):
        interpolate_z(net, a, sample_latents(net, [1], psi=1.0, runtime=CPU), torch.zeros(1), runtime=CPU)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_pictures_are_the_networks_own(noise, make_net):
    net = make_net(start=(4, 2))
    latent = sample_latents(net, [1, 2, 3], runtime=CPU)
    pictures = render(net, latent, noise, runtime=CPU)
    assert pictures.shape == (3, 32, 16, 3) and 0 < pictures.mean() < 1
    torch.testing.assert_close(pictures, shown(net, latent, noise), atol=1e-5, rtol=0)
    assert torch.equal(render(net, latent.taken([1]), noise, runtime=CPU), pictures[1:2])


def test_random_noise_follows_from_the_seed_and_the_place(make_net):
    net = make_net()
    latent = sample_latents(net, [1, 1], runtime=CPU)
    found = render(net, latent, "random", 7, runtime=CPU)
    expected = shown(net, latent.taken([0]), "random", torch.Generator().manual_seed(8))
    torch.testing.assert_close(found[1:], expected, atol=1e-5, rtol=0)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(render(net, latent, "random", 7, runtime=CPU), found)
    render(net, latent, "random", 2**64 - 1, runtime=CPU)


def test_grey_generators_draw_grey(make_net):
    net = make_net(image_channels=1)
    pictures = render(net, sample_latents(net, [1], runtime=CPU), runtime=CPU)
    assert pictures.shape == (1, 32, 32, 3) and torch.equal(pictures[..., 0], pictures[..., 2])


def test_latents_of_others_are_refused(make_net):
    net = make_net()
    with pytest.raises(ValueError, match="made with other, which tiny is no copy of"):
        render(net, sample_latents(make_net(2, "other"), [1], runtime=CPU), runtime=CPU)
    with pytest.raises(ValueError, match="has 6 layers of 11 numbers, but tiny needs 8"):
        render(net, sample_latents(make_net(channels=(6, 5, 4)), [1], runtime=CPU), runtime=CPU)
    with pytest.raises(ValueError, match="noise must be one of const, random, none; got 'loud'"):
        render(net, sample_latents(net, [1], runtime=CPU), "loud", runtime=CPU)
    with pytest.raises(ValueError, match="styler is a SEAN .*, not a StyleGAN2 generator"):
        sample_latents(LoadedNet(torch.nn.Identity(), SEAN, "styler"), [1], runtime=CPU)


class Tight(Runtime):
    """Claims to be an accelerator with memory for `room` pictures."""

    def __init__(self, room):
        super().__init__("cpu")
        self.room, self.batches = room, []

    @contextmanager
    def use(self, net, memory=0):
        with super().use(net, memory) as (module, device):
            draw = module.picture

            def picture(ws, *arguments):
                self.batches.append(len(ws))
                if len(ws) > self.room:
                    raise torch.OutOfMemoryError("no")
                return draw(ws, *arguments)

            module.picture = picture
            try:
                yield module, replaced_type(device)
            finally:
                del module.picture


class replaced_type:
    """A device that is a CPU and calls itself otherwise."""

    type = "cuda"

    def __init__(self, device):
        self.device = device


def test_batches_halve_where_memory_runs_out(make_net, monkeypatch):
    net = make_net()
    latent = sample_latents(net, range(11), runtime=CPU)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, to=torch.Tensor.to, **named: (
        self if isinstance(args[0], replaced_type) else to(self, *args, **named)))
    runtime = Tight(3)
    found = render(net, latent, runtime=runtime)
    assert runtime.batches == [BATCH, 4, 2, 2, 2, 2, 2, 1]
    torch.testing.assert_close(found, render(net, latent, runtime=CPU), atol=1e-5, rtol=0)
    with pytest.raises(torch.OutOfMemoryError):
        render(net, latent, runtime=Tight(0))


def test_previews_progress_and_interrupts(make_net):
    seen = []

    class Watched(Progress):
        def show(self, preview):
            seen.append((self.label, self.done, self.total, preview))
            if self.done == 2:
                raise Interrupted

    net, runtime = make_net(), Runtime("cpu", progress_class=Watched)
    latent = sample_latents(net, [1, 2, 3], runtime=CPU)
    with pytest.raises(Interrupted):
        render(net, latent, runtime=runtime)
    assert [entry[:3] for entry in seen] == [("drawing latents", 1, 3), ("drawing latents", 2, 3)]
    assert torch.equal(seen[1][3], render(net, latent, runtime=CPU)[1])


def test_latents_made_in_inference_mode_can_be_drawn(make_net):
    net = make_net()
    with torch.inference_mode():
        latent = sample_latents(net, [1], runtime=CPU)
        edited = mix(latent, latent, [0])
    assert torch.equal(render(net, replace(edited), runtime=CPU), render(net, latent, runtime=CPU))
