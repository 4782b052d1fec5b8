"""Regions painted, grown, shrunk, moved, removed and exchanged, by name.

Nothing changes its inputs; of maps and masks the shorter batch repeats. What a region leaves free goes to
the region `filler`, by default to the nearest other one (where there is none, to the map's first, the
background). A picture without the region stays as it is, unless the region is painted. Unknown names raise
ValueError.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..image import cycle_to, distance_to
from .regions import RegionMap, region_mask


def paint(regions: RegionMap, name: str, mask: Tensor, over: Sequence[str] = ()) -> RegionMap:
    """The mask [B,H,W] bool becomes part of the region. `over`: only where these regions are now."""
    regions, mask = pair(regions, mask)
    if over:
        mask = mask & region_mask(regions, over)
    return replace(regions, labels=torch.where(mask, number(regions, name), regions.labels))


def reshape(regions: RegionMap, name: str, mask: Tensor, filler: str | None = None) -> RegionMap:
    """The region becomes exactly the mask [B,H,W] bool."""
    regions, mask = pair(regions, mask)
    free = region_mask(regions, [name])
    if filler is None:
        rest = [fill_from_nearest(*each) for each in zip(regions.labels, free, strict=True)]
        labels = torch.stack(rest)
    else:
        labels = torch.where(free, number(regions, filler), regions.labels)
    return paint(replace(regions, labels=labels), name, mask)


def grow(regions: RegionMap, name: str, pixels: float, over: Sequence[str] = ()) -> RegionMap:
    """Takes in all that lies so near. `over`: only of these regions."""
    return paint(regions, name, distance_to(region_mask(regions, [name])) <= pixels, over)


def shrink(regions: RegionMap, name: str, pixels: float, filler: str | None = None) -> RegionMap:
    """Gives up all that lies so near to its rim; where the picture cuts the region off is no rim."""
    return reshape(regions, name, distance_to(~region_mask(regions, [name])) > pixels, filler)


def move(regions: RegionMap, name: str, dx: int, dy: int, filler: str | None = None) -> RegionMap:
    """By whole pixels to the right and downwards; what leaves the picture is lost."""
    mask = region_mask(regions, [name])
    height, width = mask.shape[1:]
    dx, dy = max(-width, min(dx, width)), max(-height, min(dy, height))
    moved = torch.zeros_like(mask)
    moved[:, max(dy, 0):height + min(dy, 0), max(dx, 0):width + min(dx, 0)] = \
        mask[:, max(-dy, 0):height + min(-dy, 0), max(-dx, 0):width + min(-dx, 0)]
    return reshape(regions, name, moved, filler)


def remove(regions: RegionMap, name: str, filler: str | None = None) -> RegionMap:
    return reshape(regions, name, torch.zeros_like(regions.labels, dtype=torch.bool), filler)


def swap(regions: RegionMap, name: str, other: str) -> RegionMap:
    """Each becomes the other."""
    table = torch.arange(len(regions.names), dtype=torch.uint8, device=regions.labels.device)
    a, b = number(regions, name), number(regions, other)
    table[[a, b]] = table[[b, a]]
    return replace(regions, labels=table[regions.labels.long()])


def fill_from_nearest(labels: Tensor, free: Tensor) -> Tensor:
    """[H,W] uint8 with each pixel of `free` [H,W] bool as the nearest that is not; all 0 where all are."""
    import cv2

    if free.all():
        return torch.zeros_like(labels)
    if not free.any():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(free.byte().cpu().numpy(), cv2.DIST_L2, 5,
                                                 labelType=cv2.DIST_LABEL_PIXEL)
    places = torch.from_numpy(nearest).to(labels.device).long()
    table = torch.zeros(int(places.max()) + 1, dtype=torch.uint8, device=labels.device)
    table[places[~free]] = labels[~free]
    return torch.where(free, table[places], labels)


def pair(regions: RegionMap, mask: Tensor) -> tuple[RegionMap, Tensor]:
    """Both as long as the longer one. Raises ValueError when they differ in size."""
    if mask.shape[1:] != regions.labels.shape[1:]:
        raise ValueError(f"The mask is {mask.shape[2]}x{mask.shape[1]} but the region map "
                         f"{regions.labels.shape[2]}x{regions.labels.shape[1]}; resize the mask.")
    count = max(len(mask), len(regions.labels))
    return replace(regions, labels=cycle_to(regions.labels, count)), cycle_to(mask, count)


def number(regions: RegionMap, name: str) -> int:
    if name not in regions.names:
        raise ValueError(f"There is no region {name!r}; this map has {', '.join(regions.names)}.")
    return regions.names.index(name)
