"""Pose transfer, plain and fast: the moved skips, whole networks, a sequence of poses, parts' geometry."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bench_detectors import STANDING
from .deformable.fast import FastGenerator
from .deformable.network import DEFORMED, FASHION, Config, Generator, greatest, moved
from .pg2.fast import FastPG2
from .pg2.network import G1, MARKET, PG2, doubled
from .pose.maps import gaussian_maps
from .pose.parts import Geometry, Size, part_geometry

Job = Callable[[], object]
SIZES = ((Config(), (128, 64)), (FASHION, (256, 256)))
POSES = 8


def transfer_networks() -> Iterator[tuple[str, dict[str, Job]]]:
    """Name -> its forms. Random weights are as slow as any."""
    for config, size in SIZES:
        name = f"{size[0]}x{size[1]}"
        yield f"Deformable skips {name}", skip_forms(config, size)
        yield f"Deformable {name}", generator_forms(config, size, 1)
    config, size = SIZES[0]
    yield f"Deformable 128x64, {POSES} poses", generator_forms(config, size, POSES)
    yield "PG2 stage 1 128x64", pg2_forms()
    yield f"Parts and their places, {POSES} poses", geometry_forms(size)


def poses(size: Size, count: int) -> tuple[Tensor, Tensor]:
    """Somebody who stands, [count,18,2] the same, and [count,18,2] who moves a little, in whole pixels."""
    standing = STANDING * 0.86 * size[0] + torch.tensor([size[1] / 2, 0.2 * size[0]])
    steps = torch.randn(count, 18, 2, generator=torch.Generator().manual_seed(0)) * size[0] / 32
    return standing.round().expand(count, -1, -1), (standing + steps).round()


def level_sizes(size: Size) -> list[Size]:
    """Height and width of the maps that are moved."""
    return [(size[0] >> level, size[1] >> level) for level in range(DEFORMED)]


class PlainSkip(nn.Module):
    """All of every part, then their maximum."""

    def forward(self, features: Tensor, geometry: Geometry) -> Tensor:
        return reduce(torch.maximum, moved(features, geometry))


def skip_forms(config: Config, size: Size) -> dict[str, Job]:
    """The fast form takes the features as the fast generator lays them out."""
    looks = [torch.randn(1, width, *level)
             for width, level in zip(config.widths, level_sizes(size), strict=False)]
    laid_out = [look.contiguous(memory_format=torch.channels_last) for look in looks]
    geometry, plain = part_geometry(*poses(size, 1), size), PlainSkip()
    return {"plain": lambda: [plain(look, geometry) for look in looks],
            "fast": lambda: [greatest(look, geometry) for look in laid_out]}


def generator_forms(config: Config, size: Size, count: int) -> dict[str, Job]:
    """One source in `count` poses, which the fast form looks at once."""
    generator = Generator(config).eval()
    fast = FastGenerator(generator)
    generator.skips = nn.ModuleList(PlainSkip() for _ in generator.skips)
    picture, (own, wanted) = torch.rand(1, 3, *size) * 2 - 1, poses(size, count)
    geometry, target = part_geometry(own, wanted, size), gaussian_maps(wanted, *size)
    source = torch.cat([picture, gaussian_maps(own[:1], *size)], 1)

    def draw(net: Generator, times: int) -> Tensor:
        return net.draw(net.appearance(source.expand(times, -1, -1, -1)), target, geometry)

    return {"plain": lambda: draw(generator, count), "fast": lambda: draw(fast, 1)}


class PublishedG1(G1):
    """With the 1x1 convolutions where they are published: after the doubling."""

    def draw(self, code: Tensor, skips: list[Tensor]) -> Tensor:
        x = self.decode(code).unflatten(1, (*self.config.coarsest, -1)).permute(0, 3, 1, 2)
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            x = torch.cat([x, skip], 1)
            x = x + level.pair(x)
            x = x if level.change is None else F.relu(level.change(doubled(x)))
        return self.last(x)


def pg2_forms() -> dict[str, Job]:
    net = PG2().initialise().eval()
    fast = FastPG2(net).g1
    with torch.device("meta"):
        plain = PublishedG1(MARKET)
    plain.load_state_dict(net.g1.state_dict(), assign=True)
    image, pose = torch.rand(1, 3, 128, 64) * 2 - 1, torch.rand(1, 18, 128, 64).round() * 2 - 1
    return {"plain": lambda: plain(image, pose), "fast": lambda: fast(image, pose)}


def geometry_forms(size: Size) -> dict[str, Job]:
    """From key points to masks and to the source pixel of every target pixel, at all levels."""
    own, wanted = poses(size, POSES)

    def plain() -> None:
        for pair in zip(own.split(1), wanted.split(1), strict=True):
            geometry = part_geometry(*pair, size)
            for level in level_sizes(size):
                geometry.sources(level)

    def fast() -> None:
        geometry = part_geometry(own, wanted, size)
        for level in level_sizes(size):
            geometry.first.sources(level)
            geometry.spots(level)

    return {"plain": plain, "fast": fast}
