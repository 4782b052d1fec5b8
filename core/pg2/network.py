"""PG2's networks as published, trainable.

"Pose Guided Person Image Generation", arXiv 1705.09368. Stage 1 (G1) draws the person of a picture coarsely
in a new pose; its fully connected bottleneck carries the picture as a whole. Stage 2 (G2) adds a difference
map with the detail that the coarse picture lacks. Pictures are -1..1; what comes out may leave that range.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pose.maps import disc_maps

MAPS, COORDINATES, ENCODED = "maps", "coordinates", "encoded"
Levels = Any                                              # an nn.ModuleList whose elements' type matters
_COARSEST = 8                                             # rows of G1's coarsest maps


@dataclass(frozen=True)
class Config:
    """Hyper-parameters, the published ones for Market-1501. All can be read from the shapes of the tensors.

    `height`, `width`: of the pictures; the height is a power of two from 32 on, the width a multiple of an
    eighth of it. `channels`: at full size. `code`: length of the bottleneck's code. `joints`: of a pose.
    `first_skip`: whether G2 hands the features of its first level on. `outputs`: 3 as published; 4 with the
    person's opacity, for networks trained on people lifted out of their pictures. `pose`: how G1 learns of it
    (section 4 of the paper): MAPS beside the picture, or a vector beside the code, made from COORDINATES by
    fully connected layers or from the maps by an encoder of their own (ENCODED).
    """

    height: int = 128
    width: int = 64
    channels: int = 128
    code: int = 64
    joints: int = 18
    first_skip: bool = False
    outputs: int = 3
    pose: str = MAPS

    def __post_init__(self) -> None:
        if self.outputs not in (3, 4):
            raise ValueError(f"PG2 draws 3 planes, or 4 with the opacity, not {self.outputs}.")
        if self.height < 32 or self.height.bit_count() != 1 or self.width < 1 or self.width % self.scale:
            raise ValueError(f"PG2 needs a height of 32, 64, 128, .. and a width that is a multiple of an "
                             f"eighth of it, not {self.height}x{self.width}.")

    @property
    def scale(self) -> int:
        """Side of a pixel of G1's coarsest maps."""
        return self.height // _COARSEST

    @property
    def levels(self) -> int:
        """Of G1; G2 has two less."""
        return self.scale.bit_length()

    @property
    def coarsest(self) -> tuple[int, int]:
        """Height and width of G1's coarsest maps."""
        return _COARSEST, self.width // self.scale


MARKET = Config()
FASHION = Config(256, 256, first_skip=True)


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME where the stride divides the size: the odd row of zeros goes to
    the bottom, the odd column to the right."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=(size - stride) // 2)
        self.odd = (size - stride) % 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.odd else x)


