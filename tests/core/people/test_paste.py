from __future__ import annotations

import pytest
import torch
from anyone.core.people import (
    CropBox,
    CropSettings,
    Person,
    PersonCrop,
    crop_person,
    paste_person,
    person_box,
)

SETTINGS = CropSettings(height=144, width=80)


def picture_of(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(height))


def disc(height: int, width: int, x: float, y: float, radius: float) -> torch.Tensor:
    rows, columns = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius ** 2


def cut(picture: torch.Tensor, mask: torch.Tensor, settings: CropSettings = SETTINGS) -> PersonCrop:
    box = person_box(mask, settings)
    assert box is not None
    return crop_person(picture, Person(mask, torch.zeros(17, 3)), box, settings)


@pytest.mark.parametrize("feather", [0.0, 3.0])
@pytest.mark.parametrize(("x", "y"), [(60, 50), (5, 5), (99, 79), (50, 0)])
def test_outside_the_hole_is_bit_identical(x, y, feather):
    picture, mask = picture_of(80, 100), disc(80, 100, x, y, 22)
    crop = cut(picture, mask)
    before = picture.clone()
    pasted = paste_person(picture, torch.full((3, 144, 80), 0.5), crop, feather=feather)
    changed = (pasted != picture).any(0)
    assert torch.equal(picture, before)
    assert (changed & mask).sum() > 0.97 * mask.sum()                # nearest resizing loses a few at the rim
    near = disc(80, 100, x, y, 22 + 5)
    assert not (changed & ~near).any()
    assert torch.equal(pasted[:, ~changed], picture[:, ~changed])


def test_hard_paste_writes_the_rounded_result():
    picture, mask = picture_of(80, 100), disc(80, 100, 60, 50, 22)
    pasted = paste_person(picture, torch.full((3, 144, 80), 0.4), cut(picture, mask))
    changed = (pasted != picture).any(0)
    assert pasted[:, changed].unique().tolist() == pytest.approx([102 / 255])
    over = paste_person(picture, torch.full((3, 144, 80), 7.0), cut(picture, mask))
    assert float(over[:, changed].min()) == float(over.max()) == 1


def test_same_size_paste_is_exact():
    picture = picture_of(50, 40)
    mask = torch.zeros(50, 40, dtype=torch.bool)
    mask[10:40, 10:30] = True
    part = mask[None, 2:38, 5:25]
    crop = PersonCrop(CropBox(5, 2, 25, 38), torch.zeros(3, 36, 20), part.float(), part.float(),
                      torch.zeros(17, 3), part)
    result = picture_of(36, 20)
    pasted = paste_person(picture, result, crop)
    hole = torch.zeros_like(mask)
    hole[2:38, 5:25] = mask[2:38, 5:25]
    assert torch.equal(pasted[:, ~hole], picture[:, ~hole])
    assert torch.equal(pasted[:, 10:38, 10:25], (result[:, 8:36, 5:20] * 255).round() / 255)


def test_feather_fades_inwards_and_never_over_the_person():
    black, one = torch.zeros(3, 144, 80), torch.ones(3, 144, 80)
    hole, person = torch.zeros(1, 144, 80), torch.zeros(1, 144, 80)
    hole[:, 20:120, 10:70] = 1
    person[:, 22:118, 30:50] = 1
    crop = PersonCrop(CropBox(0, 0, 80, 144), black, hole, person, torch.zeros(17, 3), person > 0)
    row = paste_person(black, one, crop, feather=4)[0, 70]
    assert row[8:16].tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    column = paste_person(black, one, crop, feather=4)[0, :, 40]
    assert column[18:24].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])
    assert paste_person(black, one, crop)[0, 70, 8:12].tolist() == [0, 0, 1, 1]


def test_feather_does_not_fade_at_the_border_of_the_picture():
    hole = torch.ones(1, 144, 80)
    nobody = torch.zeros(1, 72, 40, dtype=torch.bool)
    crop = PersonCrop(CropBox(-20, -36, 60, 108), torch.zeros(3, 144, 80), hole, 0 * hole, torch.zeros(17, 3),
                      nobody)
    pasted = paste_person(torch.zeros(3, 72, 40), torch.ones(3, 144, 80), crop, feather=8)
    assert float(pasted.min()) == 1


@pytest.mark.parametrize("x0", [-500, 500])
def test_box_far_outside_changes_nothing(x0):
    picture = picture_of(9, 17)
    hole = torch.ones(1, 144, 80)
    crop = PersonCrop(CropBox(x0, 0, x0 + 40, 72), torch.zeros(3, 144, 80), hole, hole, torch.zeros(17, 3),
                      torch.zeros(1, 9, 0, dtype=torch.bool))
    for feather in (0.0, 2.0):
        assert torch.equal(paste_person(picture, torch.ones(3, 144, 80), crop, feather=feather), picture)


@pytest.mark.parametrize(("height", "width"), [(17, 9), (9, 17), (3000, 4000)])
def test_tiny_and_large_pictures(height, width):
    picture, mask = torch.zeros(3, height, width), disc(height, width, width / 2, height / 2, width / 3)
    settings = CropSettings(minimum_area=1)
    crop = cut(picture, mask, settings)
    assert crop.image.shape == (3, 288, 160)
    pasted = paste_person(picture, torch.ones(3, 288, 160), crop)
    assert pasted.shape == picture.shape
    area = float(pasted[0].sum() / mask.sum())
    assert 1 <= area < 1.5


@pytest.mark.parametrize("feather", [1.0, 20.0])
def test_no_pixel_of_the_old_person_shines_through(feather):
    """A red person on grey, painted grey: what is left of the red is interpolation at most."""
    picture, mask = torch.full((3, 576, 320), 0.5), disc(576, 320, 150, 250, 90)
    picture[:, mask] = torch.tensor([1.0, 0.0, 0.0])[:, None]
    crop = cut(picture, mask)
    grey = torch.where(crop.mask > 0, torch.tensor(0.5), crop.image)
    pasted = paste_person(picture, grey, crop, feather=feather)
    assert float((pasted[0] - pasted[1]).abs().max()) < 0.02
