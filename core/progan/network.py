"""ProGAN's generator as published, trainable.

"Progressive Growing of GANs for Improved Quality, Stability, and Variation", Karras et al. 2018, arXiv
1710.10196, table 2. Its discriminator and the fade are in `core/growing`.
"""
from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from ..equalised import Conv, Linear, activate, initialise, normalise
from ..growing import Config, ToPicture


class Block(nn.Module):
    """All of one level: `first`, then a 3x3 convolution; each with activation and pixel norm."""

    def __init__(self, first: nn.Module, width: int) -> None:
        super().__init__()
        self.first, self.conv = first, Conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = normalise(activate(self.first(x)))
        return normalise(activate(self.conv(x)))


class Generator(nn.Module):
    """`picture`: latents -> pictures, nominal -1..1, not clamped.

    The constructor leaves the parameters unset: load a state dict, or call `initialise`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        lowest = (config.channels[0], *config.start)
        firsts = [nn.Sequential(Linear(config.z, math.prod(lowest)), nn.Unflatten(1, lowest))]
        firsts += [nn.Sequential(nn.Upsample(scale_factor=2), Conv(below, width, 3))
                   for below, width in pairwise(config.channels)]
        self.blocks = nn.ModuleList(map(Block, firsts, config.channels))
        self.torgb = ToPicture(config)

    def initialise(self, seed: int = 0) -> Generator:
        """Random start as published."""
        initialise(self, seed)
        return self

    def features(self, z: Tensor, level: int | None = None) -> list[Tensor]:
        """z [N,Z] -> [N,C,h,w] of every level up to `level`, by default of all."""
        x, found = normalise(z), []                                                # onto the hypersphere
        for block in self.blocks[:self.config.blocks(level)]:
            x = block(x)
            found.append(x)
        return found

    def picture(self, z: Tensor, level: int | None = None, alpha: float = 1.0) -> Tensor:
        """z [N,Z] -> [N,3,h,w] of a level, by default the highest, that has faded in to `alpha`."""
        return self.torgb(self.features(z, level), alpha)
