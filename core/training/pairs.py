"""Pairs of pictures of one person, for pose transfer."""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..pose.parts import TORSO
from .pool import Pool

FIELDS = ("image", "people", "keypoints", "visibility")


class Pairs(Pool):
    """All ordered pairs of two pictures of one person, both with shoulders and hips; see `Pool`.

    The shards' field `person` [n] numbers the people; a person's pictures lie together. A sample has both
    pictures, source and target: image uint8 [2,3,H,W], keypoints float32 [2,18,2] in pixels, visibility uint8
    [2,18] and, where the pool has it, people uint8 [2,H,W], 1 = the person.
    """

    def __init__(self, *folders: str | Path) -> None:
        super().__init__(*folders)
        if not {"person", "keypoints", "visibility"} <= self.shards[0].keys():
            raise ValueError(f"{self.folders[0]} does not tell who is who, or how they stand; make it by "
                             "run.py people --views N, or by run.py pool market or deepfashion.")
        person = torch.cat([shard["person"] for shard in self.shards])
        seen = torch.cat([shard["visibility"][:, 0, list(TORSO)].all(1) for shard in self.shards])
        self.pairs, self.person = _ordered_pairs(person, seen)
        if not len(self.pairs):
            raise ValueError(f"{self.folders[0]} has no two pictures of one person with shoulders and hips.")

    def __len__(self) -> int:
        return len(self.pairs)

    def hold_out(self, count: int) -> int:
        """Whole people only: nobody is both trained on and held out."""
        first = self.person[len(self) - count]
        return len(self) - int(torch.searchsorted(self.person, first))

    def take(self, indices: Tensor) -> dict[str, Tensor]:
        views = super().take(self.pairs[indices].flatten())
        for name in ("keypoints", "visibility"):
            views[name] = views[name][:, 0]               # the main person's
        return {name: views[name].unflatten(0, (-1, 2)) for name in FIELDS if name in views}


def _ordered_pairs(person: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """[n] who is shown, and in which pictures usably -> [N,2] numbers of pictures, and [N] whose they are,
    counted from 0."""
    kept = usable.nonzero()[:, 0]                                                  # [K]
    counts = torch.unique_consecutive(person[kept], return_counts=True)[1]
    groups = kept.split(counts.tolist())
    pairs = [torch.combinations(group) for group in groups]                        # each [m,2]
    both = [torch.cat([pair, pair.flip(1)]) for pair in pairs]
    owner = torch.arange(len(groups)).repeat_interleave(torch.tensor([len(pair) for pair in both]))
    return torch.cat([torch.empty(0, 2, dtype=torch.long), *both]), owner
