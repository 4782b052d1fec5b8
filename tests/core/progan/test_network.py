"""ProGAN's generator against its formulas, and how it grows."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.growing import Config, Discriminator
from anyone.core.progan.network import Generator
from torch.testing import assert_close

TINY = Config((6, 5, 4), (4, 2), 7)


@pytest.fixture
def generator():
    """With biases at work."""
    generator, rng = Generator(TINY).initialise(1), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, value in generator.named_parameters():
            if name.endswith("bias"):
                value.copy_(torch.randn(value.shape, generator=rng))
    return generator


@pytest.fixture
def z():
    return torch.randn(3, 7, generator=torch.Generator().manual_seed(3))


def test_the_published_network_has_the_published_size():
    """Table 2 of the paper: 23.1 million parameters each."""
    with torch.device("meta"):
        networks = Generator(Config()), Discriminator(Config())
    counts = [sum(p.numel() for p in net.parameters()) for net in networks]
    assert counts == pytest.approx([23.1e6, 23.1e6], rel=2e-3)
    assert Config().size(8) == (1024, 1024)


def test_the_generator_step_by_step(generator, z):
    generator, z = generator.double(), z.double()

    def pixel_norm(x):
        return x / (x ** 2).mean(1, keepdim=True).add(1e-8).sqrt()

    def layer(conv, x):
        scaled = conv.weight * math.sqrt(2 / conv.weight[0].numel())               # He et al.
        x = F.conv2d(x, scaled, conv.bias * math.sqrt(2), padding=1)
        return pixel_norm(F.leaky_relu(x, 0.2))

    blocks, dense = generator.blocks, generator.blocks[0].first[0]
    x = pixel_norm(z) @ dense.weight.T / math.sqrt(7) + dense.bias
    x = layer(blocks[0].conv, pixel_norm(F.leaky_relu(x.view(3, 6, 4, 2), 0.2) * math.sqrt(2)))
    for block in blocks[1:]:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = layer(block.conv, layer(block.first[1], x))
    torgb = generator.torgb[2]
    expected = F.conv2d(x, torgb.weight / 2, torgb.bias)
    assert_close(generator.picture(z), expected)
    assert expected.shape == (3, 3, 16, 8)


def test_latents_lie_on_a_sphere(generator, z):
    assert_close(generator.picture(5 * z), generator.picture(z))


@pytest.mark.parametrize("level", [1, 2])
def test_a_new_level_starts_as_the_old_one_enlarged(generator, z, level):
    old, new = generator.picture(z, level - 1), generator.picture(z, level, 0.0)
    assert torch.equal(new, old.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert not torch.equal(generator.picture(z, level, 0.5), new)


def test_a_grown_level_has_no_trace_of_the_old_path(generator, z):
    pictures = generator.picture(z)
    with torch.no_grad():
        for number in (0, 1):
            generator.torgb[number].weight.fill_(math.nan)
    assert torch.equal(generator.picture(z, 2, 1.0), pictures)
    assert generator.picture(z, 2, 0.99).isnan().all()


def test_equal_seeds_give_equal_networks(z):
    one, two, other = (Generator(TINY).initialise(seed).picture(z) for seed in (4, 4, 5))
    assert torch.equal(one, two) and not torch.allclose(one, other)


def test_levels_that_are_not_there_are_refused(generator, z):
    with pytest.raises(ValueError, match="levels 0 to 2; got 3"):
        generator.picture(z, 3)
