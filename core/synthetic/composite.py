"""Sub-samples to pixels: colours by coverage, classes by majority."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .palette import REGION_NAMES

_CLASSES = len(REGION_NAMES)


def coarse_pixel(pixel: Tensor, rows: int, columns: int, factor: int) -> Tensor:
    """Flat index in [B,rows,columns] -> flat index in the picture `factor` times smaller."""
    line = torch.div(pixel, columns, rounding_mode="floor")
    column = pixel - line * columns
    return (torch.div(line, factor, rounding_mode="floor") * (columns // factor)
            + torch.div(column, factor, rounding_mode="floor"))


def blend(background: Tensor, pixel: Tensor, colour: Tensor, samples: int) -> Tensor:
    """Background [B,3,H,W] with samples of figures [3,S] at coarse pixels [S], `samples` to a pixel."""
    count, _, height, width = background.shape
    size = count * height * width

    def summed(values: Tensor) -> Tensor:
        return background.new_zeros(size).index_add_(0, pixel, values).view(count, height, width)

    share = summed(torch.ones_like(colour[0]))[:, None]
    return background * (1 - share / samples) + torch.stack([summed(c) for c in colour], 1) / samples


@dataclass(frozen=True, eq=False)
class Labels:
    """Per pixel [B,H,W].

    `main`, `share`: coverages 0..1 of person 0 and of the person that covers most; `owner`: that person's
    number from 1 (0 = nobody); `region`: the class most of its samples have.
    """

    main: Tensor
    share: Tensor
    owner: Tensor
    region: Tensor


def label(pixel: Tensor, person: Tensor, region: Tensor, shape: tuple[int, int, int], people: int,
          samples: int) -> Labels:
    """`pixel`, `person`, `region`: [S]; region 0 is no body. Ties go to the lower number."""
    size = shape[0] * shape[1] * shape[2]
    body = (region > 0).nonzero()[:, 0]
    pixel, kind = pixel[body], person[body] * _CLASSES + region[body]
    touched = torch.zeros(size, dtype=torch.bool, device=pixel.device).index_fill_(0, pixel, True)
    rank, place = touched.cumsum(0) - 1, touched.nonzero()[:, 0]
    votes = torch.zeros(len(place) * people * _CLASSES, device=pixel.device)
    votes.index_add_(0, rank[pixel] * (people * _CLASSES) + kind, torch.ones_like(pixel, dtype=votes.dtype))
    votes = votes.view(-1, people, _CLASSES)                          # [K,P,12]
    per_person = votes.sum(-1)                                        # small integers: exact in any order
    most, owner = per_person.max(1)
    region = votes[torch.arange(len(place), device=pixel.device), owner].argmax(-1)

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(size).index_copy_(0, place, values).view(shape)

    return Labels(spread(per_person[:, 0] / samples), spread(most / samples), spread(owner + 1),
                  spread(region))
