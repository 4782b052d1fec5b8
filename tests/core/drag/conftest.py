"""A generator small enough to know by heart: a spot whose place is its latent."""
from __future__ import annotations

import pytest
import torch
from anyone.core.drag import Box, cut

SIDE, SCALE = 64, 2
LOOK = torch.tensor([1.0, -0.5, 2.0])


class Spot:
    """Draggable: features [3,32,32] of a round spot on nothing; `rows` [2,2] are its row and its column, in
    pixels of the picture over 100, and what does not count."""

    size, margin, map_size = (SIDE, SIDE), (0, 0), (SIDE // SCALE, SIDE // SCALE)

    def __init__(self, row=20.5, column=24.5):
        self.start = torch.tensor([[row, column], [7.0, 7.0]]) / 100
        self.drawn = []

    def features(self, rows, boxes):
        y, x = rows[0] * 100 / SCALE
        places = torch.arange(self.map_size[0]) + 0.5
        spot = torch.exp(-((places[:, None] - y) ** 2 + (places - x) ** 2) / 18)
        whole = Box(0, 0, *self.map_size)
        return [cut(spot * LOOK[:, None, None], whole, box) for box in boxes]

    def picture(self, rows):
        self.drawn.append(rows)
        return torch.full((SIDE, SIDE, 3), rows[0, 0].item())


@pytest.fixture
def make_spot():
    return Spot


@pytest.fixture
def spot():
    return Spot()
