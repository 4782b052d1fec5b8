"""Who of the people in a frame: sorted, chosen, filtered, put together."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from .distance import oks
from .pose import Pose, PoseFrame

ORDERS = ("left_to_right", "size", "confidence", "index")


def person_size(pose: Pose) -> float:
    """Pixels along the diagonal of the joints' box; 0 for nobody."""
    x0, y0, x1, y1 = pose.box() or (0.0,) * 4
    return math.hypot(x1 - x0, y1 - y0)


def person_score(pose: Pose) -> float:
    """Mean score of the present joints; 0 for nobody."""
    return float(pose.scores.sum() / pose.present.sum().clamp(min=1))


def sort_people(frame: PoseFrame, order: str) -> PoseFrame:
    """`order`: left_to_right by the middle of the joints' box; size and confidence the largest first; index
    leaves everybody where they are. Equals keep their order, people without joints come last. Raises
    ValueError for another word."""
    keys = {"left_to_right": _middle, "size": lambda pose: -person_size(pose),
            "confidence": lambda pose: -person_score(pose), "index": lambda pose: 0.0}
    if order not in keys:
        raise ValueError(f"order should be one of {', '.join(ORDERS)}; got {order!r}.")
    return replace(frame, people=tuple(sorted(frame.people, key=keys[order])))


def select_person(frame: PoseFrame, index: int, order: str = "left_to_right") -> Pose | None:
    """Person `index` of the sorted frame; negative numbers count from the end. None when they are fewer."""
    people = sort_people(frame, order).people
    return people[index] if -len(people) <= index < len(people) else None


def filter_joints(pose: Pose, minimum_score: float) -> Pose:
    """Joints below the score become missing."""
    return replace(pose, scores=torch.where(pose.scores >= minimum_score, pose.scores, 0.0))


def filter_people(frame: PoseFrame, *, minimum_joints: int = 1, minimum_score: float = 0.0,
                  minimum_size: float = 0.0) -> PoseFrame:
    """Only people with so many joints, such a mean score (0..1) and such a size (pixels, `person_size`)."""
    return replace(frame, people=tuple(
        pose for pose in frame.people
        if int(pose.present.sum()) >= minimum_joints and person_score(pose) >= minimum_score
        and person_size(pose) >= minimum_size))


def merge_frames(frames: Sequence[PoseFrame], *, similarity: float = 0.9) -> PoseFrame:
    """Everybody of all frames (at least one) on the first one's canvas, each person once.

    Two poses with an OKS above `similarity` are one person found twice: the pose with the larger sum of
    scores stays, in the first one's place.
    """
    first = frames[0]
    people = [pose for frame in frames for pose in frame.scaled(first.width, first.height).people]
    alike = torch.fmax(oks(people, people), oks(people, people).T) > similarity      # [N,N]; NaN: not alike
    kept: dict[int, Pose] = {}
    for i, pose in enumerate(people):
        place = next((k for k in kept if alike[k, i]), i)
        kept[place] = max(kept.get(place, pose), pose, key=lambda p: float(p.scores.sum()))
    return replace(first, people=tuple(kept.values()))


def _middle(pose: Pose) -> float:
    box = pose.box()
    return math.inf if box is None else (box[0] + box[2]) / 2
