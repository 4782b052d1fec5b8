"""Handles, targets and the ways between them, drawn on a picture."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ..image import resize

SIDE = 512                                                # smaller pictures are enlarged about to this
_RED, _BLUE, _WHITE, _DARK = (235, 50, 45), (40, 110, 245), (255, 255, 255), (25, 25, 30)
_SUBPIXEL = 4                                             # bits behind the point, for OpenCV


def draw_drag(picture: Tensor, handles: Tensor, targets: Tensor) -> Tensor:
    """[H,W,3] 0..1 -> at least about 512 pixels high or wide: red handles, blue targets, white arrows.

    `handles`, `targets`: [N,2] each, x and y in pixels of `picture`, whose centres are whole numbers.
    """
    import cv2

    height, width = picture.shape[:2]
    scale = max(1, round(SIDE / max(height, width)))
    large = resize(picture.detach().float().cpu().movedim(-1, 0)[None], height * scale, width * scale)[0]
    canvas = (large.movedim(0, -1).clamp(0, 1) * 255).round().byte().contiguous().numpy()
    unit = max(1, max(canvas.shape) // 256)               # pixels, of the finest line
    ways = [[(xy + 0.5) * scale - 0.5 for xy in way]
            for way in torch.cat([handles, targets], 1).tolist()]

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * 2**_SUBPIXEL), round(y * 2**_SUBPIXEL)

    def disc(x: float, y: float, colour: tuple[int, int, int]) -> None:
        for radius, ink in ((5 * unit, _DARK), (4.5 * unit, _WHITE), (3.3 * unit, colour)):
            cv2.circle(canvas, at(x, y), at(radius, 0)[0], ink, -1, cv2.LINE_AA, _SUBPIXEL)

    for x, y, to_x, to_y in ways:
        length = math.hypot(to_x - x, to_y - y) - 6 * unit                # ends short of the target's disc
        if length > 8 * unit:
            share = length / (length + 6 * unit)
            tip = at(x + share * (to_x - x), y + share * (to_y - y))
            for thickness, ink in ((3 * unit, _DARK), (2 * unit, _WHITE)):
                cv2.arrowedLine(canvas, at(x, y), tip, ink, thickness, cv2.LINE_AA, _SUBPIXEL,
                                min(0.5, 9 * unit / length))
    for x, y, to_x, to_y in ways:
        disc(to_x, to_y, _BLUE)
        disc(x, y, _RED)
    return torch.from_numpy(canvas).float() / 255
