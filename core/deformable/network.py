"""Deformable GAN's networks as published, trainable.

"Deformable GANs for Pose-based Human Image Generation", Siarohin et al. 2018, arXiv 1801.00055.

The generator is a U-Net with two encoders: one sees the source picture and its pose, the other the target
pose. Before a skip connection of the first encoder reaches the decoder, each part of the body is moved to
where the target pose has it (`pose.parts`). The baseline has one encoder and plain skips. The discriminator
judges a picture together with the source picture and both poses.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pose.parts import Geometry, Size

MAXIMUM, AVERAGE = "maximum", "average"
DEFORMED = 4                                               # levels whose skips are moved
DROPPED = 3                                                # blocks of the decoder with dropout
MEANS = (103.939, 116.779, 123.68)                         # subtracted from R, G, B: blue's and red's swapped
_TINY = 1e-7


@dataclass(frozen=True)
class Config:
    """Hyper-parameters. All but `fusion` can be read from the tensors.

    `widths`: channels of the encoder's levels. `deformable`: two encoders and moved skips; False is the
    baseline. `fusion`: how the moved parts become one map, MAXIMUM (published) or AVERAGE. `background`: of
    the target, given to the encoder of its pose (PRW). `outputs`: 3 as published; 4 with the person's
    opacity, for networks trained on people lifted out of their pictures.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    deformable: bool = True
    fusion: str = MAXIMUM
    joints: int = 18
    background: bool = False
    outputs: int = 3


FASHION = Config(widths=(64, 128, 256, 512, 512, 512, 512))  # 256x256


