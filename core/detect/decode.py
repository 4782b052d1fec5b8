"""The network's maps -> people. Every cell of a person votes for that person's middle; joints and cells go to
the person they vote for."""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .labels import cell_centres
from .network import CELL, GRID, Maps

FLOOR = 0.1                                               # heat below this is never a joint
PEAKS = 30                                                # candidates per joint
MINIMUM_CELLS = 10                                        # votes that make a person
FIRST_REACH = 0.06                                        # votes this near (1 = the view) are one body's
SCATTER, REACH = 0.25, (0.04, 0.15)                       # the same in body sizes once known; limits
STRAY = 0.45                                              # votes beside a body this much larger are its own
NEAR, FAR = 0.3, 0.8                                      # how far a joint's vote may miss, in body sizes


@dataclass(frozen=True, eq=False)
class People:
    """N people in one 128x128 view.

    `keypoints` [N,18,2] pixels of the view; `scores` [N,18], 0 = missing; `masks` [N,64,64] probability that
    a cell shows this person; `centres` [N,2] their middles and `sizes` [N] the roots of their areas, 1 = side
    of the view.
    """

    keypoints: Tensor
    scores: Tensor
    masks: Tensor
    centres: Tensor
    sizes: Tensor


def decode(maps: Maps, max_people: int = 20) -> People:
    """Maps of one view -> everybody in it, strongest vote first."""
    centres, sizes = find_centres(maps, max_people)
    return assign(maps, centres, sizes)


def find_centres(maps: Maps, max_people: int) -> tuple[Tensor, Tensor]:
    """Middles [N,2] and sizes [N] of the people in one view: the densest vote wins, its voters leave, and so
    on."""
    shown = maps.mask[0, 0] > 0
    votes = (maps.centre[0] + cell_centres(maps.mask.device))[:, shown].T                 # [V,2]
    centres, sizes = votes[:0], votes.new_zeros(0)
    while len(votes) >= MINIMUM_CELLS and len(centres) < max_people:
        centre, radius = _densest(votes), FIRST_REACH
        for _ in range(2):                                # the reach follows from the size found so far
            near = (votes - centre).norm(dim=1) < radius
            centre = votes[near].median(0).values
            size = near.sum().sqrt() / GRID
            radius = float((size * SCATTER).clamp(*REACH))
        near = (votes - centre).norm(dim=1) < radius
        if int(near.sum()) < MINIMUM_CELLS:
            break
        beside = (centres - centre).norm(dim=1) < sizes / 2
        if not (beside & (size < STRAY * sizes)).any():
            centres = torch.cat([centres, votes[near].mean(0, keepdim=True)])
            sizes = torch.cat([sizes, near.sum().sqrt()[None] / GRID])
        votes = votes[(votes - centre).norm(dim=1) >= 1.2 * radius]
    return centres, sizes


def _densest(votes: Tensor) -> Tensor:
    """[V,2] -> [2]: where most votes fall. The middle of a cut-off person may lie outside the view."""
    bins = ((votes + 0.5) * GRID).long().clamp(0, 2 * GRID - 1)
    flat = torch.bincount(bins[:, 1] * 2 * GRID + bins[:, 0], minlength=4 * GRID**2).float()
    counts = F.avg_pool2d(F.avg_pool2d(flat.view(1, 1, 2 * GRID, 2 * GRID), 3, 1, 1), 3, 1, 1)
    best = counts.argmax()
    return torch.stack([best % (2 * GRID), best // (2 * GRID)]).float().add(0.5) / GRID - 0.5


def assign(maps: Maps, centres: Tensor, sizes: Tensor) -> People:
    """Joints and cells of one view to the people whose middles are known."""
    places, scores = find_peaks(maps.heat[0].sigmoid())                           # [18,K,2], [18,K]
    x, y = places.round().long().clamp(0, GRID - 1).unbind(-1)
    votes = (places + 0.5) / GRID + maps.centre[0][:, y, x].movedim(0, -1)                # [18,K,2]
    miss = (votes[None] - centres[:, None, None]).norm(dim=-1) / sizes[:, None, None]     # [N,18,K]
    x, y = ((maps.centre[0] + cell_centres(centres.device))[None] - centres[:, :, None, None]).unbind(1)
    own = _nearest(torch.hypot(x, y) / sizes[:, None, None])                              # [N,64,64]
    masks = maps.mask[0].sigmoid() * own
    if not len(centres):
        return People(places.new_zeros(0, 18, 2), scores.new_zeros(0, 18), masks, centres, sizes)
    fit = scores * torch.exp(-(miss / NEAR) ** 2) * _nearest(miss) * (miss < FAR)
    best, chosen = fit.max(-1)                                                            # [N,18]
    joint = torch.arange(len(scores), device=chosen.device)
    keypoints, found = (places[joint, chosen] + 0.5) * CELL, scores[joint, chosen] * (best > 0)
    return People(torch.where(found[..., None] > 0, keypoints, 0.0), found, masks, centres, sizes)


def _nearest(distance: Tensor) -> Tensor:
    """[N,...] -> [N,...] float: 1 for the first of the nearest along N."""
    if not len(distance):
        return distance
    return F.one_hot(distance.argmin(0), len(distance)).movedim(-1, 0).to(distance.dtype)


def find_peaks(heat: Tensor) -> tuple[Tensor, Tensor]:
    """[18,G,G] 0..1 -> local maxima: places [18,K,2] (x, y in cells, 0 = middle of the first), scores [18,K].

    Between cells the place is the top of the parabola through the logarithms, exact for a Gaussian.
    """
    peaks = torch.where((heat == _highest_around(heat)) & (heat >= FLOOR), heat, 0.0).flatten(1)
    scores, index = peaks.topk(PEAKS, dim=1)                                              # [18,K]
    log = F.pad(heat.clamp(min=1e-6).log()[None], (1, 1, 1, 1), mode="replicate")[0].flatten(1)
    stride = GRID + 2
    middle = (index // GRID + 1) * stride + index % GRID + 1
    offsets = [_vertex(log, middle, step) for step in (1, stride)]
    return torch.stack([index % GRID + offsets[0], index // GRID + offsets[1]], -1), scores


def _highest_around(heat: Tensor) -> Tensor:
    """[J,h,w] -> the same: maximum of 3x3 cells, several times faster than `max_pool2d` on a CPU."""
    padded = F.pad(heat, (1, 1, 1, 1), value=-torch.inf)
    rows = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def _vertex(log: Tensor, middle: Tensor, step: int) -> Tensor:
    """Offset -.5 to .5 of the top of a parabola through three neighbours `step` apart."""
    before, here, after = (log.gather(1, middle + d) for d in (-step, 0, step))
    curve = (2 * here - before - after).clamp(min=1e-6)
    return ((after - before) / (2 * curve)).clamp(-0.5, 0.5)
