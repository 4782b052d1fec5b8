"""Scores of a generator, with a tiny random one."""
from __future__ import annotations

import copy

import pytest
import torch
from anyone.core.checkpoints import embedded, load
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.evaluation.generators import latent_path_lengths, score_generator
from anyone.core.features import region_shares
from anyone.core.metrics.path_length import mean_length
from anyone.core.metrics.separability import linear_separability
from anyone.core.perceptual import Lpips
from anyone.core.runtime import Runtime
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.infer import render, sample_latents, sample_w
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.weights import SYSTEM
from torch import nn

CPU = Runtime("cpu")


@pytest.fixture
def net():
    generator = Generator(Config(channels=(8, 8, 8), start=(4, 2), z=6, mapping=(5, 7))).initialise(1)
    return LoadedNet(FastGenerator(generator.eval().requires_grad_(False)), SYSTEM, "tiny")


class Flat(nn.Module):
    title = "LPIPS"

    def forward(self, picture):
        return picture.flatten(1)


def test_path_lengths_are_squared_slopes(net):
    """Between w and w, pictures change by their derivative along the way."""
    found = latent_path_lengths(net, Flat(), count=11, seed=4, runtime=CPU)
    start, end = sample_w(net.module.mapping, 22, 4).double().view(2, 11, 1, -1).expand(-1, -1, 6, -1)
    exact, step = copy.deepcopy(net.module.generator).double(), 1e-6
    slopes = (exact.picture(start + step * (end - start)) - exact.picture(start)) / step
    torch.testing.assert_close(found, slopes.square().sum((1, 2, 3)), rtol=0.02, atol=0)


def test_the_scores_are_named_after_their_features(net):
    found = score_generator(net, count=6, seed=3, runtime=CPU)
    assert found.keys() == {"ppl_detector", "separability_z", "separability_w"}
    lengths = latent_path_lengths(net, Lpips.detector(), count=6, seed=3, runtime=CPU)
    assert found["ppl_detector"] == pytest.approx(mean_length(lengths), rel=1e-4)
    latent = sample_latents(net, range(3, 9), psi=1, runtime=CPU)
    pictures = render(net, latent, runtime=CPU).movedim(-1, 1)
    shares = region_shares(load(embedded()["detect-person"]), list(pictures), CPU)
    scores = shares - shares.median(0).values
    assert found["separability_w"] == pytest.approx(linear_separability(latent.w_plus[:, 0], scores))
    assert found["separability_z"] == pytest.approx(linear_separability(latent.origin.z, scores))
    named = score_generator(net, count=2, features=Flat(), runtime=CPU)
    assert named.keys() == {"ppl", "separability_z", "separability_w"}
