"""How near pictures come to others: SSIM, RMSE, PSNR, mean difference, and the colours of their regions.

Pictures are [N,C,H,W] of one shape, numbers of any type; everything is computed in float64. A mask [N,H,W],
0..1, weighs the pixels. A picture whose mask leaves nothing to measure scores NaN.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_taps(sigma: float, radius: int) -> tuple[float, ...]:
    heights = [math.exp(-0.5 * (i / sigma)**2) for i in range(-radius, radius + 1)]
    return tuple(height / sum(heights) for height in heights)


@dataclass(frozen=True)
class Window:
    """What SSIM sees round a pixel.

    `taps`: weights along one axis, which add up to 1. `border`: how many pixels at each side of the picture
    are no centre of a window; a longer reach sees the last pixel repeated. `unbiased`: variance and
    covariance of a sample, n/(n-1) times those of the n pixels.
    """

    taps: tuple[float, ...]
    border: int
    unbiased: bool = False


WANG = Window(gaussian_taps(1.5, 5), 5)                   # of the paper
DEFORMABLE_GAN = Window(gaussian_taps(1.5, 6), 5)         # of the published scores of Siarohin et al. 2018
PG2 = Window((1 / 7,) * 7, 3, unbiased=True)              # of the published scores of Ma et al. 2017
STRIP = 1 << 16                                           # pixels compared at a time: they stay in the cache


@dataclass(frozen=True, eq=False)
class Similarity:
    """[N] float64 each: `ssim` up to 1, `rmse` from 0 (black against white is 1), `psnr` in dB."""

    ssim: Tensor
    rmse: Tensor
    psnr: Tensor


def compare_pictures(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Similarity:
    """All three scores of pictures 0..1; raises as `ssim_map` does."""
    return Similarity(ssim(a, b, mask=mask), rmse(a, b, mask), psnr(a, b, mask=mask))


def ssim(a: Tensor, b: Tensor, window: Window = WANG, data_range: float | Tensor = 1.0,
         mask: Tensor | None = None) -> Tensor:
    """The mean of `ssim_map` over channels and pixels: [N]."""
    similarity = ssim_map(a, b, window, data_range).mean(1)                        # [N,h,w]
    inner = None if mask is None else without_border(mask, window.border)
    return weighted_mean(similarity, inner)


def ssim_map(a: Tensor, b: Tensor, window: Window = WANG, data_range: float | Tensor = 1.0) -> Tensor:
    """Structural similarity at every pixel but the window's border, [N,C,H-2*border,W-2*border].

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13 with
    K1 = 0.01 and K2 = 0.03. `data_range`: of the values, one number or [N,1,1,1]. Raises ValueError for
    pictures of two shapes, with NaN, or smaller than the window.
    """
    _expect_pair(a, b)
    least = 2 * window.border + 1
    if min(a.shape[2:]) < least:
        raise ValueError(f"SSIM needs pictures of at least {least}x{least} pixels; these are {_size(a)}.")
    reach = [len(window.taps) // 2 - window.border] * 4
    x, y = (F.pad(picture.double(), reach, mode="replicate") for picture in (a, b))
    more = len(window.taps) - 1
    rows = max(1, STRIP // x.shape[3])
    strips = []
    for top in range(0, x.shape[2] - more, rows):
        strip = slice(top, top + rows + more)
        strips.append(_similarity(x[:, :, strip], y[:, :, strip], window, data_range))
    return torch.cat(strips, 2)


def _similarity(x: Tensor, y: Tensor, window: Window, data_range: float | Tensor) -> Tensor:
    """[N,C,H,W] -> [N,C,H-T+1,W-T+1] for a window of T taps."""
    mean_x, mean_y = blur(x, window.taps), blur(y, window.taps)
    seen = len(window.taps)**2
    scale = seen / (seen - 1) if window.unbiased else 1.0
    variances = (blur(x * x + y * y, window.taps) - mean_x**2 - mean_y**2) * scale
    covariance = (blur(x * y, window.taps) - mean_x * mean_y) * scale
    c1, c2 = (0.01 * data_range)**2, (0.03 * data_range)**2
    brightness = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return brightness * (2 * covariance + c2) / (variances + c2)


def blur(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """[..,H,W] -> [..,H-T+1,W-T+1]: weighted by T taps along both axes, only where all of them fit."""
    for axis in (-2, -1):
        length = x.shape[axis] - len(taps) + 1
        parts = (weight * x.narrow(axis, start, length) for start, weight in enumerate(taps))
        x = sum(parts, start=x.new_zeros(()))
    return x


def rmse(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Root of the mean squared difference, in the pictures' own scale: [N]."""
    return weighted_mean(_difference(a, b).square().mean(1), mask).sqrt()


