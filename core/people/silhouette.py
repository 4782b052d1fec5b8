"""A body drawn around a pose: tapered capsules, in proportion to the bones.

Lengths and radii are those of a clothed adult of 1.73 m; the pose tells how many pixels a metre is.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ..pose import JOINTS, Pose

# Bones that tell the scale: two joints and their distance in metres.
_BONES = (("right_shoulder", "left_shoulder", .336), ("right_hip", "left_hip", .176),
          ("neck", "right_hip", .475), ("neck", "left_hip", .475), ("nose", "neck", .25),
          ("right_shoulder", "right_elbow", .275), ("left_shoulder", "left_elbow", .275),
          ("right_elbow", "right_wrist", .245), ("left_elbow", "left_wrist", .245),
          ("right_hip", "right_knee", .425), ("left_hip", "left_knee", .425),
          ("right_knee", "right_ankle", .405), ("left_knee", "left_ankle", .405))
_EYES_AND_EARS = (("right_eye", "left_eye", .065), ("right_ear", "left_ear", .16), ("nose", "right_ear", .13),
                  ("nose", "left_ear", .13))

# The bone to go on from (to nowhere: straight down), and the next one with its length in metres.
_LIMBS = ((None, "shoulder", "elbow", .275), ("shoulder", "elbow", "wrist", .245),
          (None, "hip", "knee", .425), ("hip", "knee", "ankle", .405))

# Capsules between points of `_landmarks`: radius in metres at the start and at the end.
_CAPSULES = (
    ("chin", "crown", .105, .125), ("neck", "chin", .060, .060),
    ("right_shoulder", "left_shoulder", .055, .055), ("neck", "hips", .120, .115),
    ("right_shoulder", "right_hip", .030, .075), ("left_shoulder", "left_hip", .030, .075),
    ("right_shoulder", "right_elbow", .070, .050), ("left_shoulder", "left_elbow", .070, .050),
    ("right_elbow", "right_wrist", .045, .040), ("left_elbow", "left_wrist", .045, .040),
    ("right_wrist", "right_hand", .035, .035), ("left_wrist", "left_hand", .035, .035),
    ("right_hip", "right_knee", .105, .065), ("left_hip", "left_knee", .105, .065),
    ("right_knee", "right_ankle", .065, .055), ("left_knee", "left_ankle", .065, .055),
    ("right_ankle", "right_toes", .055, .035), ("left_ankle", "left_toes", .055, .035))
_BLEND = 0.03                                              # metres over which two capsules melt together
_LEAST_SCALE = 0.1                                         # pixels per metre below which there is no body
HEIGHT = 1.73                                              # metres
ALL = slice(None)


class Silhouette:
    """`scale`: pixels per metre, 0 when the pose has no bone; that of another pose of the same person can be
    given instead of measuring this one.

    `capsules`: [K,6] x, y of the start and of the end, and the radius at either, in pixels.
    """

    def __init__(self, pose: Pose, scale: float | None = None) -> None:
        points = torch.where(pose.present[:, None], pose.keypoints, torch.nan)
        joints = dict(zip(JOINTS, points, strict=True))
        self.scale = _pixels_per_metre(joints) if scale is None else scale
        landmarks = _landmarks(joints, self.scale, torch.tensor([pose.width, pose.height]))
        rows = [torch.cat([landmarks[a], landmarks[b], torch.tensor([ra, rb]) * self.scale])
                for a, b, ra, rb in _CAPSULES]
        capsules = torch.stack(rows)
        self.capsules = capsules[torch.isfinite(capsules).all(1) & (self.scale > _LEAST_SCALE)]

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(x0, y0, x1, y1) in pixels of all capsules, None when there are none."""
        if not len(self.capsules):
            return None
        ends = torch.cat([self.capsules[:, :2], self.capsules[:, 2:4]])                    # [2K,2]
        reach = self.capsules[:, 4:].amax() + _BLEND * self.scale
        (x0, y0), (x1, y1) = (ends.amin(0) - reach).tolist(), (ends.amax(0) + reach).tolist()
        return x0, y0, x1, y1

    def distance(self, y: Tensor, x: Tensor, chosen: Tensor | slice = ALL) -> Tensor:
        """[h,w] metres to the outline, negative inside, at rows `y` [h] and columns `x` [w] in pixels.

        `chosen`: [K] bool, the capsules that count.
        """
        out = torch.full((len(y), len(x)), torch.inf)
        blend = _BLEND * self.scale
        for ax, ay, bx, by, start, end in self.capsules[chosen].tolist():
            dx, dy = bx - ax, by - ay
            px, py = x - ax, (y - ay)[:, None]
            along = ((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-6)).clamp(0, 1)        # [h,w] 0..1
            distance = torch.hypot(px - along * dx, py - along * dy) - start - along * (end - start)
            out = _smooth_minimum(out, distance, blend)
        return out / max(self.scale, _LEAST_SCALE)


