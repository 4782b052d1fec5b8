"""The box a person is cut out with, and the order people are painted in (TriA-GAN's pipeline)."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .person import CropBox, CropSettings


def person_box(mask: Tensor, settings: CropSettings) -> CropBox | None:
    """`mask`: [H,W] bool. None when the mask is empty or the grown box smaller than `settings.minimum_area`.

    The tight box grows by a margin, then to the network's aspect, then until enough of it is background.
    """
    tight = tight_box(mask)
    if tight is None:
        return None
    (height, width), area = mask.shape, mask.sum()
    aspect = settings.height / settings.width
    margin = int(math.sqrt(tight.height * tight.width) * settings.margin)
    box = _grow(tight, min(tight.height + margin, height), min(tight.width + margin, width), mask.shape)
    if box.height / box.width < aspect:
        box = _grow(box, int(box.width * aspect), box.width, mask.shape)
    else:
        box = _grow(box, box.height, int(box.height / aspect), mask.shape)
    share = area / (box.height * box.width)                        # float32, as published
    if 1 - share <= settings.background:
        scale = (share / (1 - settings.background)).sqrt()
        box = _grow(box, math.ceil(box.height * scale), math.ceil(box.width * scale), mask.shape)
    return box if box.height * box.width >= settings.minimum_area else None


def tight_box(mask: Tensor) -> CropBox | None:
    """The smallest box around the set pixels of a [H,W] mask, None when there are none."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    if not len(rows):
        return None
    return CropBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _grow(box: CropBox, height: int, width: int, picture: Sequence[int]) -> CropBox:
    x0, x1 = _grow_axis(box.x0, box.x1, width, picture[1])
    y0, y1 = _grow_axis(box.y0, box.y1, height, picture[0])
    return CropBox(x0, y0, x1, y1)


def _grow_axis(start: int, end: int, size: int, limit: int) -> tuple[int, int]:
    """Both ends move out evenly (the end takes an odd pixel); then the interval moves inwards if it can.

    An interval that touches a border exactly is not moved, as published: the box may stay partly outside.
    """
    d = (size - (end - start)) // 2
    start, end = start - d, end + d
    end += size - (end - start)
    if start < 0 and end < limit:
        shift = min(-start, limit - end)
    elif end > limit and start > 0:
        shift = -min(end - limit, start)
    else:
        shift = 0
    return start + shift, end + shift


def processing_order(masks: Sequence[Tensor]) -> list[int]:
    """Indices by ascending area, so that the largest person is painted last."""
    areas = torch.tensor([int(mask.sum()) for mask in masks])
    return areas.argsort(stable=True).tolist()


def disjoint_groups(boxes: Sequence[CropBox]) -> list[list[int]]:
    """Runs of consecutive boxes that do not meet, so that each run can be painted in one batch.

    No crop of a run then sees a pixel that another one of the run changes.
    """
    groups: list[list[int]] = []
    for i, box in enumerate(boxes):
        if groups and not any(box.meets(boxes[j]) for j in groups[-1]):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
