"""Scores of pose transfer: `pose-metrics`."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from anyone.core.metrics.images import ssim
from anyone.core.metrics.inception import inception_score
from anyone.core.metrics.transfer import DEFORMABLE_GAN, PG2, transfer_scores
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
    found = {f"{paper}_{name}": score for paper, convention in (("deform", DEFORMABLE_GAN), ("pg2", PG2))
             for name, score in transfer_scores(a, b, convention, mask[None]).items()}
    return found | {"ssim_gauss_range255": ssim(a, b, DEFORMABLE_GAN.window, 255)}


RUNNERS = {"pose-metrics": run_pose_metrics}
