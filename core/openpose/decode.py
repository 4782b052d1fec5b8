"""Maps of the body network -> people (section 3 of the CVPR 2017 paper, as its published port does it).

Maps stay small: a scale's enlargement is one matrix per axis (`ScaleMaps`), so peaks are looked for in one
enlarged joint at a time and the fields are read only where two peaks might be joined.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..resample import blurred

JOINT_COUNT = 18
# The joints every limb joins, and the channel of the limb's field along x; the one along y follows it.
LIMBS = ((1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2),
         (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34),
         (0, 15, 32), (15, 17, 36), (2, 16, 18), (5, 17, 26))
_JOINING = 17                                             # from here limbs only join people, they start none
_PEAK = 0.1                                               # least blurred heat of a joint
_FIELD = 0.05                                             # least field along a limb,
_SAMPLES, _ENOUGH = 10, 8                                 # at more than 8 of 10 points of it
_LEAST_PARTS, _LEAST_MEAN = 4, 0.4                        # of a person
_SIGMA, _RADIUS = 3.0, 12                                 # of the blur before peaks are looked for, in pixels
_CHUNK = 1 << 16                                          # field samples read at a time
_STRIP = 1 << 20                                          # pixels enlarged at a time


@dataclass(frozen=True, eq=False)
class ScaleMaps:
    """The network's answer at one scale.

    `fields` [38,h,w] and `heats` [19,h,w]. `rows` [H,h] and `columns` [W,w] enlarge them to the picture's
    size: rows @ map @ columns.T.
    """

    fields: Tensor
    heats: Tensor
    rows: Tensor
    columns: Tensor

    def heat_at(self, joint: int, y: Tensor, x: Tensor) -> Tensor:
        """[N]: one heat map at N pixels of the picture."""
        return ((self.rows[y] @ self.heats[joint]) * self.columns[x]).sum(1)

    def field_at(self, channel: int, y: Tensor, x: Tensor) -> Tensor:
        """[N,2]: one limb's field at N pixels of the picture."""
        rows = torch.einsum("nh,chw->cnw", self.rows[y], self.fields[channel:channel + 2])
        return (rows * self.columns[x]).sum(-1).T


@dataclass(frozen=True, eq=False)
class Bodies:
    """What was found, on the CPU.

    `peaks` [P,4]: x, y (whole pixels), heat, joint. `connections` [C,4]: limb, peak, peak, score, in the
    order they were accepted. `people` [N,20]: a peak or -1 per joint, total score, number of parts
    (overwritten ones count twice), in the order they were begun.
    """

    peaks: Tensor
    connections: Tensor
    people: Tensor


def decode(scales: Sequence[ScaleMaps], check_interrupt: Callable[[], None] = lambda: None) -> Bodies:
    """The people in one picture. Several scales are averaged."""
    joints = find_peaks(scales)
    first = [0, *torch.tensor([len(peaks) for peaks in joints]).cumsum(0).tolist()]
    connections = []
    for limb, (a, b, channel) in enumerate(LIMBS):
        check_interrupt()
        pairs = pair_scores(scales, channel, joints[a][:, :2].long(), joints[b][:, :2].long())
        for i, j, score in greedy(*pairs):
            connections.append((limb, first[a] + i, first[b] + j, score))
    peaks = torch.cat([F.pad(found, (0, 1), value=joint) for joint, found in enumerate(joints)]).cpu()
    people = assemble(peaks[:, 2].tolist(), connections)
    return Bodies(peaks, torch.tensor(connections).reshape(-1, 4), torch.tensor(people).reshape(-1, 20))


