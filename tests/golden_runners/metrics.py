"""Scores of pose transfer: `pose-metrics`."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from anyone.core.metrics import images
from anyone.core.metrics.inception import inception_score
from torch import Tensor


def run_pose_metrics(case: Any) -> dict[str, Tensor]:
    found = dict(zip(("out.is_mean", "out.is_std"), inception_score(case.inputs["in.prob"]), strict=True))
    for number in sorted({name.split(".")[1] for name in case.inputs if name.endswith("real_u8")}):
        real, fake, mask = (case.inputs[f"in.{number}.{name}_u8"] for name in ("real", "fake", "mask"))
        inside = torch.from_numpy(np.unpackbits(mask.numpy(), axis=-1))
        found |= {f"out.{number}.{name}": score for name, score in scores(real, fake, inside).items()}
    return {name: torch.tensor([float(score)]) for name, score in found.items()}


def scores(real: Tensor, fake: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """[H,W,3] and [H,W] uint8 -> each [1]."""
    a, b = (picture.movedim(-1, 0)[None].float() for picture in (real, fake))
    masked_a, masked_b = a * mask, b * mask
    return {
        "deform_ssim": images.ssim(a, b, images.DEFORMABLE_GAN, b.max() - b.min()),
        "deform_mask_ssim": images.ssim(masked_a, masked_b, images.DEFORMABLE_GAN,
                                        masked_b.max() - masked_b.min()),
        "ssim_gauss_range255": images.ssim(a, b, images.DEFORMABLE_GAN, 255),
        "pg2_ssim": images.ssim(a, b, images.PG2, 255),
        "pg2_mask_ssim": images.ssim(masked_a, masked_b, images.PG2, 255),
        "deform_l1": images.mean_difference(a / 127.5 - 1, b / 127.5 - 1),
        "pg2_l1": images.mean_difference(a, b),
    }


RUNNERS = {"pose-metrics": run_pose_metrics}
