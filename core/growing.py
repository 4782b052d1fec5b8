"""What GANs share that grow with their pictures: levels, the schedule, the fade, the discriminator.

"Progressive Growing of GANs for Improved Quality, Stability, and Variation", Karras et al. 2018, arXiv
1710.10196. Level 0 has the lowest resolution and each further one twice that of the one before. A new level
fades in: its share `alpha` of the picture grows from 0 to 1. Pictures are -1..1.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .equalised import Conv, Linear, Resample, activate, add_deviation, initialise


@dataclass(frozen=True)
class Config:
    """`channels`: of each level, the lowest resolution first. `start`: height and width of level 0, 4x4 or
    for people 4x2. `z`: numbers of a latent."""

    channels: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    start: tuple[int, int] = (4, 4)
    z: int = 512

    def size(self, level: int) -> tuple[int, int]:
        """(height, width) of a level's pictures."""
        return self.start[0] << level, self.start[1] << level

    def blocks(self, level: int | None) -> int:
        """How many blocks draw a level, None = the highest. Raises ValueError for one that is not there."""
        top = len(self.channels) - 1
        if level is not None and not 0 <= level <= top:
            raise ValueError(f"The network has levels 0 to {top}; got {level}.")
        return 1 + (top if level is None else level)


class Stage(NamedTuple):
    """How far networks have grown: to which level, and how far that one has faded in."""

    level: int
    alpha: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """Each phase lasts `images` pictures: level `first` alone, then for every further one of the `levels` a
    phase of fading in and one of stabilising (section 2, appendix A). Raises ValueError for empty phases."""

    levels: int
    images: int = 800_000
    first: int = 0

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"A phase should last at least one picture; got {self.images}.")

    def stage(self, seen: int) -> Stage:
        """Where training stands after `seen` pictures."""
        phase, done = divmod(seen, self.images)
        level = self.first + (phase + 1) // 2
        if level >= self.levels:
            return Stage(self.levels - 1)
        return Stage(level, done / self.images if phase % 2 else 1.0)


def doubled(pictures: Tensor) -> Tensor:
    """[N,C,H,W] -> [N,C,2H,2W], the nearest pixel."""
    return F.interpolate(pictures, scale_factor=2.0, mode="nearest")


def at_stage(pictures: Tensor, stage: Stage, levels: int) -> Tensor:
    """Pictures [N,3,H,W] of the highest of `levels` as a network sees them that has grown to `stage`: by area
    at its level, while that fades in mixed with the one below."""
    small = F.avg_pool2d(pictures, 2 ** (levels - 1 - stage.level))
    return small if stage.alpha == 1 else torch.lerp(doubled(F.avg_pool2d(small, 2)), small, stage.alpha)


class ToPicture(nn.ModuleList):
    """Features of the levels -> picture: a 1x1 convolution each, of which the last two are mixed."""

    def __init__(self, config: Config) -> None:
        super().__init__(Conv(width, 3, 1) for width in config.channels)

    def forward(self, features: list[Tensor], alpha: float = 1.0) -> Tensor:
        """`features` [N,C,h,w] of levels 0 to L -> [N,3,H,W] at the size of L, which has faded in to `alpha`.

        Raises ValueError for shares beyond 0..1, and for level 0 in part.
        """
        level = len(features) - 1
        if not 0 <= alpha <= 1 or level == 0 and alpha < 1:
            raise ValueError(f"alpha should be 0 to 1, and 1 at level 0, which nothing is below; got {alpha} "
                             f"at level {level}.")
        new = self[level](features[level])
        return new if alpha == 1 else torch.lerp(doubled(self[level - 1](features[level - 1])), new, alpha)


class Halving(nn.Module):
    """Two 3x3 convolutions, then half the size."""

    def __init__(self, inputs: int, outputs: int, halve: nn.Module) -> None:
        super().__init__()
        self.conv0, self.conv1, self.halve = Conv(inputs, inputs, 3), Conv(inputs, outputs, 3), halve

    def forward(self, x: Tensor) -> Tensor:
        return self.halve(activate(self.conv1(activate(self.conv0(x)))))


class Discriminator(nn.Module):
    """ProGAN's: the generator's levels backwards. `smooth`: StyleGAN's, which filters before it halves.

    The constructor leaves the parameters unset; call `initialise`.
    """

    def __init__(self, config: Config, smooth: bool = False) -> None:
        super().__init__()
        widths = config.channels
        self.fromrgb = nn.ModuleList(Conv(3, width, 1) for width in widths)
        self.blocks = nn.ModuleList(
            Halving(width, below, Resample(down=2) if smooth else nn.AvgPool2d(2))
            for below, width in pairwise(widths))
        self.conv = Conv(widths[0] + 1, widths[0], 3)
        self.fc, self.out = Linear(widths[0] * math.prod(config.start), widths[0]), Linear(widths[0], 1)

    def initialise(self, seed: int = 0) -> Discriminator:
        """Random start as published."""
        initialise(self, seed)
        return self

    def forward(self, pictures: Tensor, stage: Stage) -> Tensor:
        """[N,3,h,w] at the size of the stage -> [N,1], larger for real ones."""
        level, alpha = stage
        x = activate(self.fromrgb[level](pictures))                                # [N,C,h,w]
        for number in range(level - 1, -1, -1):
            x = self.blocks[number](x)                                             # [N,C,h/2,w/2]
            if number == level - 1 and alpha < 1:
                x = torch.lerp(activate(self.fromrgb[number](F.avg_pool2d(pictures, 2))), x, alpha)
        x = activate(self.conv(add_deviation(x, len(x))))
        return self.out(activate(self.fc(x.flatten(1))))