def psnr(a: Tensor, b: Tensor, data_range: float = 1.0, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB: [N], infinite for equal pictures."""
    return 20 * torch.log10(data_range / rmse(a, b, mask))


def mean_difference(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference (L1), in the pictures' own scale: [N]."""
    return weighted_mean(_difference(a, b).abs().mean(1), mask)


def without_border(mask: Tensor, border: int = WANG.border) -> Tensor:
    """[..,H,W] without `border` rows and columns at each side: where SSIM is measured."""
    return mask[..., border:mask.shape[-2] - border, border:mask.shape[-1] - border]


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """[N,H,W], weighed by [N,H,W] or not -> [N]; NaN where all weights are 0."""
    if weights is None:
        return values.mean((1, 2))
    if weights.shape != values.shape:
        raise ValueError(f"the mask should be {_size(values)} like the pictures, one per picture; "
                         f"got shape {list(weights.shape)}.")
    return (values * weights).sum((1, 2)) / weights.double().sum((1, 2))


def region_colours(image: Tensor, labels: Tensor, count: int) -> Tensor:
    """Mean colour of each region: [N,C,H,W] and [N,H,W] of labels 0..count-1 -> [N,count,C], NaN where a
    region is not in the picture. Raises ValueError for labels of another size or beyond."""
    if labels.shape != image[:, 0].shape:
        raise ValueError(f"labels should be {_size(image)} like the pictures; "
                         f"got shape {list(labels.shape)}.")
    if labels.min() < 0 or labels.max() >= count:
        raise ValueError(f"labels should be 0..{count - 1}; got {int(labels.min())}..{int(labels.max())}.")
    place = labels.flatten(1).long()[..., None]                                    # [N,P,1]
    pixels = image.double().flatten(2).movedim(1, -1)                              # [N,P,C]
    sums = pixels.new_zeros(len(image), count, image.shape[1])
    sums.scatter_add_(1, place.expand_as(pixels), pixels)
    areas = pixels.new_zeros(len(image), count, 1)
    areas.scatter_add_(1, place, torch.ones_like(pixels[..., :1]))
    return sums / areas


def region_colour_error(image: Tensor, labels: Tensor, reference: Tensor, reference_labels: Tensor,
                        count: int) -> Tensor:
    """How far each region's mean colour is from that region's in the reference, where it may lie elsewhere.

    Mean absolute difference over the channels, [N,count]; NaN where either picture lacks the region.
    """
    colours = region_colours(image, labels, count)
    return (colours - region_colours(reference, reference_labels, count)).abs().mean(-1)


def _difference(a: Tensor, b: Tensor) -> Tensor:
    _expect_pair(a, b)
    return a.double() - b.double()


def _expect_pair(a: Tensor, b: Tensor) -> None:
    if a.ndim != 4 or a.shape != b.shape or 0 in a.shape:
        raise ValueError("both pictures should be [N,C,H,W] of one shape and not empty; "
                         f"got {list(a.shape)} and {list(b.shape)}.")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError("the pictures hold NaN or infinite values; there is nothing to compare.")


def _size(picture: Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"
