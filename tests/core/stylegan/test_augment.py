"""Augmentation: nothing where nothing should happen, single operations, the adaptive probability."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.stylegan import augment


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def picture():
    """Smooth, [2,3,32,16]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 16), indexing="ij")
    one = torch.stack([x * y, (2 * x).sin() * 0.5, y])
    return torch.stack([one, -one])


def one(matrix):
    return matrix.expand(2, 3, 3)


def inner(x):
    return x[..., 6:-6, 4:-4]


def test_the_filter_is_orthogonal_to_itself_moved_by_two():
    taps = torch.tensor(augment.SYM6, dtype=torch.float64)
    assert float(taps.sum()) == pytest.approx(math.sqrt(2), abs=1e-12)
    for shift in range(0, 12, 2):
        product = float((taps[shift:] * taps[:12 - shift]).sum())
        assert product == pytest.approx(float(shift == 0), abs=1e-10)


def test_nothing_happens_at_probability_0_and_little_by_resampling(picture):
    assert augment.augment(picture, 0.0, rng()) is picture
    same = augment.transform(picture, one(torch.eye(3)))
    assert torch.allclose(inner(same), inner(picture), atol=1e-5)


def test_a_flip_a_turn_and_a_shift(picture):
    ones = torch.ones(2)
    flipped = augment.transform(picture, augment.scaling(-ones, ones))
    assert (inner(flipped) - inner(picture.flip(-1))).abs().max() < 0.02
    square = picture[:, :, 8:24]
    turned = augment.transform(square, augment.rotation(ones * math.pi / 2))
    assert (turned - torch.rot90(square, 1, (2, 3)))[..., 4:-4, 4:-4].abs().max() < 0.02
    moved = augment.transform(picture, augment.translation(ones * 3, ones * 2))
    assert torch.allclose(moved[..., 6:-8, 4:-7], picture[..., 8:-6, 7:-4], atol=1e-4)


def test_places_outside_are_reflected():
    places = torch.tensor([-1.5, 0.0, 3.0, 3.25, 7.0])
    assert torch.equal(augment.reflect(places, 4), torch.tensor([1.5, 0.0, 3.0, 2.75, 1.0]))


def test_looking_up_is_bilinear():
    pictures = torch.tensor([[[[0.0, 1.0], [10.0, 11.0]]]])
    seen = augment.look_up(pictures, torch.tensor([[0.5, 0.25]]), torch.tensor([[0.5, 0.0]]))
    assert torch.allclose(seen, torch.tensor([[[5.5, 0.25]]]))


def test_colours_keep_greys_grey_and_lengths_of_colours(picture):
    matrix = augment.colour(augment.Draw(64, 1.0, rng()))
    grey = matrix[:, :, :3] @ torch.full((3,), 0.5) + matrix[:, :, 3]
    assert torch.allclose(grey, grey[:, :1].expand(-1, 3), atol=1e-5)
    neutral = augment.colour(augment.Draw(4, 0.0, rng()))
    assert torch.allclose(neutral, torch.eye(3, 4).expand(4, 3, 4), atol=1e-6)


def test_every_operation_has_its_probability():
    draw = augment.Draw(4000, 0.25, rng())
    assert draw.sometimes(draw.uniform() + 1).ne(0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    matrices = augment.geometry(augment.Draw(4000, 0.25, rng(1)), 64, 64)
    still = (matrices - torch.eye(3)).abs().amax((1, 2)) == 0
    assert 0.1 < still.float().mean().item() < 0.35          # 0.75^6, and flips and turns by nothing


def test_pictures_can_be_differentiated_twice():
    pictures = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    slope, = torch.autograd.grad((augment.augment(pictures, 1.0, rng(3)) ** 2).sum(), pictures,
                                 create_graph=True)
    second, = torch.autograd.grad(slope.square().sum(), pictures)
    assert second.isfinite().all() and second.abs().max() > 0


def test_the_probability_follows_the_discriminators_certainty():
    p = torch.tensor(0.01)
    assert augment.adapted(p, torch.tensor(0.9), 5000).item() == pytest.approx(0.02)
    assert augment.adapted(p, torch.tensor(0.3), 2000).item() == pytest.approx(0.006)
    assert augment.adapted(p, torch.tensor(-1.0), 50_000).item() == 0
    assert augment.adapted(p, torch.tensor(0.9), 1000, speed=100_000).item() == pytest.approx(0.02)
