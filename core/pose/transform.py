"""Poses moved, turned, mirrored and put on another canvas."""
from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .pose import Pose, PoseFrame
from .skeleton import MIRRORED

FITS = ("fit", "fill", "stretch")


def transform_pose(pose: Pose, centre: Tensor, *, scale: float = 1.0, rotation: float = 0.0, dx: float = 0.0,
                   dy: float = 0.0) -> Pose:
    """Scaled and turned about `centre` ([2] x, y in pixels, see `anchor_point`), then shifted by (dx, dy).

    `rotation`: degrees, clockwise as seen. The canvas stays; joints may leave it.
    """
    angle = math.radians(rotation)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]])
    shift = centre + torch.tensor([dx, dy])
    return replace(pose, keypoints=(pose.keypoints - centre) @ turn.T + shift)


def mirror_pose(pose: Pose, axis: float | None = None) -> Pose:
    """Left and right exchanged about the vertical line at x = `axis` (None: the middle of the canvas).

    The person's sides are exchanged with the picture's: a raised right arm becomes a raised left one, as in
    the mirrored photograph.
    """
    axis = pose.width / 2 if axis is None else axis
    keypoints = pose.keypoints[MIRRORED] * torch.tensor([-1.0, 1.0]) + torch.tensor([2 * axis, 0.0])
    return replace(pose, keypoints=keypoints, scores=pose.scores[MIRRORED])


def fit_pose(pose: Pose, width: int, height: int, fit: str = "fit") -> Pose:
    """The pose on a canvas of width x height.

    `fit`: "fit" shows the whole old canvas in the middle of the new one, "fill" covers the new one, both
    without distortion; "stretch" scales each axis by itself. Raises ValueError for another word.
    """
    if fit not in FITS:
        raise ValueError(f"fit should be one of {', '.join(FITS)}; got {fit!r}.")
    if fit == "stretch":
        return pose.scaled(width, height)
    choose = min if fit == "fit" else max
    scale = choose(width / pose.width, height / pose.height)
    margin = torch.tensor([width - scale * pose.width, height - scale * pose.height]) / 2
    return replace(pose, keypoints=pose.keypoints * scale + margin, width=width, height=height)


def fit_frame(frame: PoseFrame, width: int, height: int, fit: str = "fit") -> PoseFrame:
    """Everybody on a canvas of width x height, see `fit_pose`."""
    people = tuple(fit_pose(pose, width, height, fit) for pose in frame.people)
    return replace(frame, width=width, height=height, people=people)
