"""Cutting a person out at the network's size (TriA-GAN's pipeline)."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .person import CropBox, CropSettings, Person, PersonCrop


def crop_person(image: Tensor, person: Person, box: CropBox, settings: CropSettings) -> PersonCrop:
    """`image`: [3,H,W] 0..1. What lies outside the picture is black and not the person.

    As published, the picture counts in 8-bit steps, and a box smaller than the crop on both sides is enlarged by
    repeating pixels instead of interpolating. Raises ValueError when mask and picture differ in size.
    """
    if person.mask.shape != image.shape[1:]:
        raise ValueError(f"The person's mask is {_size(person.mask)} but the picture {_size(image)}; "
                         f"resize one of them.")
    size = settings.height, settings.width
    segmentation = resize_nearest(_cut(person.mask[None], box), *size)                    # [1,h,w]
    return PersonCrop(box, _crop_image(image, box, *size), _hole(segmentation, box, image, settings), segmentation,
                      _crop_keypoints(person.keypoints, box))


def _crop_image(image: Tensor, box: CropBox, height: int, width: int) -> Tensor:
    pixels = _cut((image.float() * 255).round(), box)
    # Published quirk: of a box that leaves the picture, only the part inside counts here.
    inside = box.clipped(*image.shape[1:])
    if inside.height < height and inside.width < width:
        pixels = resize_nearest(pixels, height, width)
    return resize_bicubic(pixels, height, width).round().clamp(0, 255) / 255


def _cut(planes: Tensor, box: CropBox) -> Tensor:
    """[C,H,W] -> [C,box height,box width], zero outside."""
    inside = box.clipped(*planes.shape[1:])
    out = planes.new_zeros(planes.shape[0], box.height, box.width)
    out[:, inside.y0 - box.y0:inside.y1 - box.y0, inside.x0 - box.x0:inside.x1 - box.x0] = \
        planes[:, inside.y0:inside.y1, inside.x0:inside.x1]
    return out


def _hole(segmentation: Tensor, box: CropBox, image: Tensor, settings: CropSettings) -> Tensor:
    """The person, dilated, but not into the part of the crop that lies outside the picture."""
    height, width = segmentation.shape[1:]
    hole = dilate(segmentation, int(math.sqrt(height * width) * settings.dilation))
    inside = box.clipped(*image.shape[1:])
    top, bottom = ((pad * height) // box.height for pad in (inside.y0 - box.y0, box.y1 - inside.y1))
    left, right = ((pad * width) // box.width for pad in (inside.x0 - box.x0, box.x1 - inside.x1))
    known = torch.zeros_like(hole)
    known[:, top:height - bottom, left:width - right] = True
    return hole & known


def dilate(mask: Tensor, radius: int) -> Tensor:
    """[C,H,W] bool grown by a disc: every offset with dx^2 + dy^2 <= radius^2."""
    offsets = torch.arange(-radius, radius + 1, device=mask.device)
    disc = (offsets[:, None] ** 2 + offsets ** 2 <= radius ** 2).float()
    hits = F.conv2d(mask[:, None].float(), disc[None, None], padding=radius)               # [C,1,H,W]
    return hits[:, 0] > 0.5


def _crop_keypoints(keypoints: Tensor, box: CropBox) -> Tensor:
    origin, size = torch.tensor([box.x0, box.y0]), torch.tensor([box.width, box.height])
    xy = (keypoints[:, :2].float().cpu() - origin) / size
    visible = (keypoints[:, 2].cpu() > 0) & ((xy >= 0) & (xy <= 1)).all(1)
    return torch.cat([xy, visible[:, None].float()], dim=1)


def resize_nearest(planes: Tensor, height: int, width: int) -> Tensor:
    """[C,H,W] resized with source = floor(i * in / out)."""
    rows = torch.arange(height, device=planes.device) * planes.shape[1] // height
    columns = torch.arange(width, device=planes.device) * planes.shape[2] // width
    return planes[:, rows[:, None], columns]


def resize_bicubic(planes: Tensor, height: int, width: int) -> Tensor:
    """[C,H,W] resized as Pillow does: bicubic, antialiased when shrinking; may overshoot."""
    if planes.shape[1:] == (height, width):
        return planes
    return F.interpolate(planes[None], (height, width), mode="bicubic", antialias=True)[0]


def _size(planes: Tensor) -> str:
    return f"{planes.shape[-1]}x{planes.shape[-2]}"
