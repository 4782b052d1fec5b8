"""The scores of pose transfer as its two papers publish them; they measure differently.

Siarohin et al. 2018 (Deformable GAN): SSIM by a Gaussian window, with what range the generated picture has.
Ma et al. 2017 (PG2): SSIM by a uniform window, with a range of 255. Both also on pictures that are black
outside the pose of the target, by masks of their own.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..pose.maps import polygon_mask, pose_mask
from . import images
from .images import Window, mean_difference, ssim


@dataclass(frozen=True)
class Convention:
    """`data_range`: of SSIM, None = that of the generated picture. `mask`: joints [...,18,2], height, width
    -> [...,H,W] bool. `unit`: of L1, in levels of 8 bits."""

    window: Window
    data_range: float | None
    mask: Callable[[Tensor, int, int], Tensor]
    unit: float


DEFORMABLE_GAN = Convention(images.DEFORMABLE_GAN, None, polygon_mask, 127.5)
PG2 = Convention(images.PG2, 255.0, pose_mask, 1.0)


def transfer_scores(real: Tensor, fake: Tensor, convention: Convention,
                    mask: Tensor | None = None) -> dict[str, Tensor]:
    """`ssim` and `l1`, with `mask` [N,H,W] also `mask_ssim`: [N] float64 each.

    Pictures are [N,3,H,W], whole numbers 0..255; a generated picture of one colour has a range of 1. Raises
    ValueError for pictures of two shapes, or smaller than the window.
    """
    scores = {"ssim": _ssim(real, fake, convention),
              "l1": mean_difference(real, fake) / convention.unit}
    if mask is not None:
        shown = mask[:, None].to(real)
        scores["mask_ssim"] = _ssim(real * shown, fake * shown, convention)
    return scores


def _ssim(real: Tensor, fake: Tensor, convention: Convention) -> Tensor:
    if convention.data_range is not None:
        return ssim(real, fake, convention.window, convention.data_range)
    levels = fake.flatten(1).double()
    own = (levels.amax(1) - levels.amin(1)).clamp(min=1)                           # [N]
    return ssim(real, fake, convention.window, own.view(-1, 1, 1, 1))
