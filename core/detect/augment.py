"""Rendered people -> pictures a detector may meet: any place and size, several pictures in one, bad cameras.

All of it works on whole batches. Pictures are sampled once; labels are gathered straight at the detector's
grid, which is cheaper than warping them at full size.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose import JOINTS
from ..training import Batch
from .labels import Labels
from .network import CELL, GRID, SIDE

MOSAIC = 0.15                                             # share of pictures made of four


def _swapped(name: str) -> str:
    if name.startswith("right_"):
        return name.replace("right_", "left_")
    return name.replace("left_", "right_")


MIRRORED = [JOINTS.index(_swapped(name)) for name in JOINTS]


class Dice:
    """Random numbers for a batch of `count`, one per picture, from a CPU generator."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count, self.generator, self.device = count, generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """[count,*shape] in low..high."""
        return torch.rand(self.count, *shape, generator=self.generator).to(self.device) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """[count,*shape], standard normal."""
        return torch.randn(self.count, *shape, generator=self.generator).to(self.device)

    def chance(self, probability: float) -> Tensor:
        """[count] bool."""
        return self.uniform(0, 1) < probability


def augment(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Labels]:
    """Pool fields -> pictures [B,3,128,128] 0..1 and their labels. A share of the pictures are mosaics."""
    count = len(batch["image"])
    mosaics = int(count * MOSAIC) if count >= 4 else 0
    parts = [_single(_rows(batch, slice(mosaics, count)), generator)]
    if mosaics:
        rows = torch.arange(mosaics)
        four = [_rows(batch, (rows + shift * mosaics) % count) for shift in range(4)]
        square = _mosaic(four)
        parts.append(_warp(square, _random_view(square, generator, low=0.85, high=1.8, spread=0.25)))
    people = max(labels.keypoints.shape[1] for _, labels in parts)
    image = torch.cat([image for image, _ in parts])
    padded = [_pad_people(labels, people) for _, labels in parts]
    labels = Labels(*(torch.cat([getattr(part, name) for part in padded])
                      for name in ("keypoints", "visibility", "people", "regions")))
    return degrade(image, generator), labels


def plain(batch: Batch) -> tuple[Tensor, Labels]:
    """Whole pictures on grey, as `detect_people` first sees them: for scores."""
    picture = _rows(batch, slice(None))
    zeros = batch["image"].new_zeros(len(batch["image"]))
    fit = zeros + SIDE / max(batch["image"].shape[-2:])
    return _warp(picture, View(zeros, fit, zeros[:, None].expand(-1, 2), zeros > 0, zeros[:, None] + 0.5))


def _rows(batch: Batch, rows: slice | Tensor) -> Batch:
    names = {"image": "image", "keypoints": "keypoints", "visibility": "visibility", "people": "people",
             "regions": "people_regions"}
    return {ours: batch[theirs][rows] for ours, theirs in names.items()}


def _single(picture: Batch, generator: torch.Generator) -> tuple[Tensor, Labels]:
    return _warp(picture, _random_view(picture, generator, low=0.6, high=1.5, spread=0.15))


def _mosaic(four: list[Batch]) -> Batch:
    """Four pictures in a square, people numbered on."""
    height, width = four[0]["image"].shape[-2:]
    people = four[0]["keypoints"].shape[1]
    numbered = [torch.where(f["people"] > 0, f["people"] + i * people, 0) for i, f in enumerate(four)]
    out = {"image": _square([f["image"] for f in four]), "regions": _square([f["regions"] for f in four]),
           "people": _square(numbered)}
    corners = [torch.tensor([x, y], device=out["image"].device) for y in (0, height) for x in (0, width)]
    out["keypoints"] = torch.cat([f["keypoints"] + c for f, c in zip(four, corners, strict=True)], 1)
    out["visibility"] = torch.cat([f["visibility"] for f in four], 1)
    return out


def _square(four: list[Tensor]) -> Tensor:
    return torch.cat([torch.cat(four[:2], -1), torch.cat(four[2:], -1)], -2)


def _pad_people(labels: Labels, people: int) -> Labels:
    missing = people - labels.keypoints.shape[1]
    return Labels(F.pad(labels.keypoints, (0, 0, 0, 0, 0, missing)),
                  F.pad(labels.visibility, (0, 0, 0, missing)), labels.people, labels.regions)


@dataclass(frozen=True)
class View:
    """How pictures are seen, about their middles: first mirrored, turned by `angle` [B] radians, scaled by
    `scale` [B], then shifted by `shift` [B,2] pixels of the result. `fill`: [B,3] colour beyond the picture,
    NaN = its border goes on."""

    angle: Tensor
    scale: Tensor
    shift: Tensor
    mirror: Tensor
    fill: Tensor


def _random_view(picture: Batch, generator: torch.Generator, low: float, high: float, spread: float) -> View:
    """Size `low`..`high` of the fitting one, shifted by up to `spread` of the picture, turned a little (one
    in eight a lot), mirrored in half of the cases."""
    dice = Dice(len(picture["image"]), generator, picture["image"].device)
    size = torch.exp(dice.uniform(math.log(low), math.log(high), 2).mean(1))              # mostly in between
    # Small pictures may stand anywhere in the frame; large ones move so that other parts come into view.
    reach = (spread * size + (1 - size).clamp(min=0) / 2) * SIDE
    grey = torch.where(dice.chance(0.5)[:, None], 0.5, dice.uniform(0, 1, 3))
    return View(angle=dice.normal() * torch.where(dice.chance(0.125), 0.7, 0.12),
                scale=size * SIDE / max(picture["image"].shape[-2:]),
                shift=dice.uniform(-1, 1, 2) * reach[:, None],
                mirror=dice.chance(0.5),
                fill=torch.where(dice.chance(0.4)[:, None], torch.nan, grey))


def _warp(picture: Batch, view: View) -> tuple[Tensor, Labels]:
    image = picture["image"]
    height, width = image.shape[-2:]
    middle = image.new_tensor([width / 2, height / 2])
    target = view.shift[:, None] + SIDE / 2                                                 # [B,1,2]
    sign = torch.where(view.mirror, -1.0, 1.0)
    cos, sin = view.angle.cos() * view.scale, view.angle.sin() * view.scale
    forward = torch.stack([torch.stack([cos * sign, sin * sign], -1), torch.stack([-sin, cos], -1)], -2)
    backward = torch.linalg.inv(forward)                    # row vectors: place @ forward, [B,2,2]
    source = (_pixels(SIDE, 1.0, image.device) - target) @ backward + middle                # [B,S*S,2]
    grid = (source / middle - 1).view(-1, SIDE, SIDE, 2)
    seen = F.grid_sample(image, grid, "bilinear", "border", align_corners=False)            # [B,3,S,S]
    outside = (grid.abs() > 1).any(-1)[:, None] & view.fill.isfinite().all(1)[:, None, None, None]
    seen = torch.where(outside, view.fill[:, :, None, None], seen)
    keypoints, visibility = _warp_joints(picture, (picture["keypoints"] - middle) @ forward[:, None]
                                         + target[:, None], view.mirror)
    cells = ((_pixels(GRID, CELL, image.device) - target) @ backward + middle).floor().long()
    inside = ((cells >= 0) & (cells < cells.new_tensor([width, height]))).all(-1)           # [B,G*G]
    flat = cells[..., 1].clamp(0, height - 1) * width + cells[..., 0].clamp(0, width - 1)
    people, regions = ((picture[name].flatten(1).gather(1, flat) * inside).view(-1, GRID, GRID)
                       for name in ("people", "regions"))
    return seen, Labels(keypoints, visibility, people, regions)


def _warp_joints(picture: Batch, places: Tensor, mirror: Tensor) -> tuple[Tensor, Tensor]:
    """Swaps left and right of mirrored people; joints that left the frame are gone."""
    swapped, flip = torch.tensor(MIRRORED, device=places.device), mirror[:, None, None]
    visibility = picture["visibility"] * ((places >= 0) & (places < SIDE)).all(-1)
    return (torch.where(flip[..., None], places[:, :, swapped], places),
            torch.where(flip, visibility[:, :, swapped], visibility))


def _pixels(side: int, step: float, device: torch.device) -> Tensor:
    """[side*side,2]: x, y of the pixel centres of a square of `side` pixels, each `step` wide."""
    line = (torch.arange(side, device=device) + 0.5) * step
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)


def degrade(image: Tensor, generator: torch.Generator) -> Tensor:
    """[B,3,S,S]: other light, colours and cameras. Stays in 0..1."""
    dice = Dice(len(image), generator, image.device)
    image = _recolour(image, dice)
    for strength in (0.35, 0.2):                            # some blurred, a few twice
        chosen = dice.chance(strength).nonzero()[:, 0]
        image[chosen] = F.avg_pool2d(F.pad(image[chosen], (1, 1, 1, 1), mode="replicate"), 3, 1)
    chosen = dice.chance(0.4).nonzero()[:, 0]
    noise = torch.randn(len(chosen), *image.shape[1:], generator=generator).to(image.device)
    image[chosen] += noise * dice.uniform(0, 0.08, 1, 1, 1)[chosen]
    return image.clamp_(0, 1)


def _recolour(image: Tensor, dice: Dice) -> Tensor:
    """Gain and tint per channel, contrast, saturation down to grey, mixed channels: one 3x3 matrix per
    picture; then a bend of the tone curve."""
    identity = torch.eye(3, device=image.device)
    grey = image.new_tensor([0.299, 0.587, 0.114]).expand(3, 3)
    saturation = torch.where(dice.chance(0.1), 0.0, dice.uniform(0.4, 1.6))[:, None, None]
    mixed = (dice.normal(3, 3) * 0.06) * dice.chance(0.5)[:, None, None]
    gain = torch.exp(dice.normal(3, 1) * 0.1 + dice.normal(1, 1) * 0.25)
    matrix = gain * (saturation * identity + (1 - saturation) * grey + mixed)               # [B,3,3]
    lift = dice.normal(1, 1) * 0.08 + (1 - gain) * 0.4 * dice.uniform(0, 1, 1, 1)           # keeps the middle
    out = torch.baddbmm(lift, matrix, image.flatten(2)).view_as(image).clamp_(0, 1)
    bend = dice.uniform(-0.6, 0.6, 1, 1, 1)
    return out + bend * out * (1 - out)
