"""Person boxes -> what ViTPose sees, and back; the same numbers as the published processor's."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import imagenet

HEIGHT, WIDTH = 256, 192
_PADDING = 1.25


def grow(boxes: Tensor) -> Tensor:
    """[N,4] x0, y0, x1, y1 -> [N,4] middle x and y, width and height at ViTPose's aspect, with some air."""
    low, high = boxes[:, :2], boxes[:, 2:]
    width, height = (high - low).T
    aspect = WIDTH / HEIGHT
    size = torch.stack([torch.maximum(width, height * aspect), torch.maximum(height, width / aspect)], 1)
    return torch.cat([(low + high) / 2, size * _PADDING], 1)


def crop(picture: Tensor, grown: Tensor) -> Tensor:
    """[3,H,W] 0..1 and boxes of `grow` [N,4] -> [N,3,256,192], rounded to 8 bit and ImageNet-normalised.

    Corners map to corners; bilinear; what lies beyond the middles of the outermost pixels is black.
    """
    height, width = picture.shape[1:]
    x, y = (grown[:, i, None] + grown[:, i + 2, None] * torch.linspace(-0.5, 0.5, count).to(picture)
            for i, count in enumerate((WIDTH, HEIGHT)))                           # [N,192], [N,256]
    inside = ((y >= 0) & (y <= height - 1))[:, :, None] & ((x >= 0) & (x <= width - 1))[:, None, :]
    places = torch.stack([(x * (2 / max(1, width - 1)) - 1)[:, None, :].expand(-1, HEIGHT, -1),
                          (y * (2 / max(1, height - 1)) - 1)[:, :, None].expand(-1, -1, WIDTH)], -1)
    column = places.flatten(0, 1)[None]                                           # [1,N*256,192,2]
    pixels = F.grid_sample(picture[None] * 255, column, "bilinear", "border", align_corners=True)
    pixels = pixels[0].unflatten(1, (len(grown), HEIGHT)).movedim(1, 0)           # [N,3,256,192]
    return imagenet((pixels * inside[:, None] + 0.5).floor() / 255)


def to_picture(cells: Tensor, grown: Tensor, height: int, width: int) -> Tensor:
    """[N,J,2] x, y in cells of heat maps [height,width] -> in the picture, whole numbers = middles."""
    share = cells / torch.tensor([width - 1, height - 1]).to(cells)
    return grown[:, None, :2] + (share - 0.5) * grown[:, None, 2:]