class Norm(nn.Module):
    """Normalises each sample by the mean and deviation of all its numbers; one gain and one offset."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x.float(), (1, 2, 3), correction=0, keepdim=True)    # [B,1,1,1]
        gain = self.weight / (variance.sqrt() + 1e-3)
        return torch.addcmul(self.bias - mean * gain, x, gain).to(x.dtype)


class Down(nn.Module):
    """Leaky ReLU, then a convolution to half the size, then the norm: [B,C,H,W] -> [B,C_out,H/2,W/2]."""

    def __init__(self, inputs: int, outputs: int, normalised: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm = Norm() if normalised else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.leaky_relu(x, 0.2)))


class Up(nn.Module):
    """ReLU, a transposed convolution to twice the size, the norm, dropout: [B,C,H,W] -> [B,C_out,2H,2W]."""

    def __init__(self, inputs: int, outputs: int, dropped: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm = Norm()
        self.dropout = nn.Dropout(0.5 if dropped else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.norm(self.conv(F.relu(x))))


class Encoder(nn.Sequential):
    """[B,C,H,W] -> one map per level, each half the size of the one before."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        last = len(widths) - 1
        super().__init__(nn.Conv2d(inputs, widths[0], 3, padding=1), *(
            Down(*pair, normalised=level < last) for level, pair in enumerate(pairwise(widths), start=1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for block in self:
            x = block(x)
            levels.append(x)
        return levels


class Decoder(nn.Module):
    """Skips, deepest first and each in parts along the channels -> planes [B,outputs,H,W], -1..1.

    `widths`, `skips`: channels of every level.
    """

    def __init__(self, widths: Sequence[int], skips: Sequence[int], planes: int) -> None:
        super().__init__()
        outputs = widths[:0:-1]
        inputs = [skips[-1], *(a + b for a, b in zip(outputs, skips[-2:0:-1], strict=False))]
        self.blocks = nn.ModuleList(Up(*pair, dropped=number < DROPPED)
                                    for number, pair in enumerate(zip(inputs, outputs, strict=True)))
        self.picture = nn.Conv2d(outputs[-1] + skips[0], planes, 3, padding=1)

    def forward(self, skips: Iterator[Sequence[Tensor]]) -> Tensor:
        x = torch.cat([*next(skips)], 1)
        for block, skip in zip(self.blocks, skips, strict=True):
            x = torch.cat([block(x), *skip], 1)
        return self.picture(F.relu(x)).tanh()


class DeformableSkip(nn.Module):
    """Features of the source [B,C,h,w], each part moved to the target pose, all parts fused: [B,C,h,w].

    The maximum is never negative where a mask ends: what a part does not cover counts as 0, not as nothing.
    """

    def __init__(self, fusion: str) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, features: Tensor, geometry: Geometry) -> Tensor:
        return (greatest if self.fusion == MAXIMUM else averaged)(features, geometry)


def moved(features: Tensor, geometry: Geometry) -> Iterator[Tensor]:
    """[B,C,h,w] -> for each part [B,C,h,w], its features at their place in the target; 0 elsewhere."""
    size = size_of(features)
    numbers, shown = geometry.sources(size)                                        # [B,K,h*w]
    flat = features.flatten(2).expand(len(numbers), -1, -1)                        # [B,C,h*w]
    for number, mask in zip(numbers.unbind(1), shown.unbind(1), strict=True):
        sampled = flat.gather(2, number[:, None].expand_as(flat))
        yield (sampled * mask[:, None]).unflatten(2, size)


def averaged(features: Tensor, geometry: Geometry) -> Tensor:
    """[B,C,h,w], the sum of the moved parts over the number of masks at each pixel."""
    size = size_of(features)
    covered = geometry.masks_at(size).sum(1, keepdim=True).unflatten(2, size)      # [B,1,h,w]
    return reduce(torch.add, moved(features, geometry)) / covered.to(features.dtype)


def greatest(features: Tensor, geometry: Geometry) -> Tensor:
    """[B,C,h,w], the maximum of the moved parts, without making them all. One source may have many targets.

    Only the first part covers everything; the others are sampled where their masks are. Wherever one part
    shows nothing it stands for a 0, so the maximum is not below.
    """
    size, channels = size_of(features), features.shape[1]
    samples, pixels = len(geometry.masks), size[0] * size[1]
    first, shown = geometry.first.sources(size)                                    # [B,1,h*w]
    sample, place, source = geometry.spots(size)                                   # each [N]
    place = place + sample * pixels
    if len(features) == samples:                                                   # each has its own source
        source = source + sample * pixels
        first = first + torch.arange(0, samples * pixels, pixels, device=first.device)[:, None, None]
    count = shown.flatten() + torch.bincount(place, minlength=samples * pixels)    # of the parts at a pixel
    lowest = torch.where(count == geometry.masks.shape[1], -torch.inf, 0.0).to(features.dtype)
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    fused = rows.index_select(0, first.flatten()).mul_(shown.view(-1, 1)).clamp_(min=lowest[:, None])
    fused.scatter_reduce_(0, place[:, None].expand(-1, channels), rows.index_select(0, source), "amax")
    return fused.view(samples, *size, channels).permute(0, 3, 1, 2)


def size_of(features: Tensor) -> Size:
    return features.shape[2], features.shape[3]


class Generator(nn.Module):
    """Source picture, both poses -> the person in the target pose."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        maps, widths = config.joints, config.widths
        given = maps + (3 if config.background else 0)                             # planes of the target
        self.appearance = Encoder(3 + maps + (0 if config.deformable else given), widths)
        self.pose = Encoder(given, widths) if config.deformable else None
        self.skips = nn.ModuleList(DeformableSkip(config.fusion) for _ in widths[:DEFORMED])
        self.decoder = Decoder(widths, [width * (2 if config.deformable else 1) for width in widths],
                               config.outputs)

    def forward(self, source: Tensor, source_maps: Tensor, target_maps: Tensor,
                geometry: Geometry | None = None, background: Tensor | None = None) -> Tensor:
        """Picture [B,3,H,W], -1..1, heat maps [B,18,H,W] twice -> picture [B,outputs,H,W], -1..1.

        `geometry`: of these poses at H x W; the baseline does without. `background`: [B,3,H,W], -1..1, for
        networks that take one. Raises ValueError when a side is no multiple of 2 to the number of levels less
        one, when geometry or background is missing, or when there is one background too many.
        """
        self._check(source, geometry, background)
        target = target_maps if background is None else torch.cat([target_maps, background], 1)
        if self.pose is None:
            looks = self.appearance(torch.cat([source, source_maps, target], 1))
            return self.decoder((look,) for look in reversed(looks))
        assert geometry is not None
        return self.draw(self.appearance(torch.cat([source, source_maps], 1)), target, geometry)

    def draw(self, looks: Sequence[Tensor], target: Tensor, geometry: Geometry) -> Tensor:
        """`looks`: what `appearance` made of the sources, or of one for all targets. `target`: planes for the
        other encoder."""
        assert self.pose is not None
        return self.decoder(self._skips(looks, self.pose(target), geometry))

    def _skips(self, looks: Sequence[Tensor], poses: list[Tensor],
               geometry: Geometry) -> Iterator[Sequence[Tensor]]:
        """Deepest first; takes `poses` out of their list."""
        for level in reversed(range(len(looks))):
            pose, look = poses.pop(), looks[level].expand(len(geometry.masks), -1, -1, -1)
            yield (self.skips[level](looks[level], geometry) if level < DEFORMED else look), pose

    def _check(self, source: Tensor, geometry: Geometry | None, background: Tensor | None) -> None:
        height, width = source.shape[2:]
        step = 2 ** (len(self.config.widths) - 1)
        if height % step or width % step:
            raise ValueError("The pose transfer network takes pictures with sides that are multiples of "
                             f"{step}; got {width}x{height}.")
        if self.config.deformable and geometry is None:
            raise ValueError("A deformable generator needs the geometry of the two poses; got none.")
        if self.config.background != (background is not None):
            raise ValueError("This generator draws on a background; got none." if self.config.background
                             else "This generator takes no background; got one.")


class Discriminator(nn.Module):
    """Source picture, its pose, the judged picture, the target pose -> scores [B,N], 0 made .. 1 real."""

    def __init__(self, joints: int = 18, widths: Sequence[int] = (64, 128, 256, 512),
                 background: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6 + 2 * joints + (3 if background else 0), widths[0], 4, 2)
        self.blocks = nn.Sequential(*(Down(*pair, normalised=True) for pair in pairwise(widths)),
                                    Down(widths[-1], 1, normalised=False))

    def forward(self, source: Tensor, source_maps: Tensor, judged: Tensor, target: Tensor) -> Tensor:
        """`target`: its heat maps, and its background behind them where there is one."""
        x = self.conv(torch.cat([source, source_maps, judged, target], 1))
        return self.blocks(x).sigmoid().flatten(1)


def surprise(scores: Tensor) -> Tensor:
    """Mean of -log(score): the generator's loss of made pictures' scores, the discriminator's of real ones'
    and of one less made ones'."""
    return -(scores + _TINY).log().mean()


def nearest_neighbours(fake: Tensor, real: Tensor, window: int) -> Tensor:
    """The nearest-neighbour loss before its mean, features [B,C,H,W] twice -> [B,H,W] (section 3.3).

    Every place of `fake` against the place of `real` most like it in the `window` x `window` places around
    (odd), summed over channels. The search keeps a running minimum; only the winner carries gradients.
    """
    winner = _winner(fake.detach(), real.detach(), window)                         # [B,H*W]
    nearest = real.flatten(2).gather(2, winner[:, None].expand(-1, real.shape[1], -1)).view_as(real)
    return (nearest - fake).abs().sum(1)


def _winner(fake: Tensor, real: Tensor, window: int) -> Tensor:
    """[B,H*W] the number of the place of `real` nearest to each place of `fake`."""
    height, width = real.shape[2:]
    reach = window // 2
    padded = F.pad(real, (reach,) * 4, value=torch.inf)
    places = torch.arange(height * width, device=real.device).view(height, width)
    best = torch.full_like(fake[:, 0], torch.inf)                                  # [B,H,W]
    winner = places.expand_as(best)
    for dy in range(window):
        for dx in range(window):
            distance = (padded[:, :, dy:dy + height, dx:dx + width] - fake).abs().sum(1)
            winner = torch.where(distance < best, places + (dy - reach) * width + dx - reach, winner)
            best = torch.minimum(best, distance)
    return winner.flatten(1)


def vgg_input(picture: Tensor) -> Tensor:
    """[B,3,H,W] RGB, -1..1 -> BGR as VGG-19 saw ImageNet, but for the means of red and blue, which the
    published loss swaps."""
    means = picture.new_tensor(MEANS)[:, None, None]
    return (127.5 * (picture + 1) - means).flip(1)
