"""The StyleGAN2 generator as published, trainable: a latent becomes a picture.

"Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020, arXiv 1912.04958; with the
changes of StyleGAN2-ADA, arXiv 2006.06676. Pictures may be square or, for people, twice as high as wide.

z goes through the mapping network to w; every layer of the synthesis network takes one row of `ws`
[N,num_ws,W] ("w" when all rows are equal, "w+" otherwise) as the scales of its input channels. Blocks double
the resolution and are numbered from 0, the lowest. State-dict keys are those of NVIDIA's files. `fast.py`
computes the same numbers sooner.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..equalised import Linear, Resample, activate, initialise
from ..mapping import LatentMapping
from .layers import HALF, RESNET, SKIP

CONST, RANDOM, NONE = "const", "random", "none"
NOISES = (CONST, RANDOM, NONE)


@dataclass(frozen=True)
class Config:
    """Hyper-parameters; all but `conv_clamp` can be read from the tensors of a file (`weights.read_config`).

    `channels`: of each block, the lowest resolution first. `start`: height and width of the first block, 4x4
    or 4x2. `labels`: number of classes. `embed`: width of an embedded label, 0 without classes. `mapping`:
    outputs of the mapping layers; the last is the width of w. `architecture`: "skip" adds up a picture per
    block, "resnet" and "orig" make it at the end. `noise`: whether layers have noise. `conv_clamp`: limit of
    all activations.
    """

    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)
    start: tuple[int, int] = (4, 4)
    z: int = 512
    labels: int = 0
    embed: int = 0
    mapping: tuple[int, ...] = (512,) * 8
    image_channels: int = 3
    architecture: str = SKIP
    noise: bool = True
    conv_clamp: float | None = None

    @property
    def w(self) -> int:
        return self.mapping[-1]

    @property
    def num_ws(self) -> int:
        """Rows of w+: block 0 has rows 0, 1; block j rows 2j-1 to 2j+1, the last for its picture."""
        return 2 * len(self.channels)

    def size(self, block: int) -> tuple[int, int]:
        """(height, width) of a block's features; -1 is the last one, whose size is the picture's."""
        shift = block % len(self.channels)
        return self.start[0] << shift, self.start[1] << shift


class Stage(NamedTuple):
    """Synthesis after block `block`: the features [N,C,h,w], and the picture so far [N,3,h,w] where the
    architecture has one."""

    block: int
    x: Tensor
    image: Tensor | None


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool = True,
                   up: bool = False) -> Tensor:
    """Convolution whose weights differ per sample: scaled by the style, then to unit norm (section 2.2).

    `x` [N,I,H,W], `weight` [O,I,k,k], `style` [N,I] -> [N,O,H,W], or [N,O,2H+1,2W+1] with `up`.
    """
    batch, inputs, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    scaled = weight * style[:, None, :, None, None]                                # [N,O,I,k,k]
    if demodulate:
        scaled = scaled * (scaled.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, batch * inputs, height, width)                                # one group per sample
    if up:
        scaled = scaled.transpose(1, 2).reshape(batch * inputs, outputs, kernel, kernel)
        y = F.conv_transpose2d(x, scaled, stride=2, groups=batch)
    else:
        y = F.conv2d(x, scaled.flatten(0, 1), padding=kernel // 2, groups=batch)
    return y.view(batch, outputs, *y.shape[2:])


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, to twice the size with `up`; noise; bias; activation."""

    noise_const: Tensor

    def __init__(self, config: Config, inputs: int, outputs: int, size: tuple[int, int],
                 up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.affine = Linear(config.w, inputs)
        self.size, self.clamp, self.has_noise = size, config.conv_clamp, config.noise
        self.blur = Resample(gain=4) if up else None
        if config.noise:
            self.noise_strength = nn.Parameter(torch.empty(()))
            self.register_buffer("noise_const", torch.empty(size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None, gain: float = 1) -> Tensor:
        """[N,I,h,w], w [N,W], `noise` to add -> [N,O,H,W], times `gain`."""
        y = modulated_conv(x, self.weight, self.affine(w), up=self.blur is not None)
        if self.blur is not None:
            y = self.blur(y)
        if noise is not None:
            y = y + noise
        return activate(y + self.bias[:, None, None], gain, self.clamp)

    def noise(self, mode: str, batch: int, rng: torch.Generator | None) -> Tensor | None:
        """What to add: the stored plane [H,W] or one drawn for each sample [N,1,H,W], times its strength."""
        if not self.has_noise or mode == NONE:
            return None
        if mode == CONST:
            return self.noise_const * self.noise_strength
        device = self.noise_const.device if rng is None else rng.device
        drawn = torch.randn(batch, 1, *self.size, generator=rng, device=device)
        return drawn.to(self.noise_const.device) * self.noise_strength


class ToRGB(nn.Module):
    """Features -> picture: modulated 1x1 convolution without demodulation."""

    def __init__(self, config: Config, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.image_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.empty(config.image_channels))
        self.affine = Linear(config.w, inputs)
        self.clamp = config.conv_clamp

    def style(self, w: Tensor) -> Tensor:
        """w [N,W] -> [N,C]."""
        return self.affine(w) / math.sqrt(self.weight.shape[1])

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N,C,H,W], w [N,W] -> [N,3,H,W]."""
        y = modulated_conv(x, self.weight, self.style(w), demodulate=False) + self.bias[:, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """All layers of one resolution. Block 0 starts from a learned constant, the others from twice the size
    of the one below."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        channels, size = config.channels[index], config.size(index)
        self.index = index
        if index:
            below = config.channels[index - 1]
            self.conv0 = StyledConv(config, below, channels, size, up=True)
        else:
            self.const = nn.Parameter(torch.empty(channels, *size))
        self.conv1 = StyledConv(config, channels, channels, size)
        self.skip = Skip(below, channels) if config.architecture == RESNET and index else None
        draws = config.architecture == SKIP or index == len(config.channels) - 1
        self.torgb = ToRGB(config, channels) if draws else None
        self.upsample = Resample(up=2, padding=(2, 1), gain=4)

    def forward(self, stage: Stage, ws: Tensor, noise: str, rng: torch.Generator | None) -> Stage:
        """`ws` [N,num_ws,W], of which the block takes its rows."""
        *rows, rgb_row = self.rows(ws)
        x, image = stage.x, stage.image
        for layer, w in zip(self.convs(), rows, strict=True):
            x = layer(x, w, layer.noise(noise, len(ws), rng), self.gain(layer))
        if self.skip is not None:
            x = self.skip(stage.x) + x
        if self.torgb is not None:
            rgb = self.torgb(x, rgb_row)
            image = rgb if image is None else self.upsample(image) + rgb
        return Stage(self.index, x, image)

    def rows(self, ws: Tensor) -> tuple[Tensor, ...]:
        """ws [N,num_ws,W] -> the rows [N,W] of this block's convolutions, then of its picture."""
        return ws[:, max(2 * self.index - 1, 0):2 * self.index + 2].unbind(1)

    def convs(self) -> list[StyledConv]:
        """In execution order."""
        return [self.conv0, self.conv1] if self.index else [self.conv1]

    def gain(self, layer: StyledConv) -> float:
        """Of the activations of one of `convs`: two ways through the block add up at its end."""
        return HALF if self.skip is not None and layer is self.conv1 else 1


class Skip(nn.Module):
    """The other way through a block of the "resnet" architecture: 1x1 convolution, twice the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 1, 1))
        self.upsample = Resample(up=2, padding=(2, 1), gain=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(F.conv2d(x, self.weight * (HALF / math.sqrt(self.weight.shape[1]))))


class Synthesis(nn.Module):
    """The blocks, as b4, b8, ..; named by their height."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.names = [f"b{config.size(index)[0]}" for index in range(len(config.channels))]
        for index, name in enumerate(self.names):
            self.add_module(name, Block(config, index))

    @property
    def blocks(self) -> list[Block]:
        return [getattr(self, name) for name in self.names]


class Generator(nn.Module):
    """`mapping`: z -> ws. `picture`: ws -> picture [N,3,H,W], nominal -1..1, not clamped.

    The constructor leaves the parameters unset: load a state dict, or call `initialise`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = LatentMapping(config.num_ws, config.z, config.labels, config.embed, config.mapping)
        self.synthesis = Synthesis(config)

    def initialise(self, seed: int = 0) -> Generator:
        """Random start as published."""
        initialise(self, seed)
        return self

    def features(self, ws: Tensor, block: int, noise: str = CONST, rng: torch.Generator | None = None,
                 after: Stage | None = None) -> Stage:
        """Runs the blocks that follow `after`, by default all, up to number `block`. Differentiable in `ws`.

        `ws`: [N,num_ws,W]. `noise`: "const" (stored planes), "random" (drawn from `rng`) or "none".
        Raises ValueError for latents of another network.
        """
        check_latent(self.config, ws, noise, block)
        stage = self.start(len(ws)) if after is None else after
        for layer in self.synthesis.blocks[stage.block + 1:block + 1]:
            stage = layer(stage, ws, noise, rng)
        return stage

    def start(self, count: int) -> Stage:
        """What comes before block 0: the learned constant for `count` samples."""
        const = self.synthesis.blocks[0].const
        return Stage(-1, const.expand(count, *const.shape), None)

    def picture(self, ws: Tensor, noise: str = CONST, rng: torch.Generator | None = None,
                after: Stage | None = None) -> Tensor:
        """[N,num_ws,W] -> [N,3,H,W]; arguments as those of `features`."""
        image = self.features(ws, len(self.config.channels) - 1, noise, rng, after).image
        assert image is not None
        return image


def check_latent(config: Config, ws: Tensor, noise: str, block: int) -> None:
    """Raises ValueError for latents, noise modes and blocks a generator does not have."""
    if ws.ndim != 3 or ws.shape[1:] != (config.num_ws, config.w):
        raise ValueError(f"The generator takes latents [N, {config.num_ws}, {config.w}] "
                         f"({config.num_ws} rows of {config.w} numbers); got {list(ws.shape)}: "
                         "this latent belongs to another generator.")
    if noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}; got {noise!r}.")
    if not 0 <= block < len(config.channels):
        raise ValueError(f"The generator has blocks 0 to {len(config.channels) - 1}; got {block}.")
