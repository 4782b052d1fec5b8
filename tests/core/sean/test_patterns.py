"""Distinct neighbourhoods against counting them one by one."""
from __future__ import annotations

import pytest
import torch
from anyone.core.sean.patterns import find_patterns

COUNT = 5                                                 # labels; 5 = none, 6 = outside


def squares(labels, side):
    """[H,W] -> [H,W,side*side], outside = COUNT + 1."""
    reach = side // 2
    framed = torch.nn.functional.pad(labels, (reach,) * 4, value=COUNT + 1)
    return framed.unfold(0, side, 1).unfold(1, side, 1).flatten(2)


@pytest.mark.parametrize(("height", "width"), [(9, 14), (1, 1), (2, 7)])
def test_every_pixel_finds_its_neighbourhood(height, width, make_labels):
    labels = make_labels(1, 20, 20)[0][:height, :width].clone()
    labels[:, -1] = COUNT
    found = find_patterns(labels.to(torch.int16), COUNT)
    fives, threes = squares(labels, 5), squares(labels, 3)
    assert len(found.keys) == len(set(found.keys)) == len(fives.flatten(0, 1).unique(dim=0))
    assert len(found.labels) == len(threes.flatten(0, 1).unique(dim=0))
    for y in range(height):
        for x in range(width):
            number = int(found.ids[y, x])
            assert found.keys[number] == fives[y, x].to(torch.int16).numpy().tobytes()
            assert torch.equal(found.labels[found.near[number, 4]], threes[y, x])


def test_inner_squares_know_the_outside():
    found = find_patterns(torch.zeros(3, 3, dtype=torch.int16), COUNT)
    corner = found.near[found.ids[0, 0]].view(3, 3)
    outside = len(found.labels)
    assert (corner[0] == outside).all() and (corner[:, 0] == outside).all()
    assert (corner[1:, 1:] < outside).all()


def test_large_areas_share_one_pattern():
    labels = torch.zeros(64, 64, dtype=torch.int16)
    labels[:, 32:] = 1
    found = find_patterns(labels, COUNT)
    assert len(found.keys) == 5 * 10                      # two from every edge, four at the seam, inside
    assert found.ids[10, 10] == found.ids[50, 20] != found.ids[10, 50]
