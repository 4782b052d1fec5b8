"""Crops of the feature map against the whole map."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from anyone.core.drag import fast
from anyone.core.drag.fast import CroppedMap, mixed_box, resize
from anyone.core.drag.plain import WholeMap
from anyone.core.drag.source import Box, FixedArea, cut

REGIONS = [Box(0, 0, 9, 12), Box(30, 41, 37, 48), Box(60, 50, 64, 64)]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("area", [Box(0, 0, 1, 1), Box(5, 6, 9, 8), Box(0, 3, 24, 24), Box(22, 20, 24, 24)])
def test_resized_crops_are_crops_of_the_resized_map(scale, area):
    size = 24 // scale
    features = torch.randn(2, size, size)
    box = mixed_box(area, scale).within((size, size))
    assert max(box.size) <= max(area.size) // scale + 2
    found = resize(cut(features, Box(0, 0, size, size), box), box, area, scale)
    whole = F.interpolate(features[None], (24, 24), mode="bilinear")[0]
    torch.testing.assert_close(found, whole[:, area.top:area.bottom, area.left:area.right])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("strip", [1, 100, 1 << 18])
def test_sum_of_the_resized_map_and_its_gradient(scale, strip, monkeypatch):
    monkeypatch.setattr(fast, "STRIP", strip)
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(3, 5, 7, generator=rng, requires_grad=True)
    mask = torch.rand(5 * scale, 7 * scale, generator=rng)
    whole = F.interpolate(x[None], mask.shape, mode="bilinear")[0]
    expected = (whole * mask).abs().sum()
    found = fast._ResizedSum.apply(x, mask, scale)
    torch.testing.assert_close(found, expected)
    wanted, got = (torch.autograd.grad(total * 3, x)[0] for total in (expected, found))
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("hole", [Box(10, 12, 50, 40), Box(0, 0, 64, 30), Box(0, 0, 30, 64)])
def test_both_forms_see_the_same(spot, hole):
    mask = torch.ones(64, 64)
    mask[hole.top:hole.bottom, hole.left:hole.right] = 0
    down, across = (mask.amax(axis).nonzero() for axis in (1, 0))
    fixed = FixedArea(mask, Box(down[0], across[0], down[-1] + 1, across[-1] + 1))
    moved = (spot.start + torch.tensor([[0.04, -0.03], [0, 0]])).requires_grad_()
    values = []
    for form in (WholeMap, CroppedMap):
        first = form(spot, spot.start, REGIONS, fixed).features
        now = form(spot, moved, REGIONS, fixed)
        patches = [now.patch(index, region) for index, region in enumerate(REGIONS)]
        inner = now.patch(1, Box(31, 42, 36, 44))
        assert torch.equal(inner, patches[1][:, 1:6, 1:3])
        values.append((*patches, now.change(first), torch.autograd.grad(now.change(first), moved)[0]))
    for found, expected in zip(*values, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert values[0][3] > 1e-3


def test_boxes():
    box = Box(2, 3, 7, 9)
    assert box.size == (5, 6) and box.area == 30 and Box(4, 4, 2, 9).area == 0
    assert box.grown(2) == Box(0, 1, 9, 11) and box.moved(1, -1) == Box(3, 2, 8, 8)
    assert box.grown(3).within((8, 10)) == Box(0, 0, 8, 10) and box.rounded(4) == Box(0, 0, 8, 12)
    assert box.joined(Box(8, 1, 9, 4)) == Box(2, 1, 9, 9)
    assert box.meets(Box(6, 8, 20, 20)) and not box.meets(Box(7, 3, 9, 9)) and not box.meets(Box(2, 0, 7, 3))


def test_cut_fills_with_zeros():
    x = torch.arange(1.0, 7).view(1, 2, 3)
    found = cut(x, Box(1, 1, 3, 4), Box(0, 2, 3, 5))
    assert found.tolist() == [[[0, 0, 0], [2, 3, 0], [5, 6, 0]]]
    assert cut(x, Box(1, 1, 3, 4), Box(3, 1, 5, 2)).tolist() == [[[0], [0]]]
