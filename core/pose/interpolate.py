"""Poses between poses: limbs swing about their joints, they do not slide along straight lines.

Every bone turns with the bone it hangs on and, against it, the short way; its length changes evenly. The root
(the neck) moves on a straight line, and the body as a whole turns the short way. A bone of trunk or head that
would turn more than 90 degrees against the body belongs to somebody who turns round: it shrinks and grows
again on the other side instead. Positions are complex numbers here, x + iy, in pixels.
"""
from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from .pose import JOINTS, Pose, PoseFrame
from .skeleton import HIPS, SHOULDERS, bones, find_root
from .transform import fit_frame, fit_pose

EASINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda t: t,
    "ease_in": lambda t: t * t,
    "ease_out": lambda t: t * (2 - t),
    "ease_in_out": lambda t: t * t * (3 - 2 * t),
}
_TRUNK = {*HIPS, *SHOULDERS, *(i for i, name in enumerate(JOINTS) if name.endswith(("nose", "eye", "ear")))}


def interpolate_poses(start: Pose, end: Pose, count: int, *, easing: str = "linear") -> list[Pose]:
    """`count` >= 2 poses from `start` to `end`, both included and unchanged (`end` fitted to start's canvas).

    A joint that only one of them has moves along, at a constant angle to the bone it hangs on, and its score
    fades to 0 at the other end; so does a whole person where the other pose is empty. Raises ValueError for
    a smaller count or an unknown easing (see EASINGS).
    """
    if count < 2:
        raise ValueError(f"count should be at least 2, the first and the last pose; got {count}.")
    if easing not in EASINGS:
        raise ValueError(f"easing should be one of {', '.join(EASINGS)}; got {easing!r}.")
    end = fit_pose(end, start.width, start.height)
    share = EASINGS[easing](np.arange(1, count - 1) / (count - 1))                   # [N] in 0..1
    points = torch.view_as_real(torch.from_numpy(_between(start, end, share))).float()
    t = torch.from_numpy(share).float()[:, None]
    scores = torch.lerp(start.scores, end.scores, t)                                 # [N,18]
    middle = [replace(start, keypoints=k, scores=s) for k, s in zip(points, scores, strict=True)]
    return [start, *middle, end]


def interpolate_frames(keyframes: Sequence[PoseFrame], between: int, *,
                       easing: str = "linear") -> list[PoseFrame]:
    """The key frames with `between` new frames after each but the last, on the first one's canvas.

    People belong together by their number in the frame (see `track_people`); who is missing from one of two
    frames fades.
    """
    fitted = [fit_frame(frame, keyframes[0].width, keyframes[0].height) for frame in keyframes]
    frames = fitted[:1]
    for start, end in pairwise(fitted):
        nobody = Pose.empty(start.width, start.height)
        pairs = [(start.people[i] if i < len(start.people) else nobody,
                  end.people[i] if i < len(end.people) else nobody)
                 for i in range(max(len(start.people), len(end.people)))]
        tracks = [interpolate_poses(a, b, between + 2, easing=easing)[1:-1] for a, b in pairs]
        middle = [replace(start, people=tuple(track[i] for track in tracks), note="") for i in range(between)]
        frames += [*middle, end]
    return frames


def _between(start: Pose, end: Pose, share: np.ndarray) -> np.ndarray:
    """[N,18] complex positions at the given shares of the way."""
    a, b = (_positions(pose) for pose in (start, end))
    in_a, in_b = start.present.tolist(), end.present.tolist()
    both = [x and y for x, y in zip(in_a, in_b, strict=True)]
    either = [x or y for x, y in zip(in_a, in_b, strict=True)]
    out = np.zeros((len(share), len(JOINTS)), complex)
    root = find_root(both)
    if root is None:                                       # nothing to hold on to: both fade where they are
        return out + np.where(in_a, a, b)
    turns = dict.fromkeys(range(len(JOINTS)), _body_turn(a - a[root], b - b[root], both))
    size = _extent(b[both]) / _extent(a[both]) if _extent(a[both]) and _extent(b[both]) else 1.0
    out[:, root] = a[root] + share * (b[root] - a[root])
    for holder, joint, _ in bones(either, root):
        turn = turns[holder]
        old, new = a[joint] - a[holder], b[joint] - b[holder]
        if not in_a[joint]:
            old = new * cmath.rect(1 / size, -turn)
            a[joint] = a[holder] + old
        elif not in_b[joint]:
            new = old * cmath.rect(size, turn)
            b[joint] = b[holder] + new
        turns[joint], vectors = _swing(old, new, turn, share, joint in _TRUNK)
        out[:, joint] = out[:, holder] + vectors
    return out


def _swing(old: complex, new: complex, holder_turn: float, share: np.ndarray,
           in_trunk: bool) -> tuple[float, np.ndarray]:
    """How far a bone turns in all (radians), and its vectors [N]. `holder_turn`: of the bone it hangs on."""
    carried = old * cmath.rect(1, holder_turn)
    bend = cmath.phase(new * carried.conjugate())          # against the bone it hangs on, -pi..pi
    if in_trunk and abs(bend) > math.pi / 2:
        flat = old + share * (new * cmath.rect(1, -holder_turn) - old)
        return holder_turn, flat * np.exp(1j * share * holder_turn)
    turn = holder_turn + bend
    heading = cmath.phase(old) if old else cmath.phase(new) - turn
    length = abs(old) + share * (abs(new) - abs(old))
    return turn, length * np.exp(1j * (heading + share * turn))


def _body_turn(a: np.ndarray, b: np.ndarray, both: Sequence[bool]) -> float:
    """Radians by which trunk and head turned as one, in the least-squares sense (Procrustes)."""
    trunk = [joint for joint in _TRUNK if both[joint]]
    return cmath.phase(complex((b[trunk] * a[trunk].conj()).sum()))


def _positions(pose: Pose) -> np.ndarray:
    """[18] complex."""
    x, y = pose.keypoints.double().numpy().T
    return x + 1j * y


def _extent(points: np.ndarray) -> float:
    return float(np.abs(points - points.mean()).mean())
