"""StyleGAN's generator as published, trainable.

"A Style-Based Generator Architecture for Generative Adversarial Networks", Karras et al. 2019, arXiv
1812.04948. z goes through the mapping network to w; layer i of the synthesis network takes row i of `ws`
[N,num_ws,W] as its style. It grows as ProGAN does, whose discriminator it learns from (`core/growing`).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import growing
from ..equalised import Conv, Linear, Resample, activate, initialise
from ..growing import ToPicture
from ..mapping import LatentMapping


@dataclass(frozen=True)
class Config(growing.Config):
    """Also with `mapping`: outputs of the mapping layers; the last is the width of w."""

    mapping: tuple[int, ...] = (512,) * 8

    @property
    def num_ws(self) -> int:
        """Two layers a level."""
        return 2 * len(self.channels)


def adain(x: Tensor, style: Tensor) -> Tensor:
    """Adaptive instance normalisation (equation 1): every channel of every sample gets a mean and deviation
    of its own.

    `x` [N,C,H,W], `style` [N,2C]: first the deviations less 1, then the means -> [N,C,H,W].
    """
    scale, shift = style[:, :, None, None].chunk(2, 1)                             # [N,C,1,1] each
    return F.instance_norm(x, eps=1e-8) * (scale + 1) + shift


def mix(ws: Tensor, other: Tensor, crossover: int) -> Tensor:
    """Style mixing (section 3.1): rows from `crossover` on come from `other`; both [N,num_ws,W]."""
    return torch.cat([ws[:, :crossover], other[:, crossover:]], 1)


class StyledLayer(nn.Module):
    """`conv`, noise, bias, activation, style (figure 1b)."""

    def __init__(self, conv: nn.Module, channels: int, w: int) -> None:
        super().__init__()
        self.conv, self.style = conv, Linear(w, 2 * channels)
        self.noise_strength = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor, w: Tensor, rng: torch.Generator | None) -> Tensor:
        """`x` what `conv` takes, `w` [N,W] -> [N,C,H,W]. One plane of noise a sample, None = without."""
        x = self.conv(x)
        if rng is not None:
            noise = torch.randn(len(x), 1, *x.shape[2:], generator=rng).to(x)      # [N,1,H,W]
            x = x + noise * self.noise_strength[:, None, None]
        return adain(activate(x + self.bias[:, None, None]), self.style(w))


class Generator(nn.Module):
    """`mapping`: z -> ws. `picture`: ws -> pictures, nominal -1..1, not clamped.

    The constructor leaves the parameters unset: load a state dict, or call `initialise`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = LatentMapping(config.num_ws, config.z, 0, 0, config.mapping)
        self.const = nn.Parameter(torch.empty(config.channels[0], *config.start))
        self.layers = nn.ModuleList()
        for level, width in enumerate(config.channels):
            for conv in (first_of(config, level), Conv(width, width, 3, bias=False)):
                self.layers.append(StyledLayer(conv, width, config.mapping[-1]))
        self.torgb = ToPicture(config)

    def initialise(self, seed: int = 0) -> Generator:
        """Random start as published: the constant is 1, styles change nothing on average."""
        initialise(self, seed)
        nn.init.ones_(self.const)
        return self

    def features(self, ws: Tensor, level: int | None = None,
                 rng: torch.Generator | None = None) -> list[Tensor]:
        """ws [N,num_ws,W] -> [N,C,h,w] of every level up to `level`, by default of all.

        `rng`: CPU generator the noise is drawn from, None = without noise. Raises ValueError for latents of
        another network.
        """
        rows, width = self.config.num_ws, self.config.mapping[-1]
        if ws.ndim != 3 or ws.shape[1:] != (rows, width):
            raise ValueError(f"The generator takes latents [N, {rows}, {width}]; got {list(ws.shape)}.")
        x, found = self.const.expand(len(ws), *self.const.shape), []
        for row, layer in enumerate(self.layers[:2 * self.config.blocks(level)]):
            x = layer(x, ws[:, row], rng)
            found.append(x)
        return found[1::2]

    def picture(self, ws: Tensor, level: int | None = None, alpha: float = 1.0,
                rng: torch.Generator | None = None) -> Tensor:
        """ws [N,num_ws,W] -> [N,3,h,w] of a level, by default the highest, that has faded in to `alpha`."""
        return self.torgb(self.features(ws, level, rng), alpha)


def first_of(config: Config, level: int) -> nn.Module:
    """What a level's first layer does to the features below, with bilinear filtering; nothing to the
    constant."""
    if level == 0:
        return nn.Identity()
    convolution = Conv(config.channels[level - 1], config.channels[level], 3, bias=False)
    return nn.Sequential(Resample(up=2, padding=(2, 1), gain=4), convolution)
