"""A joint is taken to a place and the limb follows: inverse kinematics in the plane.

Positions are complex numbers here, x + iy, in pixels, y down.
"""
from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from .pose import JOINTS, Pose
from .skeleton import HIPS, MIRRORED, NECK, SHOULDERS

_ARMS, _LEGS = (tuple(tuple(JOINTS.index(f"{side}_{name}") for name in names) for side in ("right", "left"))
                for names in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")))
_TRUNK = (NECK, *SHOULDERS, *HIPS)
_HEAD = tuple(i for i, name in enumerate(JOINTS) if name.endswith(("nose", "eye", "ear")))
_STRAIGHT = 0.5                                            # sine of the bend below which it may change sides


def reach(pose: Pose, goals: Mapping[int, Sequence[float]]) -> Pose:
    """The pose with the joints `goals`, number in JOINTS -> x, y in pixels, as near there as the body lets.

    A wrist or ankle bends its limb, an elbow or knee takes along what hangs on it, the head turns about the
    neck. Neck, shoulders and hips take the whole person along, but feet stay where they stand as long as the
    legs reach. Bones get shorter, as in a limb that turns towards us, but longer only up to the length of the
    other side's. Goals of missing joints do not count.
    """
    old, present = [complex(*point) for point in pose.keypoints.tolist()], pose.present.tolist()
    wanted = {joint: complex(*goal) for joint, goal in goals.items() if present[joint]}
    pulls = [wanted[joint] - old[joint] for joint in _TRUNK if joint in wanted]
    shift = sum(pulls) / len(pulls) if pulls else 0j
    new = [point + shift for point in old]
    _turn_head(old, new, wanted, present)
    for limb in (*_ARMS, *_LEGS):
        if all(present[joint] for joint in limb):
            if pulls and limb in _LEGS and not wanted.keys() & set(limb[1:]):
                wanted[limb[2]] = old[limb[2]]
            _move_limb(limb, old, new, wanted, present)
        else:                                              # nothing to measure: joints go by themselves
            for joint in wanted.keys() & set(limb[1:]):
                new[joint] = wanted[joint]
    moved = torch.view_as_real(torch.tensor(new, dtype=torch.complex128))
    return replace(pose, keypoints=moved.float())


def _turn_head(old: Sequence[complex], new: list[complex], wanted: Mapping[int, complex],
               present: Sequence[bool]) -> None:
    held = [joint for joint in _HEAD if joint in wanted]
    if not held or not present[NECK]:
        return
    before = sum(old[joint] - old[NECK] for joint in held)
    after = sum(wanted[joint] - new[NECK] for joint in held)
    turn = cmath.rect(1, cmath.phase(after) - cmath.phase(before))
    for joint in _HEAD:
        new[joint] = new[NECK] + turn * (old[joint] - old[NECK])


def _move_limb(limb: tuple[int, ...], old: Sequence[complex], new: list[complex],
               wanted: Mapping[int, complex], present: Sequence[bool]) -> None:
    """Sets the middle and the end of a limb whose root is in its new place."""
    root, middle, end = limb
    upper, lower = old[middle] - old[root], old[end] - old[middle]
    longest = [max(abs(old[b] - old[a]) for a, b in ((start, stop), (MIRRORED[start], MIRRORED[stop]))
                   if present[a] and present[b])
               for start, stop in ((root, middle), (middle, end))]
    if middle in wanted:
        new[middle] = new[root] + _limited(wanted[middle] - new[root], longest[0])
        new[end] = new[middle] + lower
        if end in wanted:
            new[end] = new[middle] + _limited(wanted[end] - new[middle], longest[1])
    elif end in wanted:
        way = _limited(wanted[end] - new[root], sum(longest)) or (upper + lower) * 1e-3 or 1e-3 + 0j
        side = _side(upper, lower, way, _outwards(limb, old))
        new[end] = new[root] + way
        new[middle] = new[root] + _elbow(way, abs(upper), abs(lower), side)


def _limited(way: complex, longest: float) -> complex:
    return way * min(1.0, longest / abs(way)) if way else way


def _elbow(way: complex, upper: float, lower: float, side: float) -> complex:
    """The middle joint of a limb from 0 to `way`. `side`: 1 or -1, on which it lies.

    Bones too short together are both stretched; where their difference is too long, the longer one shrinks.
    """
    length = abs(way)
    stretch = max(1.0, length / max(upper + lower, 1e-6))
    upper, lower = min(upper * stretch, length + lower), min(lower * stretch, length + upper)
    along = (upper * upper - lower * lower + length * length) / (2 * length)
    across = math.sqrt(max(0.0, upper * upper - along * along))
    return way / length * complex(along, side * across)


def _side(upper: complex, lower: complex, way: complex, outwards: complex) -> float:
    """Where the limb bends: as it clearly does already; a straighter one outwards."""
    bend = (upper.conjugate() * lower).imag
    if abs(bend) > _STRAIGHT * abs(upper) * abs(lower):
        return -math.copysign(1, bend)
    return math.copysign(1, (way.conjugate() * outwards).imag)


def _outwards(limb: tuple[int, ...], old: Sequence[complex]) -> complex:
    """Away from the other side of the body; elbows point down besides, knees up."""
    across = (old[limb[0]] - old[MIRRORED[limb[0]]]).real
    return complex(math.copysign(1, across), 1 if limb in _ARMS else -1)
