"""Regions edited by name. Maps are drawn as rows of letters with "|" between."""
from __future__ import annotations

import time

import pytest
import torch
from anyone.core.regions import (
    PERSON_REGIONS,
    RegionMap,
    fill_from_nearest,
    grow,
    move,
    paint,
    remove,
    reshape,
    shrink,
    swap,
)

NUMBERS = {letter: PERSON_REGIONS.index(name) for letter, name in {
    ".": "background", "h": "hair", "f": "head", "t": "top", "s": "shoes"}.items()}
LETTERS = {number: letter for letter, number in NUMBERS.items()}


def draw(*pictures: str) -> RegionMap:
    return RegionMap(torch.tensor([[[NUMBERS[letter] for letter in row] for row in picture.split("|")]
                                   for picture in pictures], dtype=torch.uint8))


def read(regions: RegionMap) -> list[str]:
    return ["|".join("".join(LETTERS[label] for label in row) for row in picture)
            for picture in regions.labels.tolist()]


def mask(*pictures: str) -> torch.Tensor:
    """1 and 0 instead of letters."""
    return torch.tensor([[[digit == "1" for digit in row] for row in picture.split("|")]
                         for picture in pictures])


@pytest.mark.parametrize(("pixels", "expected"), [
    (0, ".....|.....|..h..|.....|....."), (1, ".....|..h..|.hhh.|..h..|....."),
    (1.5, ".....|.hhh.|.hhh.|.hhh.|....."), (2, "..h..|.hhh.|hhhhh|.hhh.|..h.."),
    (9, "hhhhh|hhhhh|hhhhh|hhhhh|hhhhh")])
def test_what_grows_takes_in_a_disc(pixels, expected):
    assert read(grow(draw(".....|.....|..h..|.....|....."), "hair", pixels)) == [expected]


def test_growing_over_chosen_regions_only():
    regions = draw(".hft.")
    assert read(grow(regions, "hair", 3)) == ["hhhhh"]
    assert read(grow(regions, "hair", 3, ["background", "top"])) == ["hhfhh"]


def test_what_shrinks_leaves_its_place_to_the_nearest():
    regions = draw("ffff|hhhh|hhhh|hhhh|tttt", "hhhh|hhhh|hhhh|hhhh|tttt")
    assert read(shrink(regions, "hair", 1)) == [
        "ffff|ffff|hhhh|tttt|tttt", "hhhh|hhhh|hhhh|tttt|tttt"], "the border of the picture is no rim"
    assert read(shrink(regions, "hair", 1, "shoes")) == [
        "ffff|ssss|hhhh|ssss|tttt", "hhhh|hhhh|hhhh|ssss|tttt"]
    assert "h" not in read(shrink(regions, "hair", 2))[0]


def test_shrinking_undoes_growing():
    regions = draw(".........|.........|..hhhhh..|..hhhhh..|..hhhhh..|.........|.........")
    assert read(shrink(grow(regions, "hair", 1), "hair", 1)) == read(regions)


@pytest.mark.parametrize(("dx", "dy", "expected"), [
    (1, 0, "ffhhf|fffff|ttttt"), (-1, 0, "hhfff|fffff|ttttt"), (0, 1, "fffff|fhhff|ttttt"),
    (-2, 2, "fffff|fffff|htttt"), (9, 0, "fffff|fffff|ttttt"), (0, -9, "fffff|fffff|ttttt")])
def test_what_moves_leaves_its_place_to_the_nearest(dx, dy, expected):
    assert read(move(draw("fhhff|fffff|ttttt"), "hair", dx, dy)) == [expected]


def test_the_place_left_may_go_to_a_region_by_name():
    regions = draw("fhhf|ffff|tttt")
    assert read(move(regions, "hair", 0, 2, "background")) == ["f..f|ffff|thht"]
    assert read(remove(regions, "hair", "shoes")) == ["fssf|ffff|tttt"]
    assert read(remove(regions, "hair")) == ["ffff|ffff|tttt"]


