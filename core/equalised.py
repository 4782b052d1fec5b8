"""Layers that ProGAN and its descendants share: equalised learning rates, resampling, pixel norm, deviation.

"Progressive Growing of GANs", Karras et al. 2018, arXiv 1710.10196, section 4; "Analyzing and Improving the
Image Quality of StyleGAN", Karras et al. 2020, arXiv 1912.04958. Weights have unit variance and are scaled
when used, so that all layers learn at one rate.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2)


def binomial_filter() -> Tensor:
    """The 4x4 binomial filter of both resamplings, sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")
    return taps.outer(taps) / 64


def activate(x: Tensor, gain: float = 1, clamp: float | None = None) -> Tensor:
    """sqrt(2) leaky ReLU, clamped to +-`clamp`, times `gain`."""
    x = F.leaky_relu(x, 0.2) * (SQRT2 * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def normalise(x: Tensor) -> Tensor:
    """[N,C,...] at a mean square of 1 over the channels: of latents, and of every pixel (pixel norm)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Linear(nn.Module):
    """x W^T * gain / sqrt(inputs) + bias * gain; `gain` is the learning-rate multiplier."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.gain / math.sqrt(self.weight.shape[1])), self.bias * self.gain)


class Conv(nn.Module):
    """Convolution with zero padding, weights over sqrt(inputs * kernel^2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.padding, self.stride = kernel // 2, 1

    def forward(self, x: Tensor) -> Tensor:
        """[N,I,H,W] -> [N,O,H,W]."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)


class Resample(nn.Module):
    """Zeros between the pixels, `padding` (before, after) zeros around them, binomial filter times `gain`,
    every `down`-th pixel."""

    kernel: Tensor

    def __init__(self, up: int = 1, down: int = 1, padding: tuple[int, int] = (1, 1),
                 gain: float = 1) -> None:
        super().__init__()
        self.up, self.down, self.padding = up, down, padding
        self.register_buffer("kernel", binomial_filter() * gain, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C,H',W'], H' = (up*H + sum(padding) - 4) // down + 1."""
        batch, channels, height, width = x.shape
        if self.up > 1:
            spread = x.new_zeros(batch, channels, height, self.up, width, self.up)
            spread[:, :, :, 0, :, 0] = x
            x = spread.view(batch, channels, height * self.up, width * self.up)
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(F.pad(x, self.padding * 2), kernel, stride=self.down, groups=channels)


def add_deviation(x: Tensor, group: int) -> Tensor:
    """[N,C,H,W] -> [N,C+1,H,W]: how much the pictures of a group differ, as one more, constant, channel.

    The members of a group are N/group apart. Raises ValueError when N is no multiple of the group.
    """
    batch, channels, height, width = x.shape
    group = min(group, batch)
    if batch % group:
        raise ValueError(f"The discriminator compares groups of {group} pictures; got a batch of {batch}: "
                         f"use a multiple of {group}.")
    groups = x.view(group, batch // group, channels, height, width)
    deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))        # [N/group]
    extra = deviation.repeat(group).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([x, extra], 1)


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """The published random start of a generator or discriminator."""
    rng = torch.Generator().manual_seed(seed)
    constants = {"noise_strength": 0.0, "w_avg": 0.0, "affine.bias": 1.0, "bias": 0.0}
    for name, tensor in module.state_dict().items():
        value = next((value for suffix, value in constants.items() if name.endswith(suffix)), None)
        if value is None:
            spread = 100.0 if name.startswith("mapping.fc") else 1.0               # undoes the gain of 0.01
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * spread)
        else:
            tensor.fill_(value)