def _smooth_minimum(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Polynomial smooth minimum: rounds the corner where two shapes meet."""
    overlap = (width - (a - b).abs()).clamp(min=0)
    return torch.minimum(a, b) - overlap.square() / (4 * width)


def _pixels_per_metre(joints: dict[str, Tensor]) -> float:
    """Foreshortening only ever makes bones look shorter, so one of the longest ratios is the scale."""
    for bones in (_BONES, _EYES_AND_EARS):
        lengths = torch.tensor([length for _, _, length in bones])
        ratios = torch.stack([(joints[a] - joints[b]).norm() for a, b, _ in bones]) / lengths
        ratios = ratios[torch.isfinite(ratios)]
        if len(ratios):
            return float(ratios.quantile(0.8))
    return 0.0


def _landmarks(joints: dict[str, Tensor], scale: float, picture: Tensor) -> dict[str, Tensor]:
    """The joints, missing ones of trunk and limbs guessed, with chin, crown, hips, hands and toes."""
    points = dict(joints)
    neck = _first(joints["neck"], _middle(joints["right_shoulder"], joints["left_shoulder"]))
    hips = _middle(joints["right_hip"], joints["left_hip"])
    head = _head_centre(joints)
    up = _first(_unit(head - neck), _unit(neck - hips), torch.tensor([0.0, -1.0]))
    neck, hips = _first(neck, hips + 0.47 * scale * up), _first(hips, neck - 0.47 * scale * up)
    head = _first(head, neck + 0.24 * scale * up)
    across = _first(joints["left_shoulder"] - joints["right_shoulder"], torch.zeros(2)) / 4
    points.update(neck=neck, hips=hips, chin=head - 0.045 * scale * up, crown=head + 0.045 * scale * up,
                  right_hip=_first(joints["right_hip"], hips - across),
                  left_hip=_first(joints["left_hip"], hips + across))
    sideways = (joints["nose"] - head)[:1] / (0.09 * max(scale, _LEAST_SCALE))
    facing = _first(sideways, torch.zeros(1)).clamp(-1, 1)                         # [1] -1 left, 1 right
    for side in ("right", "left"):
        _extend_limbs(points, side, -up, scale, picture)
        wrist, ankle = points[f"{side}_wrist"], points[f"{side}_ankle"]
        points[f"{side}_hand"] = wrist + 0.10 * scale * _unit(wrist - points[f"{side}_elbow"])
        shin = _unit(ankle - points[f"{side}_knee"])
        forward = torch.stack([shin[1], -shin[0]]) * facing
        points[f"{side}_toes"] = ankle + scale * (0.06 * shin + 0.10 * forward)
    return points


def _extend_limbs(points: dict[str, Tensor], side: str, down: Tensor, scale: float, picture: Tensor) -> None:
    """A missing joint lies straight on if that is outside the picture: the limb is cut off by the border."""
    for before, start, end, length in _LIMBS:
        origin, joint = points[f"{side}_{start}"], f"{side}_{end}"
        direction = down if before is None else _unit(origin - points[f"{side}_{before}"])
        guess = origin + length * scale * direction
        if ((guess < 0) | (guess > picture)).any():
            points[joint] = _first(points[joint], guess)


def _head_centre(joints: dict[str, Tensor]) -> Tensor:
    """Between the ears; with one ear, from there towards the nose; else the eyes or the nose."""
    right, left, nose = joints["right_ear"], joints["left_ear"], joints["nose"]
    ears, eyes = _middle(right, left), _middle(joints["right_eye"], joints["left_eye"])
    return _first((right + left) / 2, 0.8 * ears + 0.2 * nose, ears, eyes, nose)


def _first(*candidates: Tensor) -> Tensor:
    """The first that is known; the last one if none is."""
    return next((c for c in candidates if torch.isfinite(c).all()), candidates[-1])


def _middle(a: Tensor, b: Tensor) -> Tensor:
    """Between two points, or the only known one."""
    return _first((a + b) / 2, a, b)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp(min=1e-6)