def find_peaks(scales: Sequence[ScaleMaps]) -> list[Tensor]:
    """Per joint [N,3]: x, y and heat of the local maxima of the blurred heat, row by row."""
    blurring = [(_rimmed(scale.rows), scale.heats, _rimmed(scale.columns)) for scale in scales]
    height, width = len(scales[0].rows), len(scales[0].columns)
    found = []
    for joint in range(JOINT_COUNT):
        places = []
        for top in range(0, height, max(1, _STRIP // width)):
            strip = slice(top, min(height, top + max(1, _STRIP // width)) + 2)
            heat = _mean([rows[strip] @ heats[joint] @ columns.T for rows, heats, columns in blurring])
            places.append(_maxima(heat).add(torch.tensor([top, 0], device=heat.device)))
        y, x = torch.cat(places).T
        heat = _mean([scale.heat_at(joint, y, x) for scale in scales])
        found.append(torch.stack([x, y, heat], 1))
    return found


def _rimmed(matrix: Tensor) -> Tensor:
    """[N,n] -> [N+2,n]: enlarges and blurs, with a rim of zeros around the picture."""
    return F.pad(blurred(matrix, _SIGMA, _RADIUS), (0, 0, 1, 1))


def _maxima(heat: Tensor) -> Tensor:
    """[h+2,w+2] -> [N,2] y, x: where the inner values are peaks."""
    inner = heat[1:-1, 1:-1]
    peak = inner > _PEAK
    for neighbour in (heat[:-2, 1:-1], heat[2:, 1:-1], heat[1:-1, :-2], heat[1:-1, 2:]):
        peak &= inner >= neighbour
    return peak.nonzero()


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(values)).mean(0)


def pair_scores(scales: Sequence[ScaleMaps], channel: int, a: Tensor,
                b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the pairs of peaks `a` [N,2] and `b` [M,2] a limb may join: indices [K] and [K], scores [K].

    The score is the field's mean component along the line, less a penalty for lines longer than half the
    picture's height (equation 10 of the paper, with the published port's prior).
    """
    i, j = torch.cartesian_prod(torch.arange(len(a)), torch.arange(len(b))).reshape(-1, 2).to(a.device).T
    chunk = _CHUNK // _SAMPLES
    parts = [_score(scales, channel, a[i[k:k + chunk]], b[j[k:k + chunk]]) for k in range(0, len(i), chunk)]
    if not parts:
        return i, j, scales[0].rows.new_zeros(0)
    score, accepted = (torch.cat(part) for part in zip(*parts, strict=True))
    return i[accepted], j[accepted], score[accepted]


def _score(scales: Sequence[ScaleMaps], channel: int, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Of K lines: scores [K] and whether they are accepted [K]."""
    height, steps = len(scales[0].rows), torch.linspace(0, 1, _SAMPLES, device=start.device)
    way = (end - start).float()                                                   # [K,2]
    length = way.norm(dim=1).clamp(min=0.001)
    x, y = (start[:, None] + way[:, None] * steps[:, None]).round().long().flatten(0, 1).T    # [K*10]
    field = _mean([scale.field_at(channel, y, x) for scale in scales]).view(len(way), -1, 2)
    along = (field * (way / length[:, None])[:, None]).sum(-1)                    # [K,10]
    score = along.mean(1) + (0.5 * height / length - 1).clamp(max=0)
    return score, ((along > _FIELD).sum(1) > _ENOUGH) & (score > 0)


def greedy(i: Tensor, j: Tensor, scores: Tensor) -> list[tuple[int, int, float]]:
    """The best pairs, every peak in one pair at most; equal scores keep their order."""
    taken: list[tuple[int, int, float]] = []
    used_i: set[int] = set()
    used_j: set[int] = set()
    order = scores.argsort(descending=True, stable=True)
    for a, b, score in zip(i[order].tolist(), j[order].tolist(), scores[order].tolist(), strict=True):
        if a not in used_i and b not in used_j:
            taken.append((a, b, score))
            used_i.add(a)
            used_j.add(b)
    return taken


def assemble(heat: Sequence[float], connections: Sequence[tuple[int, int, int, float]]) -> list[list[float]]:
    """Connections -> people, as rows of 18 peaks (-1 = none), total score and number of parts."""
    people: list[list[float]] = []
    for limb, a, b, score in connections:
        joint_a, joint_b, _ = LIMBS[limb]
        rows = [person for person in people if person[joint_a] == a or person[joint_b] == b][:2]
        if len(rows) == 2 and not _share_a_joint(*rows):
            first, second = rows
            first[:18] = map(max, first[:18], second[:18])
            first[18] += second[18] + score
            first[19] += second[19]
            people = [person for person in people if person is not second]
        elif rows:
            person = rows[0]
            if len(rows) == 2 or person[joint_b] != b:
                person[joint_b] = b
                person[18] += heat[b] + score
                person[19] += 1
        elif limb < _JOINING:
            person = [-1.0] * JOINT_COUNT + [heat[a] + heat[b] + score, 2.0]
            person[joint_a], person[joint_b] = a, b
            people.append(person)
    return [person for person in people
            if person[19] >= _LEAST_PARTS and person[18] / person[19] >= _LEAST_MEAN]


def _share_a_joint(first: Sequence[float], second: Sequence[float]) -> bool:
    return any(p >= 0 and q >= 0 for p, q in zip(first[:JOINT_COUNT], second[:JOINT_COUNT], strict=True))
