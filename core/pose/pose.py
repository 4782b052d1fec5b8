"""A person's pose: 18 OpenPose joints on a canvas."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

# "Right" is the person's right.
JOINTS = ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
          "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
          "right_eye", "left_eye", "right_ear", "left_ear")

# Pairs of joints, in OpenPose's drawing order.
LIMBS = ((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
         (1, 0), (0, 14), (14, 16), (0, 15), (15, 17))


@dataclass(frozen=True, eq=False)
class Pose:
    """One person.

    `keypoints`: [18,2] x (right) and y (down) in pixels of the canvas, pixel centres at .5; may lie outside.
    `scores`: [18] confidence 0..1, 0 = missing (its coordinates are then stored as 0).
    `width`, `height`: the canvas. Hands, face and feet of a POSE_KEYPOINT are not part of it.
    """

    keypoints: Tensor
    scores: Tensor
    width: int
    height: int

    def __post_init__(self) -> None:
        keypoints = self.keypoints.detach().float().cpu()
        scores = self.scores.detach().float().cpu()
        if keypoints.shape != (len(JOINTS), 2) or scores.shape != (len(JOINTS),):
            raise ValueError(f"A pose needs keypoints [18,2] and scores [18]; "
                             f"got {list(keypoints.shape)} and {list(scores.shape)}.")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"A pose needs a canvas of at least one pixel; got {self.width}x{self.height}.")
        present = (scores > 0) & torch.isfinite(keypoints).all(1)
        object.__setattr__(self, "keypoints", torch.where(present[:, None], keypoints, 0.0))
        object.__setattr__(self, "scores", torch.where(present, scores.clamp(max=1), 0.0))

    def __repr__(self) -> str:
        return f"<Pose {int(self.present.sum())}/{len(JOINTS)} joints on {self.width}x{self.height}>"

    @classmethod
    def empty(cls, width: int, height: int) -> Pose:
        """Nobody: all joints missing. It keeps the place of a person who is not seen for a while."""
        return cls(torch.zeros(len(JOINTS), 2), torch.zeros(len(JOINTS)), width, height)

    @property
    def present(self) -> Tensor:
        """[18] bool."""
        return self.scores > 0

    def scaled(self, width: int, height: int) -> Pose:
        """The same pose on another canvas, each axis stretched by itself."""
        factor = torch.tensor([width / self.width, height / self.height])
        return replace(self, keypoints=self.keypoints * factor, width=width, height=height)

    def moved(self, dx: float, dy: float) -> Pose:
        """Shifted by (dx, dy) pixels on the same canvas."""
        return replace(self, keypoints=self.keypoints + torch.tensor([dx, dy]))

    def cropped(self, x0: int, y0: int, width: int, height: int) -> Pose:
        """As seen from the window with its corner at (x0, y0); joints outside the window stay present."""
        return replace(self.moved(-x0, -y0), width=width, height=height)

    def box(self) -> tuple[float, float, float, float] | None:
        """Tight (x0, y0, x1, y1) of the present joints, None when there are none."""
        points = self.keypoints[self.present]
        if not len(points):
            return None
        (x0, y0), (x1, y1) = points.amin(0).tolist(), points.amax(0).tolist()
        return x0, y0, x1, y1


@dataclass(frozen=True, eq=False)
class PoseFrame:
    """Everybody in one picture. `note` says, for the person who reads it, why nobody could be read."""

    width: int
    height: int
    people: tuple[Pose, ...] = ()
    note: str = ""

    def __repr__(self) -> str:
        return f"<PoseFrame {len(self.people)} people on {self.width}x{self.height}>"

    def scaled(self, width: int, height: int) -> PoseFrame:
        people = tuple(pose.scaled(width, height) for pose in self.people)
        return replace(self, width=width, height=height, people=people)
