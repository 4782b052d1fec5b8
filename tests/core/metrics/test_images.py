"""SSIM, RMSE, PSNR and colours of regions, against scikit-image and by hand."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.metrics import images
from anyone.core.metrics.images import (
    DEFORMABLE_GAN,
    PG2,
    WANG,
    compare_pictures,
    mean_difference,
    psnr,
    region_colour_error,
    region_colours,
    rmse,
    ssim,
    ssim_map,
)


def pictures(*shape, seed=0):
    """Two smooth noisy pictures 0..1, alike."""
    random = torch.Generator().manual_seed(seed)
    small = torch.rand(shape[0], shape[1], 6, 5, generator=random)
    a = torch.nn.functional.interpolate(small, shape[2:], mode="bilinear")
    return a, (a + 0.15 * torch.randn(shape, generator=random)).clamp(0, 1)


@pytest.fixture(scope="module")
def skimage():
    return pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")


@pytest.mark.parametrize("window, options", [
    (WANG, {"gaussian_weights": True, "use_sample_covariance": False}),
    (PG2, {"win_size": 7})], ids=["gaussian", "uniform"])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_ssim_is_that_of_scikit_image(skimage, window, options, data_range):
    a, b = (data_range * picture for picture in pictures(3, 3, 40, 33))
    found = ssim(a, b, window, data_range)
    for i in range(3):
        expected, plane = skimage.structural_similarity(
            a[i].double().numpy(), b[i].double().numpy(), channel_axis=0, data_range=data_range, full=True,
            **options)
        edge = window.border
        inner = torch.from_numpy(plane)[None, :, edge:-edge, edge:-edge]
        torch.testing.assert_close(ssim_map(a, b, window, data_range)[i:i + 1], inner, rtol=0, atol=1e-9)
        assert float(found[i]) == pytest.approx(expected, abs=1e-9)


def test_ssim_under_a_mask_is_the_mean_of_scikit_images_plane_there(skimage):
    a, b = pictures(1, 3, 30, 30)
    mask = torch.zeros(1, 30, 30)
    mask[:, 8:20, 3:12] = 1
    _, plane = skimage.structural_similarity(
        a[0].double().numpy(), b[0].double().numpy(), channel_axis=0, data_range=1.0, full=True,
        gaussian_weights=True, use_sample_covariance=False)
    assert float(ssim(a, b, mask=mask)) == pytest.approx(plane[:, 8:20, 5:12].mean(), abs=1e-9)


def test_psnr_and_rmse_are_those_of_scikit_image(skimage):
    a, b = pictures(1, 3, 20, 17)
    mean_square = skimage.mean_squared_error(a.double().numpy(), b.double().numpy())
    assert float(rmse(a, b)) == pytest.approx(math.sqrt(mean_square), abs=1e-12)
    assert float(psnr(a, b)) == pytest.approx(
        skimage.peak_signal_noise_ratio(a.double().numpy(), b.double().numpy(), data_range=1.0), abs=1e-9)
    assert float(psnr(255 * a, 255 * b, 255)) == pytest.approx(float(psnr(a, b)), abs=1e-5)


@pytest.mark.parametrize("strip", [1, 200])
def test_large_pictures_are_compared_in_strips_and_nobody_sees_it(monkeypatch, strip):
    a, b = pictures(2, 3, 40, 33)
    for window in (WANG, DEFORMABLE_GAN, PG2):
        whole = ssim_map(a, b, window)
        with monkeypatch.context() as patch:
            patch.setattr(images, "STRIP", strip)
            assert torch.equal(ssim_map(a, b, window), whole)


def test_ssim_of_flat_pictures_by_hand():
    """Without variance only the brightness term is left."""
    a, b = torch.full((1, 3, 11, 11), 0.5), torch.full((1, 3, 11, 11), 0.25)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    for window in (WANG, DEFORMABLE_GAN, PG2):
        assert float(ssim(a, b, window)) == pytest.approx(expected, abs=1e-12)
        assert float(ssim(a, a, window)) == pytest.approx(1, abs=1e-12)


def test_ssim_of_a_uniform_window_by_hand():
    """One window of 49 pixels, one of them white, against its negative."""
    a = torch.zeros(1, 1, 7, 7)
    a[..., 2, 4] = 1
    mean, variance = 1 / 49, 1 / 49 * (1 - 1 / 49) * 49 / 48
    expected = ((2 * mean * (1 - mean) + 1e-4) / (mean**2 + (1 - mean)**2 + 1e-4)
                * (-2 * variance + 9e-4) / (2 * variance + 9e-4))
    assert float(ssim(a, 1 - a, PG2)) == pytest.approx(expected, abs=1e-12)


def test_the_data_range_may_differ_from_picture_to_picture():
    a, b = pictures(2, 3, 16, 16)
    ranges = torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    each = [float(ssim(a[i:i + 1], b[i:i + 1], data_range=size)) for i, size in enumerate((1.0, 0.5))]
    assert ssim(a, b, data_range=ranges).tolist() == pytest.approx(each, abs=1e-9)


def test_flat_bright_pictures_do_not_lose_digits():
    """A difference of variances in float32 would be off by several per cent here."""
    a = torch.full((1, 1, 11, 11), 250.0)
    a[..., ::2] += 0.5
    b = a.flip(-1)
    assert float(ssim(a, b, data_range=1.0)) == pytest.approx(1, abs=1e-9)
    assert float(ssim(a, a.roll(1, -1), data_range=1.0)) < -0.9


def test_differences_by_hand():
    a, b = torch.zeros(2, 3, 12, 12), torch.zeros(2, 3, 12, 12)
    b[0, 0] = 0.6                                         # one channel of three, everywhere
    b[1, :, :6] = 1                                       # half of the picture
    assert rmse(a, b).tolist() == pytest.approx([math.sqrt(0.12), math.sqrt(0.5)])
    assert mean_difference(a, b).tolist() == pytest.approx([0.2, 0.5])
    assert psnr(a, b).tolist() == pytest.approx([-10 * math.log10(0.12), -10 * math.log10(0.5)])


def test_bytes_are_not_subtracted_as_bytes():
    a, b = (torch.full((1, 3, 11, 11), value, dtype=torch.uint8) for value in (10, 250))
    assert float(rmse(a, b)) == 240 and float(mean_difference(a, b)) == 240


def test_equal_pictures():
    a, _ = pictures(1, 3, 16, 16)
    scores = compare_pictures(a, a)
    assert (float(scores.ssim), float(scores.rmse), float(scores.psnr)) == (pytest.approx(1), 0, math.inf)


def test_only_pixels_under_the_mask_count_and_grey_ones_in_part():
    a, b = torch.zeros(1, 3, 12, 12), torch.zeros(1, 3, 12, 12)
    b[..., 0], b[..., 1] = 1, 0.5
    mask = torch.zeros(1, 12, 12)
    mask[..., 1], mask[..., 2] = 1, 0.5
    assert float(mean_difference(a, b, mask)) == pytest.approx(0.5 / 1.5)
    assert float(rmse(a, b, mask)) == pytest.approx(math.sqrt(0.25 / 1.5))


def test_an_empty_mask_leaves_no_score():
    a, b = pictures(2, 3, 16, 16)
    mask = torch.stack([torch.zeros(16, 16), torch.ones(16, 16)])
    scores, whole = compare_pictures(a, b, mask), compare_pictures(a, b)
    for name in ("ssim", "rmse", "psnr"):
        empty, full = getattr(scores, name).tolist()
        assert math.isnan(empty) and full == pytest.approx(float(getattr(whole, name)[1]))


def test_the_smallest_picture_has_one_window():
    a, b = pictures(1, 3, 11, 11)
    assert ssim_map(a, b).shape == (1, 3, 1, 1)
    with pytest.raises(ValueError, match="at least 11x11 pixels; these are 30x10"):
        ssim(a[..., :10, :].repeat(1, 1, 1, 3)[..., :30], b[..., :10, :].repeat(1, 1, 1, 3)[..., :30])


@pytest.mark.parametrize("a, b, words", [
    (torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 17), r"\[1, 3, 16, 16\] and \[1, 3, 16, 17\]"),
    (torch.zeros(2, 3, 16, 16), torch.zeros(1, 3, 16, 16), "one shape"),
    (torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), "N,C,H,W"),
    (torch.zeros(0, 3, 16, 16), torch.zeros(0, 3, 16, 16), "not empty"),
    (torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), torch.nan), "NaN")])
@pytest.mark.parametrize("score", [ssim, rmse, psnr, mean_difference])
def test_what_cannot_be_compared_is_refused(score, a, b, words):
    with pytest.raises(ValueError, match=words):
        score(a, b)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"16x16 like the pictures, one per picture; got shape \[1, 8, 8\]"):
        rmse(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), torch.ones(1, 8, 8))


def test_region_colours_by_hand():
    image = torch.zeros(2, 3, 2, 2)
    image[0, 0], image[1, 1] = torch.tensor([[1.0, 0.5], [0.0, 0.0]]), 0.25
    labels = torch.tensor([[[0, 0], [2, 2]], [[1, 1], [1, 1]]], dtype=torch.uint8)
    found = region_colours(image, labels, 3)
    assert found[0, 0].tolist() == [0.75, 0, 0] and found[0, 2].tolist() == [0, 0, 0]
    assert found[1, 1].tolist() == [0, 0.25, 0]
    assert found.isnan().all(-1).tolist() == [[False, True, False], [True, False, True]]


def test_the_error_of_a_regions_colour_does_not_ask_where_it_is():
    image, reference = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 6)
    labels, others = torch.zeros(1, 4, 4), torch.ones(1, 2, 6)
    labels[:, :2], others[..., :2] = 1, 0
    image[:, :, :2] = 0.5
    reference[:, 0, :, 2:] = 0.2
    error = region_colour_error(image, labels.long(), reference, others.long(), 3)
    assert error[0, :2].tolist() == pytest.approx([0, (0.3 + 0.5 + 0.5) / 3])
    assert error[0, 2].isnan()


@pytest.mark.parametrize("labels, words", [
    (torch.zeros(1, 4, 5, dtype=torch.long), "4x4 like the pictures"),
    (torch.full((1, 4, 4), 3), r"0\.\.2; got 3\.\.3"), (torch.full((1, 4, 4), -1), r"got -1\.\.-1")])
def test_labels_of_no_region_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        region_colours(torch.zeros(1, 3, 4, 4), labels, 3)
