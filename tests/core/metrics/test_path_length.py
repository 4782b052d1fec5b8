"""Perceptual path length of generators whose paths are known."""
from __future__ import annotations

import pytest
import torch
from anyone.core.metrics.path_length import mean_length, path_lengths


def test_a_straight_path_is_as_long_as_it_is():
    """Pictures that move by v for the whole way, seen by features twice as large."""
    v = torch.tensor([[3.0, 4], [0, 1]]).double()
    t = torch.tensor([0.0, 0.5]).double()
    found = path_lengths(lambda place: place[:, None] * v, lambda picture: 2 * picture, t)
    torch.testing.assert_close(found, torch.tensor([100.0, 4]).double(), rtol=1e-6, atol=0)


def test_a_bent_path_depends_on_the_place():
    t = torch.tensor([0.0, 1, 2]).double()
    found = path_lengths(lambda place: place[:, None].square(), lambda picture: picture, t)
    torch.testing.assert_close(found, (2 * t).square(), rtol=1e-3, atol=1e-6)


def test_the_mean_leaves_the_extremes_out():
    lengths = torch.arange(1000.0)
    assert mean_length(lengths) == pytest.approx(499.5)
    lengths[-1], lengths[-2] = 1e9, 1e8
    assert mean_length(lengths) == pytest.approx(499.5, rel=1e-6)
    assert mean_length(lengths, 0.0) > 1e6
    assert mean_length(torch.tensor([3.0])) == 3


@pytest.mark.parametrize("lengths", [torch.zeros(0), torch.tensor([1, torch.nan])])
def test_nothing_to_average(lengths):
    with pytest.raises(ValueError, match="needs finite lengths, at least one"):
        mean_length(lengths)
