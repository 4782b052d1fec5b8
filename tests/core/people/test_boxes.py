"""The boxes of TriA-GAN's pipeline, worked out by hand from its description."""
from __future__ import annotations

import pytest
import torch
from anyone.core.people import CropBox, CropSettings, disjoint_groups, person_box, processing_order, tight_box


def rectangle(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def outline(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    """The rim of a rectangle: few enough pixels for the background share to be met."""
    inner = rectangle(height, width, x0 + 1, y0 + 1, x1 - 1, y1 - 1)
    return rectangle(height, width, x0, y0, x1, y1) & ~inner


@pytest.mark.parametrize(("corners", "expected"), [
    # 40x100: margin int(sqrt(4000) / 10) = 6 -> 46x106 at 197, 147; 106/46 > 1.8 -> width int(106/1.8) = 58.
    ((200, 150, 240, 250), (191, 147, 249, 253)),
    # 60x60: margin 6 -> 66x66; height int(66 * 1.8) = 118.
    ((200, 200, 260, 260), (197, 171, 263, 289)),
    # An odd difference goes to the end: 41x100, margin 6 -> 47x106 -> width 58: 5 more before and 6 after.
    ((200, 150, 241, 250), (192, 147, 250, 253)),
    # At the left border the grown box moves inwards: 46x106 at 0, then 58 wide would start at -6, moved to 0.
    ((0, 150, 40, 250), (0, 147, 58, 253)),
    # At the bottom: height 106 would end at 403, moved to 294..400.
    ((200, 300, 240, 400), (191, 294, 249, 400))])
def test_margin_aspect_and_borders(corners, expected):
    box = person_box(outline(400, 500, *corners), CropSettings())
    assert (box.x0, box.y0, box.x1, box.y1) == expected


def test_a_box_too_large_for_the_picture_reaches_outside():
    # 300x100 in a picture of 300x100: no room for a margin; height int(300 * 1.8) = 540, 220 on either side.
    mask = outline(100, 300, 0, 0, 300, 100)
    assert person_box(mask, CropSettings()) == CropBox(0, -220, 300, 320)


def test_a_box_that_touches_a_border_exactly_is_not_moved():
    # 20x90 at x 10..30, y 10..100 of 48x100: margin 4 -> x 8..32 and y 8..102, moved up to 6..100.
    # Width int(94 / 1.8) = 52: x -6..46, moved right by the two pixels that are left.
    assert person_box(outline(100, 48, 10, 10, 30, 100), CropSettings()) == CropBox(-4, 6, 48, 100)
    # One pixel to the right it is -5..47 and moves by one; at 12, -4..48 touches the border and stays.
    assert person_box(outline(100, 48, 11, 10, 31, 100), CropSettings()) == CropBox(-4, 6, 48, 100)
    assert person_box(outline(100, 48, 12, 10, 32, 100), CropSettings()) == CropBox(-4, 6, 48, 100)
    # At 13: -3..49 sticks out on both sides: kept.
    assert person_box(outline(100, 48, 13, 10, 33, 100), CropSettings()) == CropBox(-3, 6, 49, 100)


def test_a_person_who_fills_the_box_gets_background():
    # A full 58x106 rectangle at the aspect: after the margin (7) 65x113 -> height int(65 * 1.8) = 117.
    mask = rectangle(400, 500, 200, 100, 258, 206)
    box = person_box(mask, CropSettings())
    share = 58 * 106 / (65 * 117)
    scale = (share / 0.7) ** 0.5
    assert (box.width, box.height) == (-(-65 * scale // 1), -(-117 * scale // 1))
    assert 1 - 58 * 106 / (box.width * box.height) >= 0.3


def test_other_aspects_margins_and_shares():
    mask = outline(400, 500, 200, 150, 240, 250)
    box = person_box(mask, CropSettings(height=128, width=128, margin=0.5))
    # margin int(63.2 / 2) = 31 -> 71x131 -> 131x131.
    assert (box.width, box.height) == (131, 131)


def test_small_people_and_empty_masks_have_no_box():
    # 16x24: margin 1 -> 17x25, height int(17 * 1.8) = 30: 510 pixels (and more for the background share).
    mask = rectangle(100, 100, 40, 40, 56, 64)
    assert person_box(mask, CropSettings()) is None
    assert person_box(mask, CropSettings(minimum_area=400)) is not None
    assert person_box(torch.zeros(17, 9, dtype=torch.bool), CropSettings(minimum_area=1)) is None
    assert tight_box(rectangle(17, 9, 8, 16, 9, 17)) == CropBox(8, 16, 9, 17)


def test_order_is_by_area_and_stable():
    sizes = [30, 10, 30, 20]
    assert processing_order([rectangle(50, 50, 0, 0, size, 10) for size in sizes]) == [1, 3, 0, 2]
    assert processing_order([]) == []


def test_groups_are_runs_that_do_not_meet():
    a, b, c = CropBox(0, 0, 10, 10), CropBox(10, 0, 20, 10), CropBox(5, 5, 15, 15)
    assert disjoint_groups([a, b, c]) == [[0, 1], [2]]
    assert disjoint_groups([a, c, b]) == [[0], [1], [2]]
    assert disjoint_groups([a, a]) == [[0], [1]]
    assert disjoint_groups([]) == []
