"""Compare Images: the numbers, the difference, masks, batches and bad input."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.metrics.images import compare_pictures
from anyone.nodes import AnyoneCompareImages


@pytest.fixture
def darker(image):
    return image * 0.8


def scores_of(a, b, mask=None):
    scores = compare_pictures(a.movedim(-1, 1), b.movedim(-1, 1), mask)
    return [float(values.mean()) for values in (scores.ssim, scores.rmse, scores.psnr)]


def test_two_pictures(run, image, darker):
    output = run(AnyoneCompareImages, image_a=image, image_b=darker)
    *scores, difference, note = output.args
    assert scores == pytest.approx(scores_of(image, darker))
    torch.testing.assert_close(difference, image - darker)
    assert note == "SSIM {:.4f}, RMSE {:.4f}, PSNR {:.2f} dB.".format(*scores)
    assert output.ui["text"] == [note]


def test_equal_pictures(run, image):
    ssim, rmse, psnr, difference, note = run(AnyoneCompareImages, image_a=image, image_b=image).args
    assert (ssim, rmse, psnr) == (pytest.approx(1), 0, math.inf)
    assert not difference.any() and note.endswith("PSNR inf dB.")


def test_only_pixels_under_the_mask_count(run, image):
    other, mask = image.clone(), torch.zeros(1, 80, 120)
    other[:, :30] = 1 - other[:, :30]
    mask[:, 40:] = 1                                      # out of reach of what was changed
    ssim, rmse, psnr, difference, _ = run(AnyoneCompareImages, image_a=image, image_b=other, mask=mask).args
    assert (ssim, rmse, psnr) == (pytest.approx(1), 0, math.inf) and not difference.any()
    mask[:, 10:] = 0.5
    *scores, difference, _ = run(AnyoneCompareImages, image_a=image, image_b=other, mask=mask).args
    assert scores == pytest.approx(scores_of(image, other, mask)) and scores[0] < 0.8
    torch.testing.assert_close(difference[:, 20], (image - other).abs()[:, 20] / 2)
    assert not difference[:, :10].any()


def test_a_mask_of_another_size_is_scaled(run, image, darker):
    mask = torch.zeros(1, 8, 12)
    mask[..., 6:] = 1
    left = run(AnyoneCompareImages, image_a=image, image_b=darker, mask=mask).args[3][0, :, :50]
    assert not left.any()


def test_batches_repeat_to_the_longest(run, image, darker):
    pictures = torch.cat([image, darker, image])
    *scores, difference, note = run(AnyoneCompareImages, image_a=pictures, image_b=darker).args
    expected = [scores_of(one[None], darker) for one in pictures]
    assert scores[:2] == pytest.approx([sum(row[i] for row in expected) / 3 for i in range(2)])
    assert scores[2] == math.inf and len(difference) == 3
    first, *lines = note.splitlines()
    assert first.startswith("Mean of 3 of 3 pictures: SSIM ") and len(lines) == 3
    assert lines[1] == "Picture 2: SSIM 1.0000, RMSE 0.0000, PSNR inf dB."


def test_a_picture_with_an_empty_mask_does_not_count(run, image, darker):
    mask = torch.stack([torch.zeros(80, 120), torch.ones(80, 120)])
    *scores, difference, note = run(AnyoneCompareImages, image_a=image, image_b=darker, mask=mask).args
    assert scores == pytest.approx(scores_of(image, darker)) and not difference[0].any()
    assert note.splitlines()[0].startswith("Mean of 1 of 2 pictures: ")
    assert note.splitlines()[1] == "Picture 1: nothing to compare under the mask."


def edge():
    mask = torch.zeros(1, 80, 120)
    mask[:, :5] = 1
    return mask


@pytest.mark.parametrize("mask", [torch.zeros(1, 64, 64), edge(), torch.full((1, 80, 120), torch.nan)],
                         ids=["placeholder", "border", "NaN"])
def test_masks_that_leave_nothing_are_refused(run, image, darker, mask):
    with pytest.raises(ValueError, match="mask leaves nothing to compare"):
        run(AnyoneCompareImages, image_a=image, image_b=darker, mask=mask)


@pytest.mark.parametrize("name, broken, words", [
    ("image_b", torch.zeros(1, 80, 100, 3), "image_b should be of the size of image_a, 120x80; it is 100x80"),
    ("image_a", torch.full((1, 80, 120, 3), torch.nan), "image_a holds NaN"),
    ("image_b", torch.zeros(0, 80, 120, 3), "image_b is empty"),
    ("image_a", torch.zeros(80, 120), "image_a should be"),
    ("mask", torch.zeros(1, 2, 3, 4, 5), "mask should be")])
def test_broken_inputs_are_refused_by_name(run, image, name, broken, words):
    with pytest.raises(ValueError, match=words):
        run(AnyoneCompareImages, **{"image_a": image, "image_b": image, name: broken})


def test_pictures_smaller_than_the_window_are_refused(run, image):
    small = image[:, :8, :9]
    with pytest.raises(ValueError, match="at least 11x11 pixels; these are 9x8"):
        run(AnyoneCompareImages, image_a=small, image_b=small)


def test_alpha_and_grey_are_taken(run, image):
    with_alpha = torch.cat([image, torch.zeros(1, 80, 120, 1)], -1)
    assert run(AnyoneCompareImages, image_a=with_alpha, image_b=image).args[1] == 0
    grey = image[..., :1]
    assert run(AnyoneCompareImages, image_a=grey, image_b=grey.expand(-1, -1, -1, 3)).args[1] == 0
