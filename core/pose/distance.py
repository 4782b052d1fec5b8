"""How far two poses are apart: OKS (COCO) and PCK."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .assignment import assign
from .pose import Pose
from .skeleton import HIPS, NECK, SHOULDERS

# COCO's spread of each joint among annotators, in roots of the person's area. It has no neck: as a shoulder.
SIGMAS = torch.tensor([.026, .079, .079, .072, .062, .079, .072, .062, .107, .087, .089, .107, .087, .089,
                       .025, .025, .035, .035])
UNITS = ("torso", "head", "box", "pixels")
_PERSON_IN_BOX = 0.53                                      # share of the joints' box that is person
_THINNEST = 0.1                                            # boxes count as at least this share of a square
_NOSE = 0
_ENOUGH = 3                                                # joints below which nothing can be said


@dataclass(frozen=True)
class Likeness:
    """Of reference person `number` to the person `other` who is most likely the same, None = not found.

    Both scores are 0..1; `pck` is NaN where the reference has nothing to measure by.
    """

    number: int
    other: int | None
    oks: float
    pck: float


def oks(references: Sequence[Pose], others: Sequence[Pose], *, minimum_common: int = _ENOUGH) -> Tensor:
    """[R,O] object keypoint similarity, 0..1, over the joints that both have.

    mean of exp(-d^2 / (2 s^2 k^2)), k = 2 sigma, s^2 the reference's area. Pairs with fewer than
    `minimum_common` common joints are NaN: nothing can be said. All on one canvas.
    """
    if not references or not others:
        return torch.zeros(len(references), len(others))
    a, b = (torch.stack([pose.keypoints for pose in poses]) for poses in (references, others))
    common = _present(references)[:, None] & _present(others)[None]                  # [R,O,18]
    squared = (a[:, None] - b[None]).square().sum(-1)                                # [R,O,18]
    area = torch.tensor([_area(pose) for pose in references])[:, None, None]
    similarity = torch.exp(-squared / (2 * area * (2 * SIGMAS).square()))
    count = common.sum(-1)
    return torch.where(count >= minimum_common, (similarity * common).sum(-1) / count, torch.nan)


def pck(reference: Pose, other: Pose, *, threshold: float = 0.2, unit: str = "torso") -> float:
    """Percentage of correct keypoints, as a share 0..1: joints of the reference that the other has within
    `threshold` times `unit_length`; missing ones are wrong. NaN when the reference offers nothing to
    measure."""
    asked = reference.present
    distance = (reference.keypoints - other.keypoints).norm(dim=1)
    reach = threshold * unit_length(reference, unit)
    if not asked.any() or math.isnan(reach):
        return math.nan
    return float((other.present & (distance <= reach))[asked].float().mean())


def unit_length(pose: Pose, unit: str) -> float:
    """Pixels of one of UNITS; NaN when its joints are missing.

    torso: from a shoulder to the opposite hip, mean of both diagonals; head: from neck to nose, about the
    height of a head; box: the longer side of the joints' box; pixels: 1. Raises ValueError for another name.
    """
    if unit not in UNITS:
        raise ValueError(f"unit should be one of {', '.join(UNITS)}; got {unit!r}.")
    if unit == "pixels":
        return 1.0
    if unit == "box":
        x0, y0, x1, y1 = pose.box() or (math.nan,) * 4
        return max(x1 - x0, y1 - y0)
    pairs = [(NECK, _NOSE)] if unit == "head" else list(zip(SHOULDERS, reversed(HIPS), strict=True))
    lengths = [math.dist(pose.keypoints[a].tolist(), pose.keypoints[b].tolist()) for a, b in pairs
               if pose.present[a] and pose.present[b]]
    return sum(lengths) / len(lengths) if lengths else math.nan


def match_people(references: Sequence[Pose], others: Sequence[Pose], *,
                 minimum: float = 0.0) -> list[tuple[int, int]]:
    """Pairs (reference, other) of the same person: the pairing of largest total OKS, pairs at or below
    `minimum` left out."""
    return assign(torch.nan_to_num(oks(references, others)), minimum)


def compare_people(references: Sequence[Pose], others: Sequence[Pose], *, threshold: float = 0.2,
                   unit: str = "torso") -> list[Likeness]:
    """How near `others` come to every reference with at least 3 joints; who is not found scores 0. All on one
    canvas. See `match_people`, `oks` and `pck`."""
    similarity, found = oks(references, others), dict(match_people(references, others))
    return [Likeness(i, None, 0.0, 0.0) if i not in found else
            Likeness(i, found[i], float(similarity[i, found[i]]),
                     pck(pose, others[found[i]], threshold=threshold, unit=unit))
            for i, pose in enumerate(references) if int(pose.present.sum()) >= _ENOUGH]


def _present(poses: Sequence[Pose]) -> Tensor:
    return torch.stack([pose.present for pose in poses])                             # [N,18]


def _area(pose: Pose) -> float:
    """Pixels the person covers, from the box of the joints; people seen edge-on have some width, too."""
    x0, y0, x1, y1 = pose.box() or (0.0,) * 4
    longer = max(x1 - x0, y1 - y0, 1.0)
    return _PERSON_IN_BOX * max((x1 - x0) * (y1 - y0), _THINNEST * longer * longer)
