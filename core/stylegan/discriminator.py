"""The StyleGAN2 discriminator as published: is a picture real, of its class where there are classes?

Blocks halve the resolution, from the picture's down to 8; the epilogue b4 gives one number per picture.
State-dict keys are those of NVIDIA's files.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from ..equalised import Linear, Resample, activate, add_deviation, initialise
from ..mapping import Mapping
from .layers import HALF, RESNET, SKIP, Conv


@dataclass(frozen=True)
class DiscriminatorConfig:
    """`channels`, `start`, `labels`, `embed`, `conv_clamp`: as `network.Config`'s.

    `mapping`: widths of the label's layers, if any. `architecture`: "resnet" (two ways through a block),
    "skip" (the picture enters every block) or "orig". `group`: pictures compared with each other.
    """

    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)
    start: tuple[int, int] = (4, 4)
    labels: int = 0
    embed: int = 0
    mapping: tuple[int, ...] = ()
    image_channels: int = 3
    architecture: str = RESNET
    group: int = 4
    conv_clamp: float | None = None


class DiscriminatorBlock(nn.Module):
    """Features, and the picture where it is still needed, to half the size."""

    def __init__(self, config: DiscriminatorConfig, index: int) -> None:
        super().__init__()
        inputs, outputs = config.channels[index], config.channels[index - 1]
        clamp, self.architecture = config.conv_clamp, config.architecture
        first = index == len(config.channels) - 1
        self.fromrgb = (Conv(config.image_channels, inputs, 1, clamp=clamp)
                        if first or config.architecture == SKIP else None)
        self.conv0 = Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, down=True, clamp=clamp)
        if config.architecture == RESNET:
            self.skip = Conv(inputs, outputs, 1, bias=False, down=True)
        self.downsample = Resample(down=2)

    def forward(self, x: Tensor | None, image: Tensor) -> tuple[Tensor, Tensor]:
        """`x` [N,I,H,W], None before the first block; `image` [N,3,H,W] -> the next, half as large."""
        x = add_picture(self.fromrgb, x, image)
        if self.architecture == SKIP:
            image = self.downsample(image)
        if self.architecture == RESNET:
            return self.skip(x, HALF) + self.conv1(self.conv0(x), HALF), image
        return self.conv1(self.conv0(x)), image


def add_picture(fromrgb: nn.Module | None, x: Tensor | None, image: Tensor) -> Tensor:
    """x plus the features of the picture, of which at least one must exist."""
    if fromrgb is None:
        assert x is not None
        return x
    return fromrgb(image) if x is None else x + fromrgb(image)


class Epilogue(nn.Module):
    """The lowest resolution -> [N,O]."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels, clamp = config.channels[0], config.conv_clamp
        self.fromrgb = (Conv(config.image_channels, channels, 1, clamp=clamp)
                        if config.architecture == SKIP else None)
        self.conv = Conv(channels + 1, channels, 3, clamp=clamp)
        self.fc = Linear(channels * math.prod(config.start), channels)
        self.out = Linear(channels, config.mapping[-1] if config.labels else 1)
        self.group = config.group

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        x = add_picture(self.fromrgb, x, image)                                    # [N,C,4,4]
        x = self.conv(add_deviation(x, self.group))
        return self.out(activate(self.fc(x.flatten(1))))


class Discriminator(nn.Module):
    """Pictures [N,3,H,W] of -1..1, and labels [N,labels] -> logits [N,1], positive for real.

    The constructor leaves the parameters unset: load a state dict, or call `initialise`.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        top = len(config.channels) - 1
        self.names = [f"b{config.start[0] << index}" for index in range(top, 0, -1)]
        for name, index in zip(self.names, range(top, 0, -1), strict=True):
            self.add_module(name, DiscriminatorBlock(config, index))
        self.b4 = Epilogue(config)
        self.mapping = Mapping(0, config.labels, config.embed, config.mapping) if config.labels else None

    def initialise(self, seed: int = 0) -> Discriminator:
        """Random start as published."""
        initialise(self, seed)
        return self

    @property
    def blocks(self) -> list[nn.Module]:
        """From the picture's resolution down."""
        return [self.get_submodule(name) for name in self.names]

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        x = None
        for block in self.blocks:
            x, image = block(x, image)
        score = self.b4(x, image)                                                  # [N,1] or [N,W]
        if self.mapping is None:
            return score
        label = self.mapping.map(image.new_empty(len(image), 0), c)
        return (score * label).sum(1, keepdim=True) / math.sqrt(label.shape[1])
