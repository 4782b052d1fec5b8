"""Putting a painted crop back into its picture."""
from __future__ import annotations

import torch
from torch import Tensor

from ..image import distance_to
from .crop import resize_bicubic, resize_nearest
from .person import PersonCrop


def paste_person(image: Tensor, result: Tensor, crop: PersonCrop, *, feather: float = 0.0) -> Tensor:
    """[3,H,W] 0..1: `image` with the hole of `crop` replaced by `result` [3,h,w] (clamped to 0..1).

    Every pixel outside the hole is bit-identical to `image`; painted ones are 8-bit steps, as published.
    `feather`: pixels of the picture over which the rim of the hole fades from the picture into the result; 0:
    the published hard edge. The fade ends at the person's outline: nothing of the old person shines through.
    """
    box, (height, width) = crop.box, image.shape[1:]
    inside = box.clipped(height, width)
    rows = slice(inside.y0 - box.y0, inside.y1 - box.y0)
    columns = slice(inside.x0 - box.x0, inside.x1 - box.x0)
    pixels = resize_bicubic(result.float().clamp(0, 1) * 255, box.height, box.width)[:, rows, columns]
    painted = (pixels.round().clamp(0, 255) / 255).to(image)                               # [3,h',w']
    hole = resize_nearest(crop.mask, box.height, box.width)[:, rows, columns].to(image.device) > 0.5
    out = image.clone()
    window = out[:, inside.y0:inside.y1, inside.x0:inside.x1]
    if feather > 0:
        share = _fade(hole, crop.outline.to(image.device), feather)
        painted = torch.lerp(window, painted, share.to(image))
    window.copy_(torch.where(hole, painted, window))
    return out


def _fade(hole: Tensor, person: Tensor, feather: float) -> Tensor:
    """[1,h,w] bool each -> share of the result, rising from the hole's rim to 1 at the person, or sooner."""
    to_rim = distance_to(~hole)
    length = (to_rim + distance_to(person)).clamp(max=feather + 1)
    return (to_rim / length).clamp(max=1).masked_fill(person | to_rim.isinf(), 1)
