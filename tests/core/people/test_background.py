"""Holes in backgrounds."""
from __future__ import annotations

import pytest
import torch
from anyone.core.people import CropBox
from anyone.core.people.background import fill_hole, without_person


def slope(height, width):
    """[3,H,W]: a smooth background."""
    rows, columns = torch.linspace(0.2, 0.6, height)[:, None], torch.linspace(0.1, 0.5, width)
    return torch.stack([(rows + columns).clamp(0, 1), rows.expand(-1, width), columns.expand(height, -1)])


def hole_at(height, width, box):
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[box.y0:box.y1, box.x0:box.x1] = True
    return hole


@pytest.mark.parametrize("size", [(97, 61), (700, 903)])
def test_a_hole_gets_the_colours_around_it(size):
    height, width = size
    box = CropBox(width // 3, height // 4, width // 2, 3 * height // 4)
    picture, hole = slope(*size), hole_at(*size, box)
    holed = picture.clone()
    holed[:, hole] = torch.tensor([0.0, 1.0, 0.0])[:, None]
    filled = fill_hole(holed, hole)
    assert torch.equal(filled[:, ~hole], picture[:, ~hole])
    assert (filled - picture).abs().max() < 0.06
    assert torch.equal(holed[:, hole][:, 0], torch.tensor([0.0, 1.0, 0.0]))       # the input is as it was


def test_the_rim_goes_with_the_person():
    """A mask a little too small leaves no outline."""
    picture, mask = slope(200, 150), hole_at(200, 150, CropBox(60, 40, 100, 160))
    worn = picture.clone()
    worn[:, 38:162, 58:102] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    bare = without_person(worn, mask)
    assert (bare - picture).abs().max() < 0.08
    far = ~hole_at(200, 150, CropBox(55, 35, 105, 165))
    assert torch.equal(bare[:, far], picture[:, far])


def test_holes_at_the_border_and_everywhere():
    picture = slope(40, 30)
    corner = hole_at(40, 30, CropBox(20, 0, 30, 40))
    assert (fill_hole(picture, corner) - picture).abs().max() < 0.2
    assert (fill_hole(picture, torch.ones(40, 30, dtype=torch.bool)) == 0.5).all()
    assert torch.equal(fill_hole(picture, torch.zeros(40, 30, dtype=torch.bool)), picture)
    assert torch.equal(without_person(picture, torch.zeros(40, 30, dtype=torch.bool)), picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3)])
def test_tiny_pictures(size):
    hole = torch.zeros(size, dtype=torch.bool)
    hole[0, 0] = True
    assert fill_hole(torch.rand(3, *size), hole).isfinite().all()
