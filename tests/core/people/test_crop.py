from __future__ import annotations

from pathlib import Path

import pytest
import torch
from anyone.core.people import CropBox, CropSettings, Person, crop_person, person_box, processing_order
from anyone.core.people.crop import dilate, resize_nearest
from safetensors.torch import load_file

CASE = Path(__file__).parents[2] / "golden" / "triagan-pose-input" / "case.safetensors"
NOBODY = torch.zeros(17, 3)


def unpack(packed: torch.Tensor, *shape: int) -> torch.Tensor:
    bits = (packed[:, None] >> torch.arange(7, -1, -1)) & 1
    return bits.flatten()[:torch.Size(shape).numel()].view(shape).bool()


def test_golden_case():
    case = load_file(CASE)
    picture = case["in.pl_image_u8"] / 255
    masks = unpack(case["in.pl_segmentation_packed_u8"], 6, 330, 240)
    people = [Person(masks[i], case["in.pl_keypoints"][i]) for i in processing_order(list(masks))]
    boxes = [(person, person_box(person.mask, CropSettings())) for person in people]
    crops = [crop_person(picture, person, box, CropSettings()) for person, box in boxes if box]
    found = torch.tensor([[c.box.x0, c.box.y0, c.box.x1, c.box.y1] for c in crops])
    assert torch.equal(found.float(), case["out.pl_boxes"])
    holes, segmentations = torch.stack([c.mask for c in crops]), torch.stack([c.segmentation for c in crops])
    assert torch.equal(holes < 0.5, unpack(case["out.pl_mask_packed_u8"], 5, 1, 288, 160))
    assert torch.equal(segmentations < 0.5, unpack(case["out.pl_maskrcnn_mask_packed_u8"], 5, 1, 288, 160))
    assert torch.allclose(torch.stack([c.keypoints for c in crops]), case["out.pl_keypoints"], atol=1e-6)
    pictures = (torch.stack([c.image for c in crops]) * 255).round()
    for found, name in ((pictures[:1], "crop0"), (pictures[1:4, :, ::4, ::4], "crop_mid_stride4"),
                        (pictures[4:, :, ::2, ::2], "crop_last_stride2")):
        assert int((found - case[f"out.pl_{name}_u8"].float()).abs().max()) <= 1


def test_size_that_fits_is_only_rounded():
    picture = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(1))
    person = Person(torch.ones(40, 30).bool(), NOBODY)
    crop = crop_person(picture, person, CropBox(4, 2, 24, 32), CropSettings(30, 20))
    assert torch.equal(crop.image, (picture[:, 2:32, 4:24] * 255).round() / 255)
    assert crop.segmentation.min() == 1


def test_outside_is_black_and_not_the_person():
    settings = CropSettings(height=36, width=20, dilation=0.2)
    person = Person(torch.ones(40, 30).bool(), NOBODY)
    crop = crop_person(torch.ones(3, 40, 30), person, CropBox(-5, -18, 15, 18), settings)
    assert crop.image[:, :17].max() == 0
    assert crop.image[:, 19:, 6:].min() == 1
    assert crop.segmentation[0].sum() == 18 * 15
    assert torch.equal(crop.mask, crop.segmentation)                 # the rim would lie outside the picture


@pytest.mark.parametrize("x0", [-500, 500])
def test_box_far_outside(x0):
    person = Person(torch.ones(9, 17).bool(), torch.ones(17, 3))
    crop = crop_person(torch.ones(3, 9, 17), person, CropBox(x0, 0, x0 + 40, 72), CropSettings(144, 80))
    assert crop.image.shape == (3, 144, 80)
    assert float(crop.image.max()) == float(crop.mask.max()) == float(crop.keypoints[:, 2].max()) == 0


def test_small_boxes_repeat_pixels_and_large_ones_interpolate():
    picture = torch.zeros(3, 40, 40)
    picture[:, :, 20:] = 1
    person = Person(torch.zeros(40, 40).bool(), NOBODY)
    settings = CropSettings(height=36, width=20)
    small = crop_person(picture, person, CropBox(15, 2, 30, 29), settings).image
    assert set(small.unique().tolist()) == {0, 1}
    large = crop_person(picture, person, CropBox(1, 0, 40, 40), settings).image
    assert len(large.unique()) > 2
    # Quirk: of a box that sticks out only the part inside counts.
    outside = crop_person(picture, person, CropBox(25, 5, 64, 75), settings).image
    assert set(outside.unique().tolist()) == {0, 1}


def test_keypoints_are_shares_of_the_box_and_vanish_outside():
    keypoints = torch.zeros(17, 3)
    keypoints[:4] = torch.tensor([[10, 20, 1], [30, 56, 1], [30.5, 30, 1], [20, 30, 0]])
    person = Person(torch.zeros(60, 60).bool(), keypoints)
    crop = crop_person(torch.zeros(3, 60, 60), person, CropBox(10, 20, 30, 56), CropSettings())
    expected = torch.tensor([[0, 0, 1], [1, 1, 1], [1.025, 10 / 36, 0], [0.5, 10 / 36, 0]])
    assert torch.allclose(crop.keypoints[:4], expected)


@pytest.mark.parametrize("radius", [0, 1, 4, 9])
def test_dilation_is_a_disc(radius):
    mask = torch.zeros(1, 31, 31)
    mask[0, 15, 15] = 1
    y, x = torch.meshgrid(torch.arange(31) - 15, torch.arange(31) - 15, indexing="ij")
    assert torch.equal(dilate(mask, radius)[0], (x ** 2 + y ** 2 <= radius ** 2).float())
    assert dilate(torch.zeros(1, 5, 5), radius).sum() == 0


def test_nearest_is_the_floor_rule():
    assert resize_nearest(torch.arange(5.0).view(1, 1, 5), 1, 3).tolist() == [[[0, 1, 3]]]
    assert resize_nearest(torch.arange(3.0).view(1, 1, 3), 1, 5).tolist() == [[[0, 0, 1, 1, 2]]]


def test_sizes_must_agree():
    person = Person(torch.zeros(8, 9).bool(), NOBODY)
    with pytest.raises(ValueError, match="mask is 9x8 but the picture 10x8"):
        crop_person(torch.zeros(3, 8, 10), person, CropBox(0, 0, 5, 9), CropSettings())
