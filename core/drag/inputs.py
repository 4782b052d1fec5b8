"""Handles, targets and mask: from pixels of the picture to the canvas, and what is wrong with them."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .source import Box, Draggable, FixedArea
from .terms import Point

Points = Tensor | Sequence[tuple[float, float]]
Pairs = list[tuple[float, float]]


def as_pairs(points: Points) -> Pairs:
    return [(float(x), float(y)) for x, y in (points.tolist() if isinstance(points, Tensor) else points)]


def locate(x: float, y: float, source: Draggable) -> Point:
    """x, y in the picture -> row, column of the canvas, rounded half to even and kept inside."""
    row, column = (min(max(round(value) + margin, 0), side + 2 * margin - 1) for value, margin, side
                   in zip((y, x), source.margin, source.size, strict=True))
    return row, column


def pair_up(handles: Pairs, targets: Pairs) -> tuple[Pairs, Pairs, tuple[str, ...]]:
    """Handles and targets, as many of each, and remarks. Handles without a target are left out, as published.

    Raises ValueError for missing points and targets without a handle.
    """
    if not handles or not targets:
        raise ValueError(f"Dragging takes at least one handle and its target; got {len(handles)} handles and "
                         f"{len(targets)} targets.")
    if len(targets) > len(handles):
        raise ValueError(f"There are {len(targets)} targets but {len(handles)} handles; "
                         "give every target its handle.")
    spare = len(handles) - len(targets)
    remarks = (f"Handles without a target, left out: {spare}.",) if spare else ()
    return handles[:len(targets)], targets, remarks


def check_inside(what: str, points: Pairs, size: tuple[int, int], margin: tuple[int, int] = (0, 0)) -> None:
    """Raises ValueError for a point outside a picture of that height and width and its margin."""
    (height, width), (rows, columns) = size, margin
    for number, (x, y) in enumerate(points, 1):
        inside = -columns <= x < width + columns and -rows <= y < height + rows
        if not (math.isfinite(x) and math.isfinite(y) and inside):
            raise ValueError(f"{what} {number} at ({x:g}, {y:g}) is outside the picture, which is {width} "
                             f"pixels wide and {height} high.")


def fixed_area(mask: Tensor | None, source: Draggable) -> FixedArea | None:
    """`mask`: [H,W] of the picture, 1 = may change. None where not both 0 and 1 are in it, as published.

    Raises ValueError for another size.
    """
    if mask is None:
        return None
    height, width = source.size
    if mask.shape != (height, width):
        raise ValueError(f"The mask has the shape {list(mask.shape)}, but the pictures of this generator are "
                         f"{width} wide and {height} high; give a mask [{height}, {width}].")
    fixed = 1 - mask.detach().to(source.start)
    if fixed.min() != 0 or fixed.max() != 1:
        return None
    rows, columns = source.margin
    fixed = F.pad(fixed[None, None], (columns, columns, rows, rows), mode="replicate")[0, 0]
    down, across = (fixed.amax(axis).nonzero() for axis in (1, 0))
    return FixedArea(fixed, Box(int(down[0]), int(across[0]), int(down[-1]) + 1, int(across[-1]) + 1))


def check_free(handles: Sequence[Point], fixed: FixedArea | None) -> None:
    """Raises ValueError for a handle, row and column of the canvas, that may not move."""
    for number, (row, column) in enumerate(handles, 1):
        if fixed is not None and fixed.mask[row, column] == 1:
            raise ValueError(f"Handle {number} lies where the mask allows no change; paint the mask over "
                             "everything that has to move, or move the handle.")
