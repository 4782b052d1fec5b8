"""One person's picture in, the person in other poses out, at the network's own size."""
from __future__ import annotations

import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..people.frame import Artist, Drawn
from .network import PG2, network_pose


def network_of(net: LoadedNet) -> PG2:
    """Raises ValueError when `net` is something else."""
    if not isinstance(net.module, PG2):
        raise ValueError(f"{net.name} is a {net.system.title}, not a PG2; load a PG2.")
    return net.module


def frame_size(net: LoadedNet) -> tuple[int, int]:
    """Height and width the network draws."""
    return network_of(net).config.height, network_of(net).config.width


def lifted(net: LoadedNet) -> bool:
    """Whether the network wants the person on plain grey, and draws an opacity."""
    return network_of(net).config.outputs == 4


def takes_background(net: LoadedNet) -> bool:
    """Whether the network is shown what will be behind the person; never."""
    return False


def check_joints(net: LoadedNet, source: Tensor, target: Tensor) -> None:
    """Raises ValueError when a target pose of [B,18,2] has no joint. The source's pose is not looked at."""
    empty = ~target.isfinite().all(2).any(1)                                       # [B]
    if empty.any():
        which = f"; pose {int(empty.nonzero()[0]) + 1} has none" if len(target) > 1 else ""
        raise ValueError(f"The target pose needs joints{which}.")


def artist(module: PG2, net: LoadedNet, device: torch.device, source: Tensor,
           source_joints: Tensor) -> Artist:
    """What comes back draws the source in any poses. Arguments as of `redraw`; `module`: `net`'s, lent on
    `device`."""
    picture = source[None].to(device) * 2 - 1                                      # [1,3,h,w]

    def draw(target_joints: Tensor, background: Tensor | None = None) -> Drawn:
        pose = network_pose(target_joints.to(device), network_of(net).config)
        _, refined = module(picture.expand(len(pose), -1, -1, -1), pose)           # [N,3 or 4,h,w]
        return Drawn.read(((refined + 1) / 2).clamp(0, 1))

    return draw


def redraw(module: PG2, net: LoadedNet, device: torch.device, source: Tensor, source_joints: Tensor,
           target_joints: Tensor, background: Tensor | None = None) -> Drawn:
    """The person of a picture in N poses.

    `source`: [3,h,w] 0..1 of `frame_size`, the person on grey when `lifted`. `source_joints`: not looked at.
    `target_joints`: [N,18,2] pixels of the frame whose centres lie at integers, NaN = missing. `background`:
    PG2 takes none.
    """
    return artist(module, net, device, source, source_joints)(target_joints, background)
