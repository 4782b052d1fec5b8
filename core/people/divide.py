"""Overlapping masks -> disjoint ones."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import tight_box
from .person import CropBox


def divide_masks(logits: Tensor, scores: Tensor, height: int, width: int) -> Tensor:
    """`logits` [N,h,w] over a whole picture, `scores` [N] of their people -> [N,height,width] bool.

    A pixel that several people claim goes to the one of the largest score times probability.
    """
    owner = torch.full((height, width), -1, dtype=torch.int32)
    surest = torch.zeros(height, width)
    for number, (mask, score) in enumerate(zip(logits, scores.tolist(), strict=True)):
        box = _enlarged_box(mask, height, width)
        window = slice(box.y0, box.y1), slice(box.x0, box.x1)
        large = _enlarged(mask, box, height, width)
        claim = torch.where(large > 0, large.sigmoid() * score, 0.0)
        owner[window] = torch.where(claim > surest[window], number, owner[window])
        surest[window] = torch.maximum(surest[window], claim)
    return owner == torch.arange(len(logits))[:, None, None]


def _enlarged_box(mask: Tensor, height: int, width: int) -> CropBox:
    """The pixels of the picture that a mask of logits can reach."""
    tight = tight_box(mask > 0) or CropBox(0, 0, 0, 0)
    y, x = height / mask.shape[0], width / mask.shape[1]
    return CropBox(math.floor((tight.x0 - 1) * x), math.floor((tight.y0 - 1) * y),
                   math.ceil((tight.x1 + 1) * x), math.ceil((tight.y1 + 1) * y)).clipped(height, width)


def _enlarged(mask: Tensor, box: CropBox, height: int, width: int) -> Tensor:
    """[h,w] -> a window of the mask at the picture's size, bilinear."""
    y = (torch.arange(box.y0, box.y1) + 0.5) * (2 / height) - 1
    x = (torch.arange(box.x0, box.x1) + 0.5) * (2 / width) - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]                      # [1,h,w,2]
    return F.grid_sample(mask[None, None], grid, "bilinear", "border", align_corners=False)[0, 0]
