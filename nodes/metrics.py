"""Anyone/metrics: how near results come to what they should be."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.image import cycle_to, fit_mask, image_to_bchw
from ..core.metrics.images import compare_pictures
from . import host
from .host import Schema, io
from .wires import send_picture


class AnyoneCompareImages(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneCompareImages",
            display_name="Compare Images",
            category="Anyone/metrics",
            description="Measures how near two pictures come to each other, pixel by pixel: SSIM, RMSE and "
                        "PSNR.",
            inputs=[
                io.Image.Input("image_a", tooltip="A picture."),
                io.Image.Input("image_b", tooltip="Another one of the same size."),
                io.Mask.Input("mask", optional=True,
                              tooltip="Only these pixels count; grey ones in part. Without it: all."),
            ],
            outputs=[
                io.Float.Output(display_name="ssim", tooltip="Structural similarity, up to 1 for equal "
                                                             "pictures."),
                io.Float.Output(display_name="rmse", tooltip="Root of the mean squared difference, 0 to 1."),
                io.Float.Output(display_name="psnr", tooltip="Peak signal-to-noise ratio in dB; infinite for "
                                                             "equal pictures."),
                io.Image.Output(display_name="difference", tooltip="How far apart the colours are, black "
                                                                   "where they are equal or not compared."),
                io.String.Output(display_name="note", tooltip="The numbers of every picture."),
            ],
            search_aliases=["ssim", "psnr", "rmse", "image difference", "image similarity", "evaluate image"],
        )

    @classmethod
    def execute(cls, image_a, image_b, mask=None):
        a, b = image_to_bchw(image_a, "image_a"), image_to_bchw(image_b, "image_b")
        height, width = a.shape[2:]
        if b.shape[2:] != a.shape[2:]:
            raise ValueError(f"image_b should be of the size of image_a, {width}x{height}; "
                             f"it is {b.shape[3]}x{b.shape[2]}.")
        weights = torch.ones(1, height, width) if mask is None else fit_mask(mask, height, width)
        count = max(len(a), len(b), len(weights))
        a, b, weights = (cycle_to(batch, count) for batch in (a, b, weights))
        ssim, rmse, psnr, note = judge(measure(a, b, weights))
        difference = send_picture((a - b).abs() * weights[:, None])
        return io.NodeOutput(ssim, rmse, psnr, difference, note, ui={"text": [note]})


def measure(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """[B,3,H,W] twice and [B,H,W] -> [B,3]: SSIM, RMSE and PSNR, one picture at a time to save memory."""
    progress, rows = host.runtime().progress(len(a), "Comparing pictures"), []
    for pair in zip(a.split(1), b.split(1), weights.split(1), strict=True):
        scores = compare_pictures(*pair)
        rows.append(torch.stack([scores.ssim, scores.rmse, scores.psnr], 1))
        progress.update()
    return torch.cat(rows)


def judge(scores: Tensor) -> tuple[float, float, float, str]:
    """[B,3] -> the means of the pictures that have an SSIM, and everything in words."""
    known = ~scores[:, 0].isnan()
    if not known.any():
        raise ValueError("mask leaves nothing to compare: it should hold pixels that are farther than 5 from "
                         "the picture's border.")
    ssim, rmse, psnr = scores[known].mean(0).tolist()
    note = in_words(ssim, rmse, psnr)
    if len(scores) > 1:
        lines = [f"Picture {number}: {in_words(*row)}" for number, row in enumerate(scores.tolist(), 1)]
        note = "\n".join([f"Mean of {int(known.sum())} of {len(scores)} pictures: {note}", *lines])
    return ssim, rmse, psnr, note


def in_words(ssim: float, rmse: float, psnr: float) -> str:
    if math.isnan(ssim):
        return "nothing to compare under the mask."
    return f"SSIM {ssim:.4f}, RMSE {rmse:.4f}, PSNR {psnr:.2f} dB."
