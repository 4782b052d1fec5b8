"""StyleGAN's generator against its formulas: styles, mixing, truncation, noise, growing."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.stylegan1.network import Config, Generator, adain, mix
from torch.testing import assert_close

TINY = Config((6, 5, 4), (4, 2), 7, (9, 8))


@pytest.fixture
def generator():
    """Every part at work: biases, noise and the mean of w are not those of the start."""
    generator, rng = Generator(TINY).initialise(1), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, value in generator.state_dict().items():
            if name.endswith(("bias", "noise_strength", "w_avg", "const")):
                spread = 30 if name.startswith("mapping.fc") else 0.5
                value.add_(torch.randn(value.shape, generator=rng) * spread)
    return generator.requires_grad_(False)


def random_ws(count=2, seed=5):
    return torch.randn(count, TINY.num_ws, 8, generator=torch.Generator().manual_seed(seed))


def test_the_published_network_has_the_published_size():
    """Section 2 of the paper: 26.2 million parameters, 18 layers at 1024x1024."""
    with torch.device("meta"):
        generator = Generator(Config())
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(26.2e6, rel=2e-3)
    assert Config().num_ws == 18


def test_adain_gives_every_channel_the_style_s_mean_and_deviation():
    x = torch.randn(2, 3, 8, 4, dtype=torch.float64) * 7 + 3
    style = torch.tensor([[-0.5, 0, 2, 1, -4, 0], [1, -2, 0.5, 0, 0.25, 9]], dtype=torch.float64)
    y = adain(x, style)
    assert_close(y.mean((2, 3)), style[:, 3:])
    assert_close(y.std((2, 3), correction=0), (1 + style[:, :3]).abs())
    assert_close(adain(100 * x - 5, style), y)


def test_a_fresh_style_changes_nothing_on_average():
    layer = Generator(TINY).initialise().layers[0]
    assert not layer.style.bias.any() and not layer.noise_strength.any() and not layer.bias.any()
    assert (Generator(TINY).initialise().const == 1).all()


def test_the_generator_step_by_step(generator):
    generator, z = generator.double(), torch.randn(3, 7, dtype=torch.float64)
    generator.mapping.float()                              # which always computes so

    def lrelu(x):
        return F.leaky_relu(x, 0.2) * math.sqrt(2)

    w = z.float() / z.float().pow(2).mean(1, keepdim=True).sqrt()
    for layer in (generator.mapping.fc0, generator.mapping.fc1):
        w = lrelu(w @ layer.weight.T * 0.01 / math.sqrt(w.shape[1]) + 0.01 * layer.bias)
    ws = generator.mapping(z)
    assert_close(ws, w[:, None].repeat(1, 6, 1))

    noise, x = torch.Generator().manual_seed(8), generator.const.expand(3, -1, -1, -1)
    for number, layer in enumerate(generator.layers):
        if number in (2, 4):
            x = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]
        if number:
            conv = layer.conv[1] if number in (2, 4) else layer.conv
            x = F.conv2d(x, conv.weight / math.sqrt(9 * x.shape[1]), padding=1)
        plane = torch.randn(3, 1, *x.shape[2:], generator=noise).double()
        x = lrelu(x + plane * layer.noise_strength.view(-1, 1, 1) + layer.bias.view(-1, 1, 1))
        scale, shift = (w.double() @ layer.style.weight.T / math.sqrt(8) + layer.style.bias).chunk(2, 1)
        x = (x - x.mean((2, 3), keepdim=True)) / x.var((2, 3), correction=0, keepdim=True).add(1e-8).sqrt()
        x = x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    torgb = generator.torgb[2]
    expected = F.conv2d(x, torgb.weight / 2, torgb.bias)
    found = generator.picture(ws.double(), rng=torch.Generator().manual_seed(8))
    assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert expected.shape == (3, 3, 16, 8)


@pytest.mark.parametrize("crossover", [2, 4])
def test_mixed_styles_keep_what_lies_below_the_crossover(generator, crossover):
    """Two rows a level."""
    one, other = random_ws(seed=5), random_ws(seed=6)
    mixed = mix(one, other, crossover)
    kept = crossover // 2
    found, first, second = (generator.features(ws) for ws in (mixed, one, other))
    assert all(torch.equal(a, b) for a, b in zip(found[:kept], first[:kept], strict=True))
    assert not any(torch.allclose(a, b) for a, b in zip(found[kept:], first[kept:], strict=True))
    assert not torch.allclose(found[kept], second[kept]), "the features below are still those of the first"
    style = generator.layers[-1].style(other[:, -1])
    assert_close(found[2].mean((2, 3)), style[:, 4:])      # at the top the other source's statistics
    assert_close(found[2].std((2, 3), correction=0), (1 + style[:, :4]).abs(), rtol=1e-3, atol=1e-3)


def test_all_or_no_rows_are_one_source(generator):
    one, other = random_ws(seed=5), random_ws(seed=6)
    assert torch.equal(mix(one, other, 0), other) and torch.equal(mix(one, other, 6), one)


def test_truncation_leads_to_the_mean_picture(generator):
    z = torch.randn(3, 7)
    mean = generator.picture(generator.mapping.w_avg.expand(1, 6, 8))
    assert_close(generator.picture(generator.mapping(z, psi=0)), mean.expand(3, -1, -1, -1))
    ws, half = generator.mapping(z), generator.mapping(z, psi=0.5)
    assert_close(half, (ws + generator.mapping.w_avg) / 2)
    coarse = generator.mapping(z, psi=0.5, cutoff=2)
    assert torch.equal(coarse, torch.cat([half[:, :2], ws[:, 2:]], 1))
    assert not torch.allclose(generator.picture(half), generator.picture(ws))


def test_noise_moves_pixels_but_not_statistics(generator):
    ws, rngs = random_ws(), [torch.Generator().manual_seed(seed) for seed in (1, 2, 1)]
    one, two, again = (generator.features(ws, rng=rng)[-1] for rng in rngs)
    assert torch.equal(one, again) and (one - two).abs().mean() > 0.01
    assert_close(one.mean((2, 3)), two.mean((2, 3)))
    alike = generator.layers[0](generator.const.expand(2, -1, -1, -1), ws[:1, 0].expand(2, -1), rngs[0])
    assert not torch.allclose(alike[0], alike[1]), "every sample has noise of its own"


def test_without_noise_strength_pictures_are_determined(generator):
    for layer in generator.layers:
        layer.noise_strength.zero_()
    noisy = generator.picture(random_ws(), rng=torch.Generator().manual_seed(1))
    assert torch.equal(noisy, generator.picture(random_ws()))


def test_it_grows_as_progan_does(generator):
    ws = random_ws()
    old, new = generator.picture(ws, 1), generator.picture(ws, 2, 0.0)
    assert torch.equal(new, old.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert old.shape == (2, 3, 8, 4)
    assert_close(generator.picture(ws, 2, 0.25), 0.75 * new + 0.25 * generator.picture(ws))


def test_latents_of_another_network_are_refused(generator):
    for shape in ((2, 8), (2, 5, 8), (2, 6, 7)):
        with pytest.raises(ValueError, match=r"takes latents \[N, 6, 8\]; got"):
            generator.picture(torch.zeros(shape))
    with pytest.raises(ValueError, match="levels 0 to 2; got 3"):
        generator.picture(random_ws(), 3)
