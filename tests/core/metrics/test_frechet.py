"""FID's statistics and distance, against NumPy, SciPy and known distances of Gaussians."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from anyone.core.metrics.frechet import FeatureStatistics, frechet_distance


def features(count, length, seed=0):
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(length, length, generator=random, dtype=torch.float64)
    return torch.randn(count, length, generator=random, dtype=torch.float64) @ mix + mix[0]


def gathered(values, batch=7):
    statistics = FeatureStatistics()
    for part in values.split(batch):
        statistics.add(part)
    return statistics


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_mean_and_covariance_are_those_of_numpy_however_they_come(batch):
    values = features(50, 6) + 1e6                        # sums of squares would lose all digits
    found = gathered(values, batch)
    np.testing.assert_allclose(found.mean, values.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(values.numpy(), rowvar=False), atol=1e-8)
    assert found.count == 50


@pytest.mark.parametrize("count, length", [(400, 16), (12, 16)], ids=["full rank", "fewer than numbers"])
def test_the_distance_is_that_of_scipys_matrix_root(count, length):
    linalg = pytest.importorskip("scipy.linalg", reason="SciPy is not installed")
    a, b = gathered(features(count, length)), gathered(features(count, length, seed=1))
    first, second = a.covariance.numpy(), b.covariance.numpy()
    root = linalg.sqrtm(first @ second).real
    expected = (a.mean - b.mean).square().sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-5)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_the_distance_of_scaled_and_shifted_features_by_hand():
    """x -> 3x + v: the means are |2m + v| apart, the roots of the variances 2 apart."""
    values, shift = features(200, 5), torch.arange(5.0)
    a, b = gathered(values), gathered(3 * values + shift)
    expected = (2 * a.mean + shift).square().sum() + 4 * a.covariance.trace()
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-9)


def test_equal_features_are_no_distance_apart():
    a = gathered(features(30, 40))
    assert frechet_distance(a, gathered(features(30, 40), batch=30)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a) >= 0


def test_what_has_no_distance_is_refused():
    a, b = gathered(features(9, 4)), gathered(features(9, 5))
    with pytest.raises(ValueError, match="4 and of 5 numbers"):
        frechet_distance(a, b)
    for few in (FeatureStatistics(), gathered(features(1, 4))):
        with pytest.raises(ValueError, match=f"at least two pictures on each side; got {few.count}"):
            frechet_distance(a, few)


def test_features_that_do_not_fit_are_refused():
    statistics = gathered(features(3, 4))
    with pytest.raises(ValueError, match=r"\[N,4\]; got \[2, 5\]"):
        statistics.add(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"\[N,D\]; got \[4\]"):
        FeatureStatistics().add(torch.zeros(4))
    with pytest.raises(ValueError, match="NaN"):
        statistics.add(torch.full((2, 4), torch.nan))
    statistics.add(torch.zeros(0, 4))
    assert statistics.count == 3
