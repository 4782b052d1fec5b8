"""Overlapping masks -> disjoint ones."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def divide_masks(logits: Tensor, scores: Tensor, height: int, width: int) -> Tensor:
    """`logits` [N,h,w] over a whole picture, `scores` [N] of their people -> [N,height,width] bool.

    A pixel that several people claim goes to the one of the largest score times probability.
    """
    owner = torch.full((height, width), -1, dtype=torch.int32)
    surest = torch.zeros(height, width)
    for number, (mask, score) in enumerate(zip(logits, scores.tolist(), strict=True)):
        large = F.interpolate(mask[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
        claim = torch.where(large > 0, large.sigmoid() * score, 0.0)
        owner = torch.where(claim > surest, number, owner)
        surest = torch.maximum(surest, claim)
    return owner == torch.arange(len(logits))[:, None, None]
