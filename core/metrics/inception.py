"""The inception score of generated pictures, from the class probabilities a classifier gives them."""
from __future__ import annotations

import torch
from torch import Tensor


def inception_score(probabilities: Tensor, splits: int = 10) -> tuple[float, float]:
    """[N,classes], each row adding up to 1 -> mean and standard deviation over consecutive splits.

    Salimans et al. 2016, "Improved techniques for training GANs": exp of the mean divergence of a picture's
    classes from those of its split; the order of the pictures matters. Raises ValueError for fewer pictures
    than splits.
    """
    if len(probabilities) < splits:
        raise ValueError(f"{splits} splits need as many pictures or more; got {len(probabilities)}.")
    bounds = [k * len(probabilities) // splits for k in range(splits + 1)]
    parts = (probabilities[start:end].double() for start, end in zip(bounds, bounds[1:], strict=False))
    scores = torch.stack([_divergence(part).exp() for part in parts])
    return float(scores.mean()), float(scores.std(correction=0))


def _divergence(part: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the rows from their mean; 0 log 0 counts 0."""
    average = part.mean(0, keepdim=True)
    return (torch.xlogy(part, part) - torch.xlogy(part, average)).sum(1).mean()
