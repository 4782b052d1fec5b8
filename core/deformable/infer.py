"""One person's picture and pose in, the person in other poses out, at the network's own size."""
from __future__ import annotations

import re

import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..people.frame import Artist, Drawn
from ..pose.maps import gaussian_maps
from ..pose.parts import Geometry, checked, part_geometry, whole_geometry
from .network import Generator
from .weights import option

SQUARE_LEVELS = 7                                         # published: 256x256 has seven levels, 128x64 six


def network_of(net: LoadedNet) -> Generator:
    """Raises ValueError when `net` is something else."""
    if not isinstance(net.module, Generator):
        raise ValueError(f"{net.name} is a {net.system.title}, not a Deformable GAN; load a Deformable GAN.")
    return net.module


def frame_size(net: LoadedNet) -> tuple[int, int]:
    """Height and width the network draws: what its file says ("128x64"), else the published size for its
    depth. Raises ValueError when the file says something impossible."""
    levels = len(network_of(net).config.widths)
    text = net.metadata.get("size", "256x256" if levels == SQUARE_LEVELS else "128x64")
    found, step = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text), 2 ** (levels - 1)
    height, width = (int(side) for side in found.groups()) if found else (0, 0)
    if not height or not width or height % step or width % step:
        raise ValueError(f"{net.name} says it draws pictures of {text!r}; expected are height x width, both "
                         f"multiples of {step}.")
    return height, width


def lifted(net: LoadedNet) -> bool:
    """Whether the network wants the person on plain grey, and draws an opacity."""
    return network_of(net).config.outputs == 4


def takes_background(net: LoadedNet) -> bool:
    """Whether the network is shown what will be behind the person."""
    return network_of(net).config.background


def check_joints(net: LoadedNet, source: Tensor, target: Tensor) -> None:
    """Raises ValueError when a pose of [B,18,2] lacks a shoulder or hip that the moved skips need."""
    if network_of(net).config.deformable:
        checked(source, "source")
        checked(target, "target")


def artist(module: Generator, net: LoadedNet, device: torch.device, source: Tensor,
           source_joints: Tensor) -> Artist:
    """Looks at the source once; what comes back draws it in any poses. Arguments as of `redraw`; `module` is
    `net`'s, lent on `device`."""
    size = (source.shape[1], source.shape[2])
    own = _settled(net, source_joints[None]).to(device)                            # [1,18,2]
    picture, heat = source[None].to(device) * 2 - 1, _heat(net, own, size)
    looks = module.appearance(torch.cat([picture, heat], 1)) if module.config.deformable else None

    def draw(target_joints: Tensor, background: Tensor | None = None) -> Drawn:
        joints = _settled(net, target_joints).to(device)                           # [N,18,2]
        target, behind = _heat(net, joints, size), None
        if background is not None:
            behind = background.to(device) * 2 - 1
        if looks is None:
            drawn = module(*(plane.expand(len(joints), -1, -1, -1) for plane in (picture, heat)), target,
                           background=behind)
        else:
            planes = target if behind is None else torch.cat([target, behind], 1)
            drawn = module.draw(looks, planes, _geometry(net, own.expand_as(joints), joints, size))
        return Drawn.read((drawn + 1) / 2)

    return draw


def redraw(module: Generator, net: LoadedNet, device: torch.device, source: Tensor, source_joints: Tensor,
           target_joints: Tensor, background: Tensor | None = None) -> Drawn:
    """The person of a picture in N poses.

    `source`: [3,h,w] 0..1 of `frame_size`, the person on grey when `lifted`. `source_joints`: [18,2],
    `target_joints`: [N,18,2], pixels of the frame whose centres lie at integers, NaN = missing. `background`:
    [N,3,h,w] 0..1, for networks that take one. Raises ValueError without shoulders and hips.
    """
    return artist(module, net, device, source, source_joints)(target_joints, background)


def _stepped(net: LoadedNet) -> bool:
    """Whether the network was trained on the published staircases, which only whole pixels have."""
    return option(net.metadata, "heatmaps") == "stepped"


def _settled(net: LoadedNet, joints: Tensor) -> Tensor:
    return (joints + 0.5).floor() if _stepped(net) else joints


def _heat(net: LoadedNet, joints: Tensor, size: tuple[int, int]) -> Tensor:
    return gaussian_maps(joints, *size, stepped=_stepped(net))


def _geometry(net: LoadedNet, source: Tensor, target: Tensor, size: tuple[int, int]) -> Geometry:
    """On the joints' device, or from the CPU where that has no float64."""
    make = whole_geometry if option(net.metadata, "warp") == "full" else part_geometry
    if source.device.type != "mps":
        return make(source, target, size)
    made = make(source.cpu(), target.cpu(), size)
    return Geometry(made.transforms.to(source.device), made.masks.to(source.device))
