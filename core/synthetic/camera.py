"""Perspective and orthographic views, and the framing of a figure.

View coordinates: x right, y down, z forward (depth), metres. Pixel centres lie at .5.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .geometry import RADIANS, normalise, rotate, vector
from .rng import Draws


@dataclass(frozen=True, eq=False)
class Camera:
    """One view per picture.

    `eye`: [B,3] world position. `turn`: [B,3,3] world -> view. `focal`: [B] pixels per metre, in
    perspective at a depth of 1 m. `centre`: [B,2] pixel of the view axis.
    """

    eye: Tensor
    turn: Tensor
    focal: Tensor
    centre: Tensor
    orthographic: bool = False

    def to_view(self, points: Tensor) -> Tensor:
        """World [B,K,3] -> view [B,K,3]."""
        return rotate(self.turn[:, None], points - self.eye[:, None])

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """World [B,K,3] -> pixels [B,K,2] and depth [B,K]."""
        view = self.to_view(points)
        depth = view[..., 2:3]
        scale = self.focal[:, None, None] / (1.0 if self.orthographic else depth.clamp(min=1e-3))
        return self.centre[:, None] + view[..., :2] * scale, view[..., 2]

    def select(self, index: Tensor | slice) -> Camera:
        return Camera(self.eye[index], self.turn[index], self.focal[index], self.centre[index],
                      self.orthographic)

    def scaled(self, factor: float) -> Camera:
        """The same view on a picture `factor` times as large."""
        return replace(self, focal=self.focal * factor, centre=self.centre * factor)


def look_along(forward: Tensor) -> Tensor:
    """[B,3] unit directions -> world -> view rotations [B,3,3] with the picture upright."""
    right = normalise(torch.linalg.cross(forward, vector(0, 1, 0, forward)))
    return torch.stack([right, torch.linalg.cross(forward, right), forward], 1)


def frame_camera(outline: Tensor, ids: Tensor, seed: int, height: int, width: int, *,
                 studio: bool = False, crops: float = 0.0) -> Camera:
    """A camera in front (+z) that fits each figure into the picture.

    `outline`: [B,K,3] world points that bound the figures. `crops`: share of pictures that zoom on the upper
    body.
    """
    draws = Draws(ids, seed, "camera")
    distance = draws.uniform("distance", 5, 6) if studio else draws.uniform("distance", 3.6, 7.5)
    elevation = (draws.uniform("elevation", 2, 6) if studio else draws.uniform("elevation", -1, 14)) * RADIANS
    forward = vector(0, -elevation.sin(), -elevation.cos(), elevation)
    eye = (outline.amin(1) + outline.amax(1)) * .5 - forward * distance[:, None]
    unit = Camera(eye, look_along(forward), torch.ones_like(distance), torch.zeros_like(eye[:, :2]))
    pixels, _ = unit.project(outline)
    low, high = pixels.amin(1), pixels.amax(1)                          # [B,2] at focal length 1
    extent = high - low
    focal = torch.minimum(draws.uniform("tall", .78, .93) * height / extent[:, 1],
                          draws.uniform("wide", .80, .94) * width / extent[:, 0])
    zoomed = draws.chance("crop", crops)
    portrait = draws.chance("portrait", .3)
    zoom = torch.where(portrait, draws.uniform("portrait zoom", 1.8, 2.4), draws.uniform("zoom", 1.25, 1.9))
    shown = torch.where(portrait, draws.uniform("portrait part", .40, .52), draws.uniform("part", .5, .7))
    focal = torch.where(zoomed, focal * zoom, focal)
    extent = torch.stack([extent[:, 0], torch.where(zoomed, extent[:, 1] * shown, extent[:, 1])], 1)
    size = extent.new_tensor([width, height])
    margin = ((size - focal[:, None] * extent) * .5).clamp(min=0)
    shift = torch.stack([draws.uniform("shift x", -.5, .5), draws.uniform("shift y", -.6, .6)], 1) * margin
    middle = low + extent * .5
    # A close view follows the nose, which is point 0, more than the middle of the arms.
    across = torch.where(zoomed, .6 * pixels[:, 0, 0] + .4 * middle[:, 0], middle[:, 0])
    middle = torch.stack([across, middle[:, 1]], 1)
    centre = size * .5 - focal[:, None] * middle + (0 if studio else 1) * shift
    return Camera(eye, unit.turn, focal, centre)
