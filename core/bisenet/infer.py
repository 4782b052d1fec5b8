"""Head squares -> face regions."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ..image import imagenet, stretch
from ..regions import face_ids

SIDE = 512
# BiSeNet numbers the 19 regions in another order than CelebAMask-HQ.
REGIONS = ("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
           "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat")


def face_scores(net: nn.Module, squares: Tensor) -> Tensor:
    """`squares` [B,3,h,w] 0..1 -> logits [B,19,512,512] in the order of `core.regions.FACE_REGIONS`."""
    logits = net(imagenet(stretch(squares, SIDE, SIDE))).float()
    order = face_ids(REGIONS).long().argsort().to(logits.device)
    return torch.index_select(logits, 1, order)
