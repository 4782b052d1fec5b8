import math

import pytest
import torch
from anyone.core.metrics.inception import inception_score


def test_sure_and_varied_pictures_score_their_number_of_classes():
    probabilities = torch.eye(5).repeat(4, 1)
    assert inception_score(probabilities, splits=4) == pytest.approx((5.0, 0.0))


def test_pictures_that_all_look_alike_score_one():
    assert inception_score(torch.full((20, 5), 0.2)) == pytest.approx((1.0, 0.0))


def test_two_unequal_splits_by_hand():
    """Three rows in two splits: the first holds one picture and scores 1."""
    probabilities = torch.tensor([[0.3, 0.7], [1.0, 0.0], [0.5, 0.5]])
    average = torch.tensor([0.75, 0.25])
    divergence = (math.log(1 / average[0]) + 0.5 * math.log(0.5 / average[0])
                  + 0.5 * math.log(0.5 / average[1])) / 2
    scores = [1.0, math.exp(divergence)]
    mean = sum(scores) / 2
    assert inception_score(probabilities, splits=2) == pytest.approx((mean, scores[1] - mean), abs=1e-6)


def test_fewer_pictures_than_splits_are_refused():
    with pytest.raises(ValueError, match="10 splits need as many pictures or more; got 9"):
        inception_score(torch.full((9, 2), 0.5))
