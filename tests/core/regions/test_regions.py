from __future__ import annotations

import pytest
import torch
from anyone.core.regions import PERSON_PALETTE, PERSON_REGIONS, RegionMap, colour, region_mask


@pytest.fixture
def regions() -> RegionMap:
    return RegionMap(torch.tensor([[[0, 1, 11], [4, 4, 2]]], dtype=torch.uint8))


def test_person_regions_and_colours():
    assert PERSON_REGIONS == ("background", "hair", "head", "headwear", "top", "sleeves", "arms", "trousers",
                              "skirt", "legs", "shoes", "accessory")
    assert dict(zip(PERSON_REGIONS, PERSON_PALETTE, strict=True))["trousers"] == (40, 70, 200)


def test_colour(regions):
    picture = colour(regions)
    assert picture.shape == (1, 2, 3, 3)
    assert (picture[0, 0, 2] * 255).tolist() == pytest.approx([0, 200, 220])
    assert (picture[0, 1, 1] * 255).tolist() == pytest.approx([200, 40, 60])


def test_mask_is_the_union_of_the_named_regions(regions):
    assert region_mask(regions, ["top", "head"]).tolist() == [[[False, False, False], [True, True, True]]]
    assert not region_mask(regions, []).any()
    with pytest.raises(ValueError, match="'hat'.*headwear"):
        region_mask(regions, ["hat"])


def test_what_does_not_fit_is_refused():
    labels = torch.full((1, 2, 2), 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="label 3"):
        RegionMap(labels, ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    with pytest.raises(ValueError, match="2 names and 1 colours"):
        RegionMap(labels, ("a", "b"), ((0, 0, 0),))
    with pytest.raises(ValueError, match="uint8"):
        RegionMap(labels.long())


def test_repr_is_short(regions):
    assert repr(regions) == "<RegionMap 1 x 3x2, 12 regions>"
