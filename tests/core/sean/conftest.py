"""Tiny random networks and label maps the tests of this folder share."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.sean.network import Config, Generator, SpectralConv

LABELS, STYLE = 5, 10
TINY = {"labels": LABELS, "dims": (12, 10, 8), "style": STYLE, "hidden": 7, "encoder": 4, "start": (4, 6),
        "styled": (True,) * 4 + (False,)}


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def make_generator():
    """Keyword arguments of Config -> a generator in evaluation mode with every part at work."""
    def make(seed=1, **changes):
        generator = Generator(Config(**(TINY | changes))).initialise(seed).eval()
        rng = torch.Generator().manual_seed(seed)
        for name, value in generator.state_dict().items():
            noise = torch.randn(value.shape, generator=rng)
            if name.endswith("running_var"):
                value.copy_(0.5 + noise.abs())
            elif value.ndim > 1:
                value.copy_(noise / math.sqrt(value[0].numel()))
            elif value.is_floating_point():
                value.copy_(0.3 * noise)
        for conv in generator.modules():
            if isinstance(conv, SpectralConv):             # u and v need not be unit vectors
                conv.weight_u.copy_(1.3 * F.normalize(torch.randn(conv.weight_u.shape, generator=rng), dim=0))
                conv.weight_v.copy_(F.normalize(conv.weight_u @ conv.weight_orig.detach().flatten(1), dim=0))
        return generator.requires_grad_(False)
    return make


@pytest.fixture
def make_labels():
    """(batch, height, width) -> blobs of all labels, as people's maps have them."""
    def make(batch=1, height=48, width=40, seed=0, labels=LABELS):
        rng = torch.Generator().manual_seed(seed)
        scores = F.interpolate(
            torch.randn(batch, labels, 5, 4, generator=rng), (height, width), mode="bicubic")
        return scores.argmax(1)
    return make


@pytest.fixture
def make_codes():
    def make(batch=1, seed=0, labels=LABELS, style=STYLE):
        return torch.rand(batch, labels, style, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return make
