"""Crops -> what is where."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..image import imagenet, stretch
from .weights import label_ids

SIDE = 512                                                # of the input, where the files do not say


def region_scores(net: nn.Module, crops: Tensor, size: tuple[int, int]) -> Tensor:
    """`crops` [B,3,h,w] 0..1 -> logits [B,C,h,w] in the order of ATR_LABELS, or of FACE_REGIONS from a face
    parser. `size`: height and width of the network's input."""
    logits = net(pixel_values=imagenet(stretch(crops, *size))).logits.float()     # [B,C,h/4,w/4]
    order = label_ids(net).long().argsort().to(logits.device)
    return F.interpolate(torch.index_select(logits, 1, order), crops.shape[2:], mode="bilinear",
                         align_corners=False)
