"""`RegionMap`, the value of the ANYONE_REGIONS wire."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

Colour = tuple[int, int, int]

PERSON_REGIONS = ("background", "hair", "head", "headwear", "top", "sleeves", "arms", "trousers", "skirt",
                  "legs", "shoes", "accessory")
PERSON_PALETTE: tuple[Colour, ...] = (
    (30, 30, 34), (120, 70, 40), (255, 205, 170), (255, 215, 0), (200, 40, 60), (255, 110, 130),
    (250, 170, 120), (40, 70, 200), (130, 60, 200), (90, 220, 170), (110, 110, 110), (0, 200, 220))


@dataclass(frozen=True, eq=False)
class RegionMap:
    """`labels`: [B,H,W] uint8, an index into `names`. `palette`: one colour 0..255 per name.

    The names travel with the labels because systems divide people differently. Raises ValueError when a label
    has no name or a name no colour.
    """

    labels: Tensor
    names: tuple[str, ...] = PERSON_REGIONS
    palette: tuple[Colour, ...] = PERSON_PALETTE

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.dtype != torch.uint8:
            raise ValueError(f"Region labels should be uint8 of shape [batch, height, width]; "
                             f"got {self.labels.dtype} of shape {list(self.labels.shape)}.")
        if len(self.names) != len(self.palette):
            raise ValueError(f"A region map needs one colour per name; got {len(self.names)} names "
                             f"and {len(self.palette)} colours.")
        if self.labels.numel() and int(self.labels.max()) >= len(self.names):
            raise ValueError(f"The region map holds the label {int(self.labels.max())}, but only "
                             f"{len(self.names)} regions have a name.")

    def __repr__(self) -> str:
        batch, height, width = self.labels.shape
        return f"<RegionMap {batch} x {width}x{height}, {len(self.names)} regions>"


def colour(regions: RegionMap) -> Tensor:
    """[B,H,W,3] 0..1: the map painted with its palette."""
    palette = torch.tensor(regions.palette, device=regions.labels.device) / 255
    return palette[regions.labels.long()]


def region_mask(regions: RegionMap, names: Iterable[str]) -> Tensor:
    """[B,H,W] bool: the union of the named regions. Raises ValueError for a name the map does not have."""
    chosen = torch.zeros(len(regions.names), dtype=torch.bool, device=regions.labels.device)
    for name in names:
        if name not in regions.names:
            raise ValueError(f"There is no region {name!r}; this map has {', '.join(regions.names)}.")
        chosen[regions.names.index(name)] = True
    return chosen[regions.labels.long()]
