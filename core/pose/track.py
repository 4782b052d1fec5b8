"""Who is who over the frames of a video: every person keeps their number."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .assignment import assign
from .distance import oks
from .pose import Pose, PoseFrame
from .select import person_score, person_size
from .transform import fit_frame

_FAINT = 0.1                                               # poses with a lower mean score are ignored
_BOX_MARGIN = 0.1                                          # people reach beyond their joints' box
_LEAST_SIMILARITY, _LEAST_IOU = 0.2, 0.3                   # with enough common joints, and without


@dataclass(eq=False)
class _Track:
    """`numbers`: frame -> which of its people; `velocity`: [2] pixels per frame of the box's middle."""

    pose: Pose
    frame: int
    numbers: dict[int, int] = field(default_factory=dict)
    velocity: Tensor = field(default_factory=lambda: torch.zeros(2))

    def predicted(self, frame: int) -> Pose:
        """Where the person should be by now. After a gap nobody knows, so they are still where they were."""
        return self.pose.moved(*self.velocity.tolist()) if frame == self.frame + 1 else self.pose

    def follow(self, pose: Pose, frame: int, number: int) -> None:
        step = _centre(pose) - _centre(self.pose)
        self.velocity = (self.velocity + step) / 2 if frame == self.frame + 1 else torch.zeros(2)
        self.pose, self.frame = pose, frame
        self.numbers[frame] = number


def track_people(frames: Sequence[PoseFrame], *, max_age: int = 15, minimum_hits: int = 3,
                 start_score: float = 0.3) -> list[PoseFrame]:
    """The frames with their people in a stable order: number i is the same person everywhere, `Pose.empty`
    where they are not seen. Numbers count up in the order of appearance, the larger first.

    `max_age`: a person unseen for more frames than this comes back as somebody new. `minimum_hits`: who is
    seen in fewer frames (or fewer than there are) is left out. `start_score`: mean score a new person needs;
    fainter poses only continue people whom no better pose continues (ByteTrack, Zhang et al., ECCV 2022).
    Poses are matched to where people should be by half OKS, half overlap of boxes. Nothing is random.
    """
    tracks: list[_Track] = []
    for time, frame in enumerate(frames):
        people = frame.scaled(frames[0].width, frames[0].height).people
        live = [track for track in tracks if time - track.frame <= max_age + 1]
        scores = [person_score(pose) for pose in people]
        sure = [i for i, score in enumerate(scores) if score >= max(start_score, _FAINT)]
        faint = [i for i, score in enumerate(scores) if _FAINT <= score < start_score]
        new = _continue(live, people, sure, time)
        _continue([track for track in live if track.frame != time], people, faint, time)
        for i in sorted(new, key=lambda i: -person_size(people[i])):
            tracks.append(_Track(people[i], time, {time: i}))
    kept = [track for track in tracks if len(track.numbers) >= min(minimum_hits, len(frames))]
    return [replace(frame, people=tuple(_seen(track, frame, time) for track in kept))
            for time, frame in enumerate(frames)]


def follow_people(frames: Sequence[PoseFrame]) -> list[PoseFrame]:
    """As `track_people` for pictures far apart, such as key frames: number i is the same person everywhere.

    Everybody continues the nearest person seen before, as long as there are any left, in the pairing of the
    smallest total distance; nobody with a joint is left out.
    """
    known: list[Pose] = []                                 # everybody so far, where they were last seen
    followed = []
    for frame in frames:
        people = fit_frame(frame, frames[0].width, frames[0].height).people
        here = [i for i, pose in enumerate(people) if pose.present.any()]
        pairs = assign(_nearness(known, [people[i] for i in here]))
        numbers = {here[column]: row for row, column in pairs}
        for i in here:
            number = numbers.setdefault(i, len(known))
            known[number:number + 1] = [people[i]]
        seen = {number: frame.people[i] for i, number in numbers.items()}
        nobody = Pose.empty(frame.width, frame.height)
        followed.append(replace(frame, people=tuple(seen.get(i, nobody) for i in range(len(known)))))
    return followed


def _continue(tracks: Sequence[_Track], people: Sequence[Pose], numbers: Sequence[int],
              time: int) -> list[int]:
    """Gives poses `numbers` of `people` to the tracks they fit best; returns those that fit none."""
    if not tracks or not numbers:
        return list(numbers)
    expected, found = [track.predicted(time) for track in tracks], [people[i] for i in numbers]
    pairs = assign(_similarity(expected, found))
    for track, i in pairs:
        tracks[track].follow(found[i], time, numbers[i])
    taken = {i for _, i in pairs}
    return [number for i, number in enumerate(numbers) if i not in taken]


def _similarity(expected: Sequence[Pose], found: Sequence[Pose]) -> Tensor:
    """[T,N] 0..1; 0 for pairs that must not be."""
    joints, boxes = oks(expected, found), _box_iou(_boxes(expected), _boxes(found))
    known = torch.isfinite(joints)
    similarity = torch.where(known, (joints + boxes) / 2, boxes)
    return torch.where(similarity >= torch.where(known, _LEAST_SIMILARITY, _LEAST_IOU), similarity, 0.0)


def _nearness(known: Sequence[Pose], people: Sequence[Pose]) -> Tensor:
    """[K,N] above 0, falling evenly with the mean distance of the common joints, or of the boxes' middles
    where there are none. Everybody here has joints."""
    if not known or not people:
        return torch.zeros(len(known), len(people))
    (a, in_a), (b, in_b) = ((torch.stack([pose.keypoints for pose in poses]),
                             torch.stack([pose.present for pose in poses])) for poses in (known, people))
    common = in_a[:, None] & in_b[None]                                              # [K,N,18]
    apart = ((a[:, None] - b[None]).norm(dim=-1) * common).sum(-1) / common.sum(-1)  # [K,N]
    old, new = (torch.stack([_centre(pose) for pose in poses]) for poses in (known, people))
    distance = torch.where(common.any(-1), apart, torch.cdist(old, new))
    return 1 + distance.amax() - distance


def _boxes(poses: Sequence[Pose]) -> Tensor:
    """[N,4] around the joints with some margin. Everybody here has joints."""
    boxes = torch.tensor([pose.box() for pose in poses])
    margin = _BOX_MARGIN * (boxes[:, 2:] - boxes[:, :2]).norm(dim=1, keepdim=True) + 0.5
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)


def _box_iou(a: Tensor, b: Tensor) -> Tensor:
    """[A,4], [B,4] x0, y0, x1, y1 -> [A,B] intersection over union."""
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    shared = torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])
    meet = shared.clamp(min=0).prod(-1)                                              # [A,B]
    return meet / (area_a[:, None] + area_b - meet)


def _centre(pose: Pose) -> Tensor:
    return torch.tensor(pose.box()).view(2, 2).mean(0)


def _seen(track: _Track, frame: PoseFrame, time: int) -> Pose:
    number = track.numbers.get(time)
    return Pose.empty(frame.width, frame.height) if number is None else frame.people[number]
