"""Convolutions by every route of core/winograd.py against torch's own in float64."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from anyone.core.winograd import F2, F3, F4, Pool, _tap_products, _winograd, conv2x2, conv3x3, room_2x2

CPU = torch.device("cpu")


def problem(batch, height, width, channels, outputs, taps=3):
    """A picture with its border, filters, and what comes out at `height` x `width` pixels."""
    rng = torch.Generator().manual_seed(height * channels + outputs)
    padded = torch.randn(batch, height + taps - 1, width + taps - 1, channels, generator=rng)
    weight = torch.randn(taps, taps, channels, outputs, generator=rng)
    expected = F.conv2d(padded.permute(0, 3, 1, 2).double(), weight.permute(3, 2, 0, 1).double())
    return padded, weight, expected.permute(0, 2, 3, 1)


def relative_error(found, expected):
    return ((found.double() - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.parametrize(("batch", "height", "width", "channels", "outputs"), [
    (2, 24, 40, 64, 96),       # Winograd, several strips a picture
    (1, 256, 20, 64, 64),
    (1, 24, 24, 512, 500),     # Winograd, filters in several blocks
    (1, 9, 5, 64, 64),         # nine products: odd
    (1, 8, 8, 64, 128),        # nine products: too few tiles
    (2, 24, 20, 64, 3),        # project first
    (2, 24, 20, 16, 16),       # direct: too few channels
    (1, 6, 4, 5, 3),
])
def test_float32_agrees_with_a_direct_convolution(batch, height, width, channels, outputs):
    padded, weight, expected = problem(batch, height, width, channels, outputs)
    out = torch.ones(expected.shape)
    conv3x3(padded, weight, out, Pool(CPU))
    assert relative_error(out, expected + 1) < 2e-6


@pytest.mark.parametrize(("height", "width", "channels"), [
    (24, 39, 64),              # Winograd, several strips a picture
    (300, 15, 64),
    (25, 39, 64),              # a product per tap: odd
    (18, 9, 64),               # too few pixels
    (24, 39, 16),              # too few channels
])
def test_2x2_agrees_with_a_direct_convolution(height, width, channels):
    padded, weight, expected = problem(2, height, width, channels, 96, taps=2)
    out = torch.ones(expected.shape)
    conv2x2(padded, weight, out, Pool(CPU))
    assert relative_error(out, expected + 1) < 1e-6


def test_room_is_made_where_whole_tiles_pay():
    assert room_2x2(33, 17) == (33, 18) and room_2x2(65, 65) == (66, 66)
    assert room_2x2(17, 9) == (17, 9)


@pytest.mark.parametrize(("filtering", "dtype", "limit"), [
    (F4, torch.float32, 2e-6), (F2, torch.float32, 1e-6), (F2, torch.bfloat16, 1e-2),
    (F3, torch.float32, 1e-6), (F3, torch.bfloat16, 1e-2)])
def test_each_filtering(filtering, dtype, limit):
    padded, weight, expected = problem(2, 24, 12, 32, 48, filtering.taps)
    out = torch.zeros(expected.shape, dtype=dtype)
    _winograd(padded.to(dtype), weight, out, filtering, Pool(CPU))
    assert relative_error(out, expected) < limit


def test_bfloat16_rounds_about_as_much_as_a_direct_convolution():
    padded, weight, expected = problem(1, 24, 40, 64, 64)
    fast, direct = (torch.zeros(expected.shape, dtype=torch.bfloat16) for _ in range(2))
    conv3x3(padded.bfloat16(), weight, fast, Pool(CPU))
    _tap_products(padded.bfloat16(), weight, direct)
    assert relative_error(fast, expected) < 2 * relative_error(direct, expected) < 0.02


def test_a_picture_gives_the_same_bits_alone_and_in_a_batch():
    padded, weight, expected = problem(3, 24, 40, 64, 64)
    together, alone = torch.zeros(expected.shape), torch.zeros(1, *expected.shape[1:])
    conv3x3(padded, weight, together, Pool(CPU))
    conv3x3(padded[1:2], weight, alone, Pool(CPU))
    assert torch.equal(together[1:2], alone)


def test_pool_reuses_the_smallest_block_that_fits():
    pool = Pool(CPU)
    large, small = pool.take(100), pool.take(10)
    addresses = large.data_ptr(), small.data_ptr()
    pool.give(large[5:], small)
    again = pool.take(4, 5, dtype=torch.bfloat16)
    assert again.data_ptr() == addresses[1] and again.shape == (4, 5)
    assert pool.take(11).data_ptr() == addresses[0]
