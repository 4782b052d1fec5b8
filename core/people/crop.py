"""Cutting a person out at the network's size (TriA-GAN's pipeline)."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import distance_to
from .person import CropBox, CropSettings, Person, PersonCrop


def crop_person(image: Tensor, person: Person, box: CropBox, settings: CropSettings) -> PersonCrop:
    """`image`: [3,H,W] 0..1. What lies outside the picture is black and not the person.

    As published, the picture counts in 8-bit steps, and a box smaller than the crop on both sides is enlarged
    by repeating pixels instead of interpolating. Raises ValueError when mask and picture differ in size.
    """
    if person.mask.shape != image.shape[1:]:
        raise ValueError(f"The person's mask is {_size(person.mask)} but the picture {_size(image)}; "
                         f"resize one of them.")
    return crop_onto(crop_picture(image, box, settings), person, box, settings)


def crop_onto(pixels: Tensor, person: Person, box: CropBox, settings: CropSettings) -> PersonCrop:
    """As `crop_person`, on what `crop_picture` made: a picture that several share is cut only once."""
    size = settings.height, settings.width
    segmentation = resize_nearest(_cut(person.mask[None], box).float(), *size)             # [1,h,w]
    hole = _hole(segmentation, box, person.mask.shape, settings)
    inside = box.clipped(*person.mask.shape)
    outline = person.mask[None, inside.y0:inside.y1, inside.x0:inside.x1]                  # [1,h',w']
    return PersonCrop(box, pixels, hole, segmentation, _crop_keypoints(person.keypoints, box), outline)


def crop_picture(image: Tensor, box: CropBox, settings: CropSettings) -> Tensor:
    """[3,H,W] 0..1 -> what is in the box, [3,h,w] at the network's size."""
    height, width = settings.height, settings.width
    pixels = (_cut(image, box).float() * 255).round()
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


def _hole(segmentation: Tensor, box: CropBox, picture: Sequence[int], settings: CropSettings) -> Tensor:
    """The person, dilated, but not into the part of the crop that lies outside the picture."""
    height, width = segmentation.shape[1:]
    hole = dilate(segmentation, int(math.sqrt(height * width) * settings.dilation))
    rows = _inner_range(box.y0, box.y1, picture[0], height)
    columns = _inner_range(box.x0, box.x1, picture[1], width)
    out = torch.zeros_like(hole)
    out[:, rows, columns] = hole[:, rows, columns]
    return out


def _inner_range(start: int, end: int, limit: int, size: int) -> slice:
    """Of `size` crop pixels along one axis of a box, those not in the part before 0 or after `limit`."""
    before, after = max(0, -start), max(0, end - limit)
    return slice(before * size // (end - start), max(0, size - after * size // (end - start)))


def dilate(mask: Tensor, radius: int) -> Tensor:
    """[1,H,W] 0 or 1, grown by a disc: every offset with dx^2 + dy^2 <= radius^2."""
    return (distance_to(mask > 0) < radius + 1e-3).to(mask)


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
