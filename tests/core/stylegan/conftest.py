"""Tiny networks the tests of this folder share."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.stylegan.discriminator import Discriminator, DiscriminatorConfig
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.weights import SYSTEM

TINY = {"channels": (12, 10, 8, 6), "z": 7, "mapping": (9, 11)}
JUDGE = {"channels": (12, 10, 8), "group": 2}


def shake(module, seed):
    """Every part at work: biases, strengths and the mean latent are not those of the start."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith(("bias", "noise_strength", "w_avg")):
                spread = 30 if name.startswith("mapping.fc") else 0.3
                value.add_(torch.randn(value.shape, generator=rng) * spread)
    return module.eval()


@pytest.fixture
def make_generator():
    """Keyword arguments of Config -> a generator for 32x32 with every part at work."""
    def make(seed=1, **changes):
        return shake(Generator(Config(**TINY | changes)).initialise(seed), seed).requires_grad_(False)
    return make


@pytest.fixture
def make_discriminator():
    """Keyword arguments of DiscriminatorConfig -> a discriminator for 16x16 with every part at work."""
    def make(seed=1, **changes):
        return shake(Discriminator(DiscriminatorConfig(**JUDGE | changes)).initialise(seed), seed)
    return make


@pytest.fixture
def make_ws():
    """(config, count) -> random w+ of that network."""
    def make(config, count=2, seed=5):
        return torch.randn(count, config.num_ws, config.w, generator=torch.Generator().manual_seed(seed))
    return make


@pytest.fixture
def make_net(make_generator):
    """Keyword arguments of Config -> a loaded generator for 32x32, as users run it."""
    def make(seed=1, name="tiny", **changes):
        return LoadedNet(FastGenerator(make_generator(seed, **changes)), SYSTEM, name)
    return make