def test_what_is_everywhere_leaves_the_background():
    assert read(remove(draw("hh|hh"), "hair")) == ["..|.."]
    assert read(move(draw("hh|hh"), "hair", 1, 0)) == [".h|.h"]


def test_painting_and_reshaping():
    regions = draw("hh..|ff..")
    where = mask("0110|0110")
    assert read(paint(regions, "top", where)) == ["htt.|ftt."]
    assert read(paint(regions, "top", where, ["background", "hair"])) == ["htt.|fft."]
    assert read(reshape(regions, "hair", where)) == ["fhh.|fhh."]
    assert read(reshape(regions, "hair", where, "shoes")) == ["shh.|fhh."]


def test_exchanging():
    assert read(swap(draw("hft|.hf"), "hair", "top")) == ["tfh|.tf"]
    assert read(swap(draw("hf"), "hair", "shoes")) == ["sf"]


def test_batches_repeat_to_the_longer():
    regions = draw("h.", "f.")
    assert read(paint(regions, "top", mask("01", "10", "11"))) == ["ht", "t.", "tt"]
    assert read(reshape(regions, "hair", mask("01"))) == [".h", "fh"]


EDITS = {
    "grow": lambda regions: grow(regions, "hair", 1), "shrink": lambda regions: shrink(regions, "hair", 1),
    "move": lambda regions: move(regions, "hair", 1, 1), "remove": lambda regions: remove(regions, "hair"),
    "swap": lambda regions: swap(regions, "hair", "top"),
    "paint": lambda regions: paint(regions, "hair", mask("111|000|000")),
    "reshape": lambda regions: reshape(regions, "hair", mask("111|000|000"))}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_the_map_given_stays_as_it_is(edit):
    regions = draw("ttt|hht|hht")
    edited = edit(regions)
    assert read(regions) == ["ttt|hht|hht"] != read(edited)
    assert edited.labels.dtype == torch.uint8 and edited.names == PERSON_REGIONS


@pytest.mark.parametrize("edit", [EDITS[name] for name in ("grow", "shrink", "move", "remove")])
def test_without_the_region_nothing_happens(edit):
    assert read(edit(draw("fft|fft|ttt"))) == ["fft|fft|ttt"]


@pytest.mark.parametrize("edit", [
    lambda regions: grow(regions, "tail", 1), lambda regions: grow(regions, "hair", 1, ["tail"]),
    lambda regions: move(regions, "tail", 1, 0), lambda regions: remove(regions, "hair", "tail"),
    lambda regions: swap(regions, "hair", "tail"), lambda regions: paint(regions, "tail", mask("11"))])
def test_unknown_names_list_the_known(edit):
    with pytest.raises(ValueError, match="There is no region 'tail'; this map has background, hair, head"):
        edit(draw("hf"))


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="mask is 2x1 but the region map 3x2; resize the mask"):
        paint(draw("hhh|hhh"), "top", mask("11"))


def test_filling_is_exact_where_it_matters():
    labels = torch.randint(1, 5, (40, 50), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    free = torch.zeros(40, 50, dtype=torch.bool)
    free[5:30, 10:40] = True
    filled = fill_from_nearest(labels, free)
    assert torch.equal(filled[~free], labels[~free])
    places = (~free).nonzero().float()
    for y, x in ((5, 20), (17, 10), (29, 39), (10, 12)):
        distances = (places - torch.tensor([y, x])).norm(dim=1)
        nearest = places[distances <= distances.min() * 1.05].long()               # OpenCV rounds a little
        assert filled[y, x] in labels[nearest[:, 0], nearest[:, 1]]


def test_large_maps_take_seconds():
    squares = torch.arange(64, dtype=torch.uint8).view(1, 8, 8) % 5
    large = RegionMap(squares.repeat_interleave(512, 1).repeat_interleave(512, 2))
    started = time.process_time()
    grown = grow(large, "hair", 20)
    removed = remove(large, "hair")
    assert time.process_time() - started < 20
    assert (grown.labels == 1).sum() > (large.labels == 1).sum() and not (removed.labels == 1).any()
