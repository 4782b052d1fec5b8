"""Tracking and motion supervision against the specification, pixel by pixel."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.drag.terms import ahead, motion_loss, nearest

SIZE = (24, 32)


@pytest.fixture
def features():
    return torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(2))


def sample(features, y, x):
    """Bilinear at pixel indices, zeros outside, by torch's own sampling."""
    height, width = features.shape[1:]
    place = torch.tensor([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1]).view(1, 1, 1, 2)
    return F.grid_sample(features[None], place, mode="bilinear", align_corners=False)[0, :, 0, 0]


def test_the_first_of_the_nearest_pixels_counts(features):
    features[:, 4, 9] = features[:, 7, 2]
    assert nearest(features, features[:, 7, 2]) == 4 * 32 + 9
    assert nearest(features[:, 5:], features[:, 7, 2]) == 2 * 32 + 2


def test_distance_is_euclidean():
    patch = torch.tensor([[3.0, 2.2], [0.0, 2.2]]).view(2, 1, 2)     # L1 4.4 > 3, L2 3.11 > 3; squares too
    assert nearest(patch, torch.zeros(2)) == 0
    patch = torch.tensor([[3.0, 2.0], [0.0, 2.0]]).view(2, 1, 2)     # L1 prefers the first, L2 the second
    assert nearest(patch, torch.zeros(2)) == 1


@pytest.mark.parametrize("direction", [(0.6, -0.8), (-0.6, 0.8), (1.0, 0.0), (0.0, -1.0)])
def test_one_pixel_ahead(features, direction):
    found = ahead(features, direction)
    for y, x in ((0, 0), (11, 17), (23, 31), (0, 31), (23, 5)):
        torch.testing.assert_close(found[:, y, x], sample(features, y + direction[0], x + direction[1]),
                                   atol=1e-5, rtol=0)


@pytest.mark.parametrize(("handle", "radius"), [((11, 15), 3), ((0, 31), 3), ((23, 30), 2), ((12, 0), 1)])
def test_motion_loss_is_that_of_the_specification(features, handle, radius):
    direction, (height, width) = (0.6, -0.8), SIZE
    terms = []
    for i in range(height):
        for j in range(width):
            off = math.hypot(i * height / (height - 1) - handle[0], j * width / (width - 1) - handle[1])
            if off < radius:
                terms.append((features[:, i, j] - sample(features, i + 0.6, j - 0.8)).abs())
    expected = torch.stack(terms).mean()
    found = motion_loss(features, (0, 0), handle, direction, radius, SIZE)
    torch.testing.assert_close(found, expected)
    top, left = max(handle[0] - radius - 2, 0), max(handle[1] - radius - 2, 0)
    part = features[:, top:handle[0] + radius + 3, left:handle[1] + radius + 3]
    torch.testing.assert_close(motion_loss(part, (top, left), handle, direction, radius, SIZE), expected)


def test_the_present_place_gets_no_gradient(features):
    """Only what is sampled one pixel ahead is pulled."""
    features.requires_grad_()
    motion_loss(features, (0, 0), (0, 0), (0.0, 1.0), 1, SIZE).backward()
    touched = features.grad.abs().sum(0).nonzero().tolist()
    assert touched == [[0, 1]]
    sign = (features[:, 0, 1] - features[:, 0, 0]).sign().detach() / 3
    torch.testing.assert_close(features.grad[:, 0, 1], sign)
