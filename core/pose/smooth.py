"""Steady poses: gaps filled, jitter filtered. A track is one person over the frames of a video."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .pose import Pose, PoseFrame

_REMEMBERED = 5                                            # missing frames after which a joint starts afresh
_SURE = 0.5                                                # joints with a lower score pull less
_FILLED = 0.5                                              # score of joints that were filled in


@dataclass(frozen=True)
class OneEuro:
    """The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012) for joints.

    `fps`: frames per second. `min_cutoff`, `d_cutoff`: Hz, for the position of a joint at rest and for its
    speed; lower is smoother. `beta`: how far speed opens the filter, in Hz per (person size per second);
    higher lags less. `both_ways`: forwards and backwards, averaged, which does not lag; False for live use
    (a beta of 16 suits that better).
    """

    fps: float = 30.0
    min_cutoff: float = 1.0
    beta: float = 8.0
    d_cutoff: float = 3.0
    both_ways: bool = True

    def __post_init__(self) -> None:
        for name in ("fps", "min_cutoff", "d_cutoff"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} should be above 0; got {getattr(self, name)}.")


def smooth_track(track: Sequence[Pose], settings: OneEuro) -> list[Pose]:
    """One person, a pose per frame (`Pose.empty` where not seen), all on one canvas -> the same, filtered.

    Missing joints stay missing; the filter remembers a joint for 5 frames. The person's size is the root of
    the median area of the joints' boxes.
    """
    if not track:
        return []
    points = torch.stack([pose.keypoints for pose in track]).double() / _size(track)   # [T,18,2]
    scores = torch.stack([pose.scores for pose in track]).double()                     # [T,18]
    smooth = _one_euro(points, scores, settings)
    if settings.both_ways:
        smooth = (smooth + _one_euro(points.flip(0), scores.flip(0), settings).flip(0)) / 2
    return [replace(pose, keypoints=k) for pose, k in zip(track, smooth * _size(track), strict=True)]


def smooth_frames(frames: Sequence[PoseFrame], settings: OneEuro) -> list[PoseFrame]:
    """Everybody filtered, on the first frame's canvas. People belong together by their number in the frame,
    see `track_people`."""
    return _by_person(frames, lambda track: smooth_track(track, settings))


def fill_gaps(frames: Sequence[PoseFrame], longest: int = 10) -> list[PoseFrame]:
    """Joints missing for at most `longest` frames in a row move straight and evenly from where they were last
    to where they are next, with a score of 0.5. On the first frame's canvas, people by their number."""
    return _by_person(frames, lambda track: _fill_track(track, longest))


def _by_person(frames: Sequence[PoseFrame],
               change: Callable[[Sequence[Pose]], list[Pose]]) -> list[PoseFrame]:
    """Applies `change` to the track of every person; who is not in a frame is `Pose.empty` there."""
    frames = [frame.scaled(frames[0].width, frames[0].height) for frame in frames]
    count = max((len(frame.people) for frame in frames), default=0)
    tracks = [change([frame.people[i] if i < len(frame.people) else Pose.empty(frame.width, frame.height)
                      for frame in frames]) for i in range(count)]
    return [replace(frame, people=tuple(track[t] for track in tracks)) for t, frame in enumerate(frames)]


def _one_euro(points: Tensor, scores: Tensor, settings: OneEuro) -> Tensor:
    """[T,J,2] filtered forwards; `points` in person sizes, `scores` [T,J] with 0 = missing."""
    position, speed = points[0].clone(), torch.zeros_like(points[0])                 # [J,2]
    age = torch.full_like(scores[0], torch.inf)                                      # [J] frames since seen
    out = torch.empty_like(points)
    for t, (point, score) in enumerate(zip(points, scores, strict=True)):
        here, afresh = (score > 0)[:, None], (age > _REMEMBERED)[:, None]
        age = age + 1
        rate = (settings.fps / age)[:, None]               # unseen for a while = sampled more slowly
        change = (point - position) * rate
        step = _alpha(torch.full_like(rate, settings.d_cutoff), rate)
        faster = torch.where(afresh, 0.0, torch.lerp(speed, change, step))
        cutoff = settings.min_cutoff + settings.beta * faster.norm(dim=1, keepdim=True)
        pull = _alpha(cutoff, rate) * (score / _SURE).clamp(max=1)[:, None]
        position = torch.where(here, torch.where(afresh, point, torch.lerp(position, point, pull)), position)
        speed = torch.where(here, faster, speed)
        age = torch.where(here[:, 0], 0.0, age)
        out[t] = position
    return out


def _alpha(cutoff: Tensor, rate: Tensor) -> Tensor:
    """Share of the new sample in a first-order low-pass filter."""
    return 1 / (1 + rate / (2 * math.pi * cutoff))


def _size(track: Sequence[Pose]) -> float:
    """Pixels: the root of the median area of the boxes; 1 for nobody."""
    boxes = torch.tensor([box for pose in track if (box := pose.box())]).view(-1, 4)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return max(1.0, float(area.median()) ** 0.5) if len(area) else 1.0


def _fill_track(track: Sequence[Pose], longest: int) -> list[Pose]:
    points = torch.stack([pose.keypoints for pose in track])                         # [T,J,2]
    present = torch.stack([pose.present for pose in track])                          # [T,J]
    last = len(track)
    time = torch.arange(last)[:, None]
    before = torch.where(present, time, -1).cummax(0).values                         # [T,J] -1: never
    after = torch.where(present, time, last).flip(0).cummin(0).values.flip(0)        # [T,J] T: never
    gap = ~present & (before >= 0) & (after < last) & (after - before - 1 <= longest)
    share = ((time - before) / (after - before).clamp(min=1))[..., None]
    start, end = (points.gather(0, index.clamp(0, last - 1)[..., None].expand(-1, -1, 2))
                  for index in (before, after))                                      # [T,J,2]
    points = torch.where(gap[..., None], torch.lerp(start, end, share), points)
    return [replace(pose, keypoints=k, scores=torch.where(g, _FILLED, pose.scores))
            for pose, k, g in zip(track, points, gap, strict=True)]
