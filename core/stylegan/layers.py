"""What StyleGAN2's generator and discriminator are made of.

"Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020, arXiv 1912.04958. Weights have
unit variance and are scaled when used, so that all layers learn at one rate.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..equalised import Linear, binomial_filter

SQRT2, HALF = math.sqrt(2), math.sqrt(1 / 2)              # HALF keeps the variance of two summands
SKIP, RESNET, PLAIN = "skip", "resnet", "orig"         # architectures


def activate(x: Tensor, gain: float = 1, clamp: float | None = None) -> Tensor:
    """sqrt(2) leaky ReLU, clamped to +-`clamp`, times `gain`."""
    x = F.leaky_relu(x, 0.2) * (SQRT2 * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def normalise(x: Tensor) -> Tensor:
    """[N,C] at a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


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


class Conv(nn.Module):
    """Convolution with zero padding, to half the size with `down`. A bias is followed by the activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True, down: bool = False,
                 clamp: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.clamp, self.padding, self.stride = clamp, kernel // 2, 1
        self.resample: nn.Module = nn.Identity()
        if down and kernel == 1:
            self.resample = Resample(down=2)
        elif down:
            self.resample, self.padding, self.stride = Resample(padding=(2, 2)), 0, 2

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        """[N,I,H,W] -> [N,O,H,W] or [N,O,H/2,W/2], times `gain`."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        y = F.conv2d(self.resample(x), weight, self.bias, stride=self.stride, padding=self.padding)
        return y * gain if self.bias is None else activate(y, gain, self.clamp)


class Mapping(nn.Module):
    """z and class label -> w, always in float32.

    `z` may be 0, so that only the label counts; with `labels` = 0 only z does. `embed`: width of the embedded
    label. `widths`: outputs of the layers, the last is that of w.
    """

    def __init__(self, z: int, labels: int, embed: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.z, self.labels, self.depth = z, labels, len(widths)
        if labels:
            self.embed = Linear(labels, embed)
        inputs = (z + embed if labels else z, *widths)
        for i, width in enumerate(widths):
            self.add_module(f"fc{i}", Linear(inputs[i], width, gain=0.01))

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """`z` [N,Z], `c` [N,labels] one-hot, by default zeros: no class -> w [N,W]."""
        if z.ndim != 2 or z.shape[1] != self.z:
            raise ValueError(f"The network maps latents z of {self.z} numbers; got a {list(z.shape)} tensor.")
        with torch.autocast(z.device.type, enabled=False):
            x = normalise(z.float())                                               # [N,Z]
            if self.labels:
                x = torch.cat([x, normalise(self.embed(self._labels(c, x)))], 1)   # [N,Z+E]
            for i in range(self.depth):
                x = activate(self.get_submodule(f"fc{i}")(x))                      # [N,W]
        return x

    def _labels(self, c: Tensor | None, x: Tensor) -> Tensor:
        if c is None:
            return x.new_zeros(len(x), self.labels)
        if c.shape != (len(x), self.labels):
            raise ValueError(f"The network knows {self.labels} classes, so {len(x)} latents need labels "
                             f"[{len(x)}, {self.labels}]; got {list(c.shape)}.")
        return c.float()


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