class Level(nn.Module):
    """Two convolutions at one size, then `change`, which makes the input of the next level."""

    def __init__(self, inputs: int, outputs: int, change: SameConv | None = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = SameConv(inputs, outputs), SameConv(outputs, outputs)
        self.change = change

    def pair(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class Encoder(nn.Module):
    """Planes -> features of all levels, and a code of the whole; every level adds to what it was given."""

    def __init__(self, config: Config, planes: int) -> None:
        super().__init__()
        widths = [config.channels * (level + 1) for level in range(config.levels)]  # finest first
        self.first = SameConv(planes, config.channels)
        self.encoder: Levels = nn.ModuleList(
            Level(width, width, SameConv(width, wider, stride=2)) for width, wider in pairwise(widths))
        self.encoder.append(Level(widths[-1], widths[-1]))
        self.encode = nn.Linear(widths[-1] * math.prod(config.coarsest), config.code)

    def features(self, planes: Tensor) -> list[Tensor]:
        """[B,P,H,W] -> finest first: [B,C,H,W], [B,2C,H/2,W/2], ..."""
        x, skips = F.relu(self.first(planes)), []
        for level in self.encoder:
            x = x + level.pair(x)
            skips.append(x)
            x = x if level.change is None else F.relu(level.change(x))
        return skips

    def code(self, coarsest: Tensor) -> Tensor:
        """The last features [B,RC,8,W/s] -> [B,code]; their values go in by row, column, channel."""
        return self.encode(coarsest.permute(0, 2, 3, 1).flatten(1))


class PoseEncoder(Encoder):
    """The maps of a pose [B,J,H,W] -> its vector [B,code]."""

    def forward(self, maps: Tensor) -> Tensor:
        return self.code(self.features(maps)[-1])


class G1(Encoder):
    """Stage 1: a residual encoder, a code of the whole picture, a residual decoder with skips."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, 3 + (config.joints if config.pose == MAPS else 0))
        self.config, channels = config, config.channels
        skips = [channels * (level + 1) for level in range(config.levels)][::-1]   # coarsest first
        self.pose = pose_embedding(config)
        self.decode = nn.Linear(config.code * (1 if self.pose is None else 2),
                                channels * math.prod(config.coarsest))
        inputs = [channels + skips[0]] + [2 * skip for skip in skips[1:]]
        self.decoder: Levels = nn.ModuleList(
            Level(both, both, SameConv(both, skip, 1)) for both, skip in zip(inputs, skips[1:], strict=False))
        self.decoder.append(Level(inputs[-1], inputs[-1]))
        self.last = SameConv(inputs[-1], config.outputs)

    def draw(self, code: Tensor, skips: list[Tensor]) -> Tensor:
        """Code (and embedded pose) and skips -> coarse pictures [B,outputs,H,W]."""
        x = self.decode(code).unflatten(1, (*self.config.coarsest, -1)).permute(0, 3, 1, 2)   # [B,C,8,W/s]
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            x = torch.cat([x, skip], 1)
            x = x + level.pair(x)
            x = x if level.change is None else doubled(F.relu(level.change(x)))
        return self.last(x)

    def forward(self, image: Tensor, pose: Tensor) -> Tensor:
        """Pictures [B,3,H,W] and `network_pose` of the wanted poses -> coarse pictures [B,outputs,H,W]."""
        skips = self.features(image if self.pose is not None else torch.cat([image, pose], 1))
        code = self.code(skips[-1])
        return self.draw(code if self.pose is None else torch.cat([code, self.pose(pose)], 1), skips)


def pose_embedding(config: Config) -> nn.Module | None:
    """What turns `network_pose` into a vector [B,code]; None where the maps lie beside the picture."""
    if config.pose == ENCODED:
        return PoseEncoder(config, config.joints)
    if config.pose == MAPS:
        return None
    width = config.channels
    return nn.Sequential(nn.Linear(3 * config.joints, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                         nn.Linear(width, config.code))


def network_pose(joints: Tensor, config: Config) -> Tensor:
    """Joints [B,J,2] x, y of pixels whose centres lie at integers, NaN = missing -> what G1 takes.

    Discs [B,J,H,W] of -1 and 1; for COORDINATES [B,3J]: all x and y, -1..1 across the picture, and whether
    the joint is there (0 or 1; a missing one lies at 0).
    """
    if config.pose != COORDINATES:
        return 2 * disc_maps(joints, config.height, config.width) - 1
    placed = (2 * joints + 1) / joints.new_tensor([config.width, config.height]) - 1
    there = joints.isfinite().all(-1, keepdim=True)
    return torch.cat([torch.where(there, placed, 0), there.to(placed)], -1).mT.flatten(1)


class G2(nn.Module):
    """Stage 2: coarse pictures [B,outputs,H,W] and given ones [B,3,H,W] -> the difference that adds the
    detail, [B,outputs,H,W]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, channels = config, config.channels
        widths = [channels * (level + 1) for level in range(config.levels - 2)]    # finest first
        inputs = [channels, *widths[:-1]]
        self.first = SameConv(config.outputs + 3, channels)
        self.encoder: Levels = nn.ModuleList(
            Level(before, width, SameConv(width, width, stride=2))
            for before, width in zip(inputs[:-1], widths[:-1], strict=True))
        self.encoder.append(Level(inputs[-1], widths[-1]))
        skips = widths if config.first_skip else [0, *widths[1:]]
        deeper = [widths[-1]] + [channels] * (len(widths) - 1)                     # coarsest first
        self.decoder: Levels = nn.ModuleList(
            Level(below + skip, channels) for below, skip in zip(deeper, reversed(skips), strict=True))
        self.last = SameConv(channels, config.outputs)

    def forward(self, coarse: Tensor, image: Tensor) -> Tensor:
        x, skips = F.relu(self.first(torch.cat([coarse, image], 1))), []
        for level in self.encoder:
            x = level.pair(x)
            skips.append(x)
            x = x if level.change is None else F.relu(level.change(x))
        if not self.config.first_skip:
            del skips[0]
        for index, level in enumerate(self.decoder):
            x = doubled(x) if index else x
            x = level.pair(torch.cat([x, skips.pop()], 1) if skips else x)         # first: x with itself
        return self.last(x)


class PG2(nn.Module):
    """Both stages."""

    def __init__(self, config: Config = MARKET) -> None:
        super().__init__()
        self.config, self.g1, self.g2 = config, G1(config), G2(config)

    def initialise(self, seed: int = 0) -> PG2:
        """Random start as published: Glorot-uniform weights, no biases."""
        rng = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter, generator=rng)
            else:
                nn.init.zeros_(parameter)
        return self

    def forward(self, image: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B,3,H,W] and `network_pose` of the wanted poses -> coarse and refined pictures
        [B,outputs,H,W]. ValueError for another size."""
        size = self.config.height, self.config.width
        for name, planes in (("picture", image), ("pose", pose)):
            if planes.ndim == 4 and planes.shape[2:] != size:
                raise ValueError(f"This PG2 draws {size[0]}x{size[1]} (height x width); the {name} is "
                                 f"{planes.shape[2]}x{planes.shape[3]}.")
        coarse = self.g1(image, pose)
        return coarse, coarse + self.g2(coarse, image)


class Discriminator(nn.Module):
    """Pictures [B,3,H,W] -> one logit each, [B].

    It sees no pose. The batch norms always use the statistics of the batch at hand, so a picture's logit
    depends on the others; published batches are [target, source, G1, G2] (Market-1501) and [target, G2,
    source] (DeepFashion).
    """

    def __init__(self, config: Config = MARKET, channels: int = 64) -> None:
        super().__init__()
        strided = config.height.bit_length() - 4                                   # down to 8 rows
        widths = [3] + [channels * min(1 << level, 8) for level in range(strided)]
        self.convs = nn.ModuleList(SameConv(*pair, 5, 2) for pair in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, track_running_stats=False) for width in widths[2:])
        self.output = nn.Linear(widths[-1] * (config.height * config.width >> 2 * strided), 1)

    def initialise(self, seed: int = 0) -> Discriminator:
        """Random start as published: weights uniform with standard deviation 0.02, no biases."""
        rng, bound = torch.Generator().manual_seed(seed), 0.02 * 3 ** 0.5
        for layer in (*self.convs, self.output):
            nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
            nn.init.zeros_(layer.bias)
        return self

    def forward(self, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.convs[0](image), 0.2)
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        return self.output(x.flatten(1))[:, 0]


def doubled(x: Tensor) -> Tensor:
    """[B,C,H,W] -> [B,C,2H,2W], nearest. 1x1 convolutions come before it: the same numbers, a quarter of
    the work."""
    return F.interpolate(x, scale_factor=2)


def mask_l1(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The pose-mask loss, a mean over everything: |image - target| * (1 + mask). `mask`: [B,1,H,W], 1 inside
    the target's `pose_mask`."""
    return ((image - target).abs() * (1 + mask)).mean()


def generator_loss(logits: Tensor) -> Tensor:
    """How far the discriminator is from taking these for real. Market-1501: logits of G2's pictures;
    DeepFashion: of those and of the sources."""
    return F.softplus(-logits).mean()


def discriminator_loss(target: Tensor, source: Tensor, refined: Tensor) -> Tensor:
    """From three sets of logits: targets are real; sources and G2's pictures are not, each half as heavy."""
    return F.softplus(-target).mean() / 2 + (F.softplus(source).mean() + F.softplus(refined).mean()) / 4
