"""Pictures and region maps in, style codes or pictures out."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..image import bchw_to_image, image_to_bchw, resize
from ..regions import RegionMap
from ..runtime import Runtime
from .codes import StyleCodes
from .fast import FastGenerator
from .network import Config, Discriminator, Size, draw_noise
from .weights import UNKNOWN, region_names

MAPS = 8                                                  # full-size feature maps alive at once, about


def generator_of(net: LoadedNet) -> FastGenerator:
    """Raises ValueError when `net` is something else."""
    if isinstance(net.module, Discriminator):
        raise ValueError(f"{net.name} is SEAN's discriminator, which only training needs; load a generator, "
                         f"such as latest_net_G.pth.")
    if not isinstance(net.module, FastGenerator):
        raise ValueError(f"{net.name} is a {net.system.title}, not a SEAN styler; load a styler.")
    return net.module


def net_regions(net: LoadedNet) -> tuple[str, ...]:
    """Names of the regions the network knows, in its own order."""
    return region_names(net.metadata, generator_of(net).config.labels)


def network_labels(regions: RegionMap, names: tuple[str, ...]) -> Tensor:
    """[B,H,W] int64: the map in the network's numbers, matched by name.

    A region the network does not know becomes its "unknown" when it has one. Otherwise raises ValueError,
    unless no pixel has it.
    """
    unknown = names.index(UNKNOWN) if UNKNOWN in names else -1
    table = torch.tensor([names.index(name) if name in names else unknown for name in regions.names])
    labels = table.to(regions.labels.device)[regions.labels.long()]
    if labels.numel() and int(labels.min()) < 0:
        stranger = regions.names[int(regions.labels[labels < 0][0])]
        raise ValueError(f"The region map has a region {stranger!r}, which this styler does not know; it "
                         f"knows {', '.join(names)}.")
    return labels


def fit_labels(labels: Tensor, size: Size) -> Tensor:
    """[B,H,W] -> [B,*size]: of every new pixel the label at its centre."""
    rows, columns = ((2 * torch.arange(new, device=labels.device) + 1) * old // (2 * new)
                     for new, old in zip(size, labels.shape[1:], strict=True))
    return labels[:, rows[:, None], columns]


def fit_picture(picture: Tensor, size: Size) -> Tensor:
    """[B,3,H,W] -> [B,3,*size], bicubic with antialiasing, as Pillow does it."""
    if picture.shape[2:] == size:
        return picture
    return F.interpolate(picture, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def encode_styles(net: LoadedNet, image: Tensor, regions: RegionMap, runtime: Runtime) -> StyleCodes:
    """What every region of the pictures looks like.

    `image`: [B,H,W,C] 0..1. `regions`: of the same pictures, in any resolution; the shorter batch is
    repeated. Both are brought to the network's own frame, without regard to the aspect. A region too small to
    have a pixel on the network's feature map counts as absent. Raises ValueError when the shapes of picture
    and map differ in aspect, for regions the network does not know, and for networks without an encoder.
    """
    generator, names, pictures = generator_of(net), net_regions(net), image_to_bchw(image)
    labels = network_labels(regions, names)
    (height, width), (map_height, map_width) = pictures.shape[2:], labels.shape[1:]
    if height * map_width != width * map_height:
        raise ValueError(f"The region map is {map_width}x{map_height} but the picture {width}x{height}; "
                         f"they should show the same picture.")
    count = max(len(pictures), len(labels))
    progress, rows = runtime.progress(count, "reading styles"), []
    with runtime.use(net, _memory(generator.config)) as (_, device):
        for i in range(count):
            picture = fit_picture(pictures[i % len(pictures)][None].to(device), generator.config.size)
            fitted = fit_labels(labels[i % len(labels)][None].to(device), generator.config.size)
            rows.append(generator.encode(picture * 2 - 1, fitted).cpu())           # [1,R,S]
            progress.update()
    codes = torch.cat(rows)
    return StyleCodes(codes, codes.any(2), names, net.name)


def render(net: LoadedNet, regions: RegionMap, styles: StyleCodes | None, seed: int = 0, *,
           runtime: Runtime) -> Tensor:
    """Draws region maps in the given styles: pictures [B,H,W,3] 0..1 of the maps' size.

    The shorter batch is repeated. The network draws in its own frame; maps of another size are brought to it
    (nearest) and the picture back. `seed`: of the noise that the published code adds; 0 = none, n > 0 = the
    numbers it draws after `manual_seed(n)`, the same for every picture. `styles`: None for SPADE networks
    only. A region without a style is drawn as the network draws a code of zeros: fill it first.

    Raises ValueError for styles of another network or regions it does not know.
    """
    generator, labels = generator_of(net), network_labels(regions, net_regions(net))
    config, size = generator.config, labels.shape[1:]
    codes = None if styles is None else _checked(styles, net)
    count = len(labels) if codes is None else max(len(labels), len(codes))
    noise = draw_noise(config, torch.Generator().manual_seed(seed)) if seed else {}
    progress, pictures = runtime.progress(count, "drawing regions"), []
    with runtime.use(net, _memory(config)) as (_, device):
        noise = {name: plane.to(device) for name, plane in noise.items()}
        for i in range(count):
            own = None if codes is None else codes[i % len(codes)][None].to(device)
            fitted = fit_labels(labels[i % len(labels)][None].to(device), config.size)
            drawn = (generator(fitted, own, noise=noise).cpu() + 1) / 2
            pictures.append(bchw_to_image(resize(drawn, size[0], size[1])))
            progress.update(preview=pictures[-1][0])
    return torch.cat(pictures)


def _checked(styles: StyleCodes, net: LoadedNet) -> Tensor:
    if styles.names != net_regions(net):
        raise ValueError(f"The style codes come from {styles.model} and describe {', '.join(styles.names)}; "
                         f"{net.name} needs {', '.join(net_regions(net))}.")
    return styles.codes


def _memory(config: Config) -> int:
    return MAPS * config.size[0] * config.size[1] * config.dims[-1] * 4
