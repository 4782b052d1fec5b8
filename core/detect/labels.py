"""Annotation of a batch, and the maps an ideal detector would answer with."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..pose import JOINTS
from .network import CELL, GRID, SIDE

SIGMA = 1.5                                               # of a joint's Gaussian, in cells
RADIUS = 4                                                # cells round a joint that are drawn
VISIBLE = 2                                               # visibility of a joint one can see
HIDDEN = 0.7                                              # height of the Gaussian of a hidden joint
NECK, HIPS = JOINTS.index("neck"), (JOINTS.index("right_hip"), JOINTS.index("left_hip"))
OWNER_FLOOR = 0.2                                         # a joint claims empty cells where it is this high


@dataclass(frozen=True, eq=False)
class Labels:
    """`keypoints` [B,P,18,2] in pixels of the 128x128 input, `visibility` [B,P,18] 2 visible, 1 hidden, 0 not
    there. `people` [B,64,64] 0 nobody, p = person p-1. `regions` [B,64,64] 0..11."""

    keypoints: Tensor
    visibility: Tensor
    people: Tensor
    regions: Tensor


@dataclass(frozen=True, eq=False)
class Targets:
    """`heat` [B,18,64,64] 0..1, `regions` [B,64,64] int64, `mask` [B,1,64,64] 0/1, `centre` [B,2,64,64] as in
    `Maps`, `has_centre` [B,1,64,64] 0/1: cells of a person or next to a joint."""

    heat: Tensor
    regions: Tensor
    mask: Tensor
    centre: Tensor
    has_centre: Tensor


def person_centres(keypoints: Tensor) -> Tensor:
    """[...,18,2] -> [...,2]: the middle between neck and hips."""
    hips = (keypoints[..., HIPS[0], :] + keypoints[..., HIPS[1], :]) / 2
    return (keypoints[..., NECK, :] + hips) / 2


def cell_centres(device: torch.device | None = None) -> Tensor:
    """[2,64,64]: x and y of the middle of every cell, 1 = the side of the picture."""
    line = (torch.arange(GRID, device=device) + 0.5) / GRID
    return torch.stack([line.expand(GRID, GRID), line[:, None].expand(GRID, GRID)])


def make_targets(labels: Labels) -> Targets:
    """The maps to learn. Only a small patch round each joint is touched."""
    heat, owner = _joint_maps(labels)
    owner = torch.where(labels.people > 0, labels.people.long(), owner)                 # [B,64,64] 0, 1..P
    batch, people = labels.keypoints.shape[:2]
    middle = person_centres(labels.keypoints) / SIDE                                    # [B,P,2]
    chosen = (owner - 1).clamp(0, people - 1).view(batch, -1, 1).expand(-1, -1, 2)
    middle = middle.gather(1, chosen).movedim(1, 2).view(batch, 2, GRID, GRID)
    return Targets(heat, labels.regions.long(), (labels.people > 0).float()[:, None],
                   middle - cell_centres(middle.device), (owner > 0).float()[:, None])


def _joint_maps(labels: Labels) -> tuple[Tensor, Tensor]:
    """Heat maps [B,18,64,64], and the person [B,64,64] (0 nobody) with the strongest joint at each cell."""
    batch, people, joints = labels.visibility.shape
    row, person, joint = (labels.visibility > 0).nonzero().T[..., None]                 # [K,1] each
    place, value = _patches(labels.keypoints[row, person, joint], labels.visibility[row, person, joint])
    heat = value.new_zeros(batch * joints * GRID * GRID)
    heat.scatter_reduce_(0, ((row * joints + joint) * GRID * GRID + place).view(-1), value.view(-1), "amax")
    # One number holds strength and person, so that the strongest joint's person survives the maximum.
    claim = (value * 1000).long() * (people + 1) + person + 1
    claims = place.new_zeros(batch * GRID * GRID)
    claims.scatter_reduce_(0, (row * GRID * GRID + place).view(-1), claim.view(-1), "amax")
    owner = torch.where(claims // (people + 1) >= OWNER_FLOOR * 1000, claims % (people + 1), 0)
    return heat.view(batch, joints, GRID, GRID), owner.view(batch, GRID, GRID)


def _patches(keypoints: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    """Joints [K,1,2] and [K,1] -> flat place and Gaussian value of the 81 cells round each, [K,81]; 0
    outside."""
    cells = keypoints / CELL - 0.5                                                      # x, y
    line = torch.arange(-RADIUS, RADIUS + 1, device=cells.device)
    around = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)     # [81,2]
    nearest = cells.round() + around                                                    # [K,81,2]
    inside = ((nearest >= 0) & (nearest < GRID)).all(-1)
    height = torch.where(visibility == VISIBLE, 1.0, HIDDEN)
    value = torch.exp((nearest - cells).square().sum(-1) / (-2 * SIGMA**2)) * height * inside
    x, y = nearest.clamp(0, GRID - 1).long().unbind(-1)
    return y * GRID + x, value
