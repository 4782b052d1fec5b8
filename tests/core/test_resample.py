import cv2
import numpy as np
import pytest
import torch
from anyone.core.resample import blurred, cubic


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((37, 23))


@pytest.mark.parametrize("size", [(37, 23), (80, 51), (9, 100), (1, 1)])
def test_cubic_is_opencvs(picture, size):
    height, width = size
    ours = cubic(cubic(torch.from_numpy(picture), height).T, width).T
    theirs = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_cubic_by_an_exact_factor(picture):
    ours = cubic(cubic(torch.from_numpy(picture), round(37 * 0.61), 0.61).T, 14, 0.61).T
    theirs = cv2.resize(picture, None, fx=0.61, fy=0.61, interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize(("sigma", "radius"), [(3.0, 12), (0.8, 5), (3.0, 40)])
def test_blur_mirrors_the_border_with_its_pixel(picture, sigma, radius):
    ours = blurred(torch.from_numpy(picture), sigma, radius).numpy()
    padded = np.pad(picture, ((radius, radius), (0, 0)), mode="symmetric")
    kernel = cv2.getGaussianKernel(2 * radius + 1, sigma)[:, 0]
    theirs = np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_steps_fold_into_a_matrix(picture):
    matrix = blurred(cubic(torch.eye(37, dtype=torch.float64), 90), 3.0, 12)
    steps = blurred(cubic(torch.from_numpy(picture), 90), 3.0, 12)
    torch.testing.assert_close(matrix @ torch.from_numpy(picture), steps)
