"""Putting a painted crop back into its picture."""
from __future__ import annotations

import torch
from torch import Tensor

from .crop import resize_bicubic, resize_nearest
from .person import PersonCrop


def paste_person(image: Tensor, result: Tensor, crop: PersonCrop, *, feather: float = 0.0) -> Tensor:
    """[3,H,W] 0..1: `image` with the hole of `crop` replaced by `result` [3,h,w] (clamped to 0..1).

    Every pixel outside the hole is bit-identical to `image`; new pixels are 8-bit steps, as published.
    `feather`: pixels of the picture over which the hole's rim fades from the picture into the result; 0 is the
    published hard edge. The fade never shows a pixel of the old person: it ends where the person begins.
    """
    box, (height, width) = crop.box, image.shape[1:]
    inside = box.clipped(height, width)
    rows, columns = slice(inside.y0 - box.y0, inside.y1 - box.y0), slice(inside.x0 - box.x0, inside.x1 - box.x0)
    pixels = resize_bicubic(result.float().clamp(0, 1) * 255, box.height, box.width)[:, rows, columns]
    painted = (pixels.round().clamp(0, 255) / 255).to(image)                               # [3,h',w']
    hole = resize_nearest(crop.mask, box.height, box.width)[:, rows, columns]              # [1,h',w']
    out = image.clone()
    window = out[:, inside.y0:inside.y1, inside.x0:inside.x1]
    if feather > 0:
        person = resize_nearest(crop.segmentation, box.height, box.width)[:, rows, columns]
        painted = torch.lerp(window, painted, _fade(hole, person, feather).to(image))
    window.copy_(torch.where(hole.to(image.device), painted, window))
    return out


def _fade(hole: Tensor, person: Tensor, feather: float) -> Tensor:
    """[1,h,w] share of the result: rises with the distance from the hole's rim, 1 on the person."""
    import cv2

    distance = cv2.distanceTransform(hole[0].byte().cpu().numpy(), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return torch.maximum(torch.from_numpy(distance)[None] / (feather + 1), person.cpu().float()).clamp(max=1)
