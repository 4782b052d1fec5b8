"""Scores of a generator, with a tiny random one."""
from __future__ import annotations

import copy

import pytest
import torch
from anyone.core.checkpoints import embedded, load
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.evaluation import generators
from anyone.core.evaluation.generators import (
    feature_distance,
    folder_pictures,
    latent_path_lengths,
    score_generator,
)
from anyone.core.features import detector_features, region_shares
from anyone.core.metrics.frechet import FeatureStatistics, frechet_distance
from anyone.core.metrics.path_length import mean_length
from anyone.core.metrics.separability import linear_separability
from anyone.core.perceptual import Lpips
from anyone.core.runtime import Runtime
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.infer import render, sample_latents, sample_w
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.weights import SYSTEM
from anyone.core.synthetic import render_people
from PIL import Image
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


def test_the_distance_is_between_real_pictures_and_as_many_drawn_ones(net):
    real = torch.rand(5, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    latent = sample_latents(net, range(7, 12), psi=1, runtime=CPU)
    drawn = render(net, latent, runtime=CPU).movedim(-1, 1)
    detector, sides = load(embedded()["detect-person"]), (FeatureStatistics(), FeatureStatistics())
    for side, pictures in zip(sides, (real, drawn), strict=True):
        side.add(detector_features(detector, list(pictures), CPU))
    found = feature_distance(net, real.split(2), seed=7, runtime=CPU)
    assert found == pytest.approx(frechet_distance(*sides), rel=1e-4) and found > 0.1


def test_drawn_pictures_are_not_far_from_themselves(net):
    own = render(net, sample_latents(net, range(6), psi=1, runtime=CPU), runtime=CPU).movedim(-1, 1)
    assert feature_distance(net, own.split(4), runtime=CPU) == pytest.approx(0, abs=1e-6)


def test_studio_people_have_the_generators_size():
    larger = Generator(Config(channels=(4, 4, 4, 4), start=(4, 2), z=6, mapping=(5,)))
    net = LoadedNet(FastGenerator(larger), SYSTEM, "larger")
    first, second = generators.studio_people(net, 34, first_id=50)
    assert first.shape == (32, 3, 32, 16)
    expected = render_people(torch.tensor([82, 83]), 32, 16, mode="studio").image
    assert torch.equal(second, expected)


def test_pictures_of_a_folder_are_cut_to_the_generators_shape(tmp_path):
    tall = Generator(Config(channels=(4, 4, 4), start=(4, 2), z=6, mapping=(5,)))
    image = torch.randint(256, (3, 16, 16, 3), generator=torch.Generator().manual_seed(0)).byte()
    for number, picture in enumerate(image):
        Image.fromarray(picture.numpy()).save(tmp_path / f"{number}.png")
    found = torch.cat(list(folder_pictures(LoadedNet(FastGenerator(tall), SYSTEM, "tall"), tmp_path, 2)))
    assert found.shape == (2, 3, 16, 8)
    assert torch.allclose(found, image[:2, :, 4:12].movedim(-1, 1) / 255, atol=1e-6)
