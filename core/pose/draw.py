"""Stick figures in OpenPose's colours."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .pose import LIMBS, Pose, PoseFrame

# One hue per joint and per limb, red round to pink; limbs are drawn at 60 % brightness below the joints.
COLOURS = ((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
           (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
           (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85))
_LIMB_BRIGHTNESS = 0.6


def draw_poses(frame: PoseFrame, background: Tensor | None = None, *,
               line_width: float | None = None) -> Tensor:
    """[H,W,3] 0..1, antialiased: limbs as ellipses, joints as discs.

    `background`: [H,W,3] 0..1, not changed; the poses are scaled to its size. None: black, the frame's size.
    `line_width`: thickness of limbs and joints in pixels; None or 0: 1/64 of the shorter side, at least 3.
    """
    if background is None:
        picture = torch.zeros(frame.height, frame.width, 3)
    else:
        picture = background.float().clone()
        frame = frame.scaled(picture.shape[1], picture.shape[0])
    radius = (line_width or max(3.0, min(picture.shape[:2]) / 64)) / 2
    for pose in frame.people:
        _draw_pose(picture, pose, radius)
    return picture


def _draw_pose(picture: Tensor, pose: Pose, radius: float) -> None:
    points, present = pose.keypoints.tolist(), pose.present.tolist()
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if present[start] and present[end]:
            (ax, ay), (bx, by) = points[start], points[end]
            half = max(math.hypot(bx - ax, by - ay) / 2, radius / 2)
            _ellipse(picture, ((ax + bx) / 2, (ay + by) / 2), (half, radius), math.atan2(by - ay, bx - ax),
                     [_LIMB_BRIGHTNESS * c for c in colour])
    for point, here, colour in zip(points, present, COLOURS, strict=True):
        if here:
            _ellipse(picture, point, (radius, radius), 0.0, colour)


def _ellipse(picture: Tensor, centre: Sequence[float], half_axes: tuple[float, float], angle: float,
             colour: Sequence[float]) -> None:
    """Blends a filled ellipse into `picture` in place, one pixel of softness at its rim. `colour`: 0..255."""
    a, b = half_axes
    cos, sin = math.cos(angle), math.sin(angle)
    reach_x, reach_y = math.hypot(a * cos, b * sin) + 1, math.hypot(a * sin, b * cos) + 1
    x0, x1 = _pixel_range(centre[0], reach_x, picture.shape[1])
    y0, y1 = _pixel_range(centre[1], reach_y, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    x = torch.arange(x0, x1, device=picture.device) + 0.5 - centre[0]
    y = (torch.arange(y0, y1, device=picture.device) + 0.5 - centre[1])[:, None]
    u, v = (x * cos + y * sin) / a, (y * cos - x * sin) / b          # [h,w], the rim is at u^2 + v^2 = 1
    level = torch.hypot(u, v)
    # First-order distance to the rim: level - 1 over the length of its gradient; the middle has no gradient.
    slope = (torch.hypot(u / a, v / b) / level.clamp(min=1e-6)).clamp(min=1 / max(a, b))
    coverage = (0.5 - (level - 1) / slope).clamp(0, 1)[..., None]
    ink = torch.tensor(colour, device=picture.device) / 255
    picture[y0:y1, x0:x1].lerp_(ink.expand(y1 - y0, x1 - x0, 3), coverage)


def _pixel_range(centre: float, reach: float, size: int) -> tuple[int, int]:
    """Pixels within `reach` of `centre`, cut to the picture (an empty range when outside)."""
    start, end = max(0.0, centre - reach), min(float(size), centre + reach)
    return (math.floor(start), math.ceil(end)) if start < end else (0, 0)
