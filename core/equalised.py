"""Layers that StyleGAN2 and networks after it share: the equalised linear layer and the resampling filter.

"Progressive Growing of GANs", Karras et al. 2018, section 4.1; "Analyzing and Improving the Image Quality of
StyleGAN", Karras et al. 2020.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def binomial_filter() -> Tensor:
    """The 4x4 binomial filter of both resamplings, sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")
    return taps.outer(taps) / 64


class Linear(nn.Module):
    """x W^T * gain / sqrt(inputs) + bias * gain; `gain` is the learning-rate multiplier."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.gain / math.sqrt(self.weight.shape[1])), self.bias * self.gain)
