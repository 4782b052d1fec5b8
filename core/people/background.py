"""What may have been behind a person: the hole they leave, closed from its rim inwards (Telea 2004)."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import tight_box
from .crop import dilate
from .frame import GREY
from .person import CropBox

_SIDE = 256                                               # larger holes are closed at reduced size
_AROUND = 0.15                                            # of the hole's size, what is looked at beside it
_RIM = 0.02                                               # of the person's size, what goes with them
_REACH = 5                                                # pixels that Telea's method looks back


def without_person(picture: Tensor, mask: Tensor) -> Tensor:
    """[3,H,W] 0..1 with the person of the mask [H,W] bool, and a rim, replaced by what is around them."""
    box = tight_box(mask)
    if box is None:
        return picture
    rim = 1 + math.ceil(_RIM * math.sqrt(box.height * box.width))
    return fill_hole(picture, dilate(mask[None].float(), rim)[0] > 0)


def fill_hole(picture: Tensor, hole: Tensor) -> Tensor:
    """[3,H,W] 0..1; outside the hole [H,W] bool bit-identical. A picture that is all hole becomes grey."""
    box = tight_box(hole)
    if box is None:
        return picture
    if hole.all():
        return torch.full_like(picture, GREY)
    margin = 2 + math.ceil(_AROUND * max(box.height, box.width))
    box = CropBox(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin).clipped(*hole.shape)
    filled = picture.clone()
    window = filled[:, box.y0:box.y1, box.x0:box.x1]
    inside = hole[box.y0:box.y1, box.x0:box.x1]
    window.copy_(torch.where(inside, _closed(window, inside), window))
    return filled


def _closed(picture: Tensor, hole: Tensor) -> Tensor:
    """[3,h,w], right in the hole only."""
    import cv2

    height, width = hole.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    known = (~hole).float()[None]
    small = F.interpolate(torch.cat([picture * known, known])[None], size, mode="bilinear", antialias=True,
                          align_corners=False)[0]
    colours = (small[:3] / small[3].clamp(min=1e-3)).clamp(0, 1)
    pixels = (colours * 255).round().byte().movedim(0, -1).contiguous().numpy()
    closed = cv2.inpaint(pixels, (small[3] < 0.5).byte().numpy(), _REACH, cv2.INPAINT_TELEA)
    result = torch.from_numpy(closed).movedim(-1, 0).float() / 255
    return F.interpolate(result[None], (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)
