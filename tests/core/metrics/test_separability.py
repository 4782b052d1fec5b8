"""Linear separability: entropies by hand, cuts that are known, the SVM against its optimum."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.metrics.separability import conditional_entropy, linear_separability, linear_svm


def points(count=400, width=5, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()


def bits(*numbers):
    return torch.tensor(numbers, dtype=torch.bool)


def test_entropy_by_hand():
    x, y = bits(1, 1, 1, 1, 0, 0, 0, 0), bits(1, 1, 1, 0, 0, 0, 1, 1)
    expected = 0.5 * -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) + 0.5 * math.log(2)
    assert conditional_entropy(x, y) == pytest.approx(expected)
    assert conditional_entropy(y, y) == pytest.approx(0, abs=1e-12)
    assert conditional_entropy(bits(1, 1, 1, 1), bits(1, 0, 1, 0)) == pytest.approx(math.log(2))


def test_the_svm_is_at_its_optimum():
    """The best of the loss by plain descent, on classes that overlap."""
    x, rng = points(), torch.Generator().manual_seed(1)
    positive = x[:, 0] + 0.5 * x[:, 1] + torch.randn(400, generator=rng).double() > 0.3
    y = positive.double() * 2 - 1
    wide = torch.cat([x, torch.ones(400, 1).double()], 1)
    v = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([v], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def loss():
        descent.zero_grad()
        value = v.square().sum() / 2 + (1 - y * (wide @ v)).clamp(min=0).square().sum()
        value.backward()
        return value

    descent.step(loss)
    assert torch.equal(linear_svm(x, positive), wide @ v > 0)


def test_the_offset_counts():
    x = points()
    positive = x[:, 2] > 0.8
    assert (linear_svm(x, positive, cost=100) == positive).double().mean() > 0.98


def test_one_class_alone_is_no_trouble():
    assert linear_svm(points(), torch.ones(400, dtype=torch.bool)).all()


def test_attributes_along_the_latents_are_separable_and_others_are_not():
    x = points(2000)
    rings = x.square().sum(1, keepdim=True) - 4.35                                 # about the median
    assert linear_separability(x, x[:, :2]) == pytest.approx(1, abs=0.02)
    one = linear_separability(x, rings)
    assert one == pytest.approx(2, abs=0.05)
    assert linear_separability(x, torch.cat([rings, rings], 1)) == pytest.approx(one**2)


def test_only_the_surer_half_counts():
    x = points(1000)
    scores = x[:, :1].sign() * torch.where(torch.arange(1000)[:, None] < 500, 2.0, -1.0)     # then wrong
    assert linear_separability(x, scores) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("latents", "scores", "message"), [
    (torch.zeros(3, 2), torch.zeros(4, 1), r"got \[3, 2\] and \[4, 1\]"),
    (torch.zeros(3), torch.zeros(3, 1), "of two pictures or more"),
    (torch.zeros(2, 1), torch.full((2, 1), torch.nan), "NaN or infinite"),
])
def test_what_does_not_fit(latents, scores, message):
    with pytest.raises(ValueError, match=message):
        linear_separability(latents, scores)
