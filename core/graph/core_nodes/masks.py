"""Mask conversions."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..standin import io
from .pictures import MAX_RESOLUTION

_CHANNELS = ["red", "green", "blue", "alpha"]


class MaskToImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="MaskToImage", display_name="Convert Mask to Image", category="mask",
                         inputs=[io.Mask.Input("mask")], outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, mask: Tensor) -> io.NodeOutput:
        return io.NodeOutput(_as_batch(mask)[..., None].expand(-1, -1, -1, 3))  # [B,H,W,3]


class ImageToMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ImageToMask", display_name="Convert Image to Mask", category="mask",
                         inputs=[io.Image.Input("image"), io.Combo.Input("channel", _CHANNELS)],
                         outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, image: Tensor, channel: str) -> io.NodeOutput:
        index = _CHANNELS.index(channel)
        if index >= image.shape[-1]:
            raise ValueError(f"The picture has {image.shape[-1]} channels and no {channel} channel.")
        return io.NodeOutput(image[..., index])


class InvertMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="InvertMask", display_name="InvertMask", category="mask",
                         inputs=[io.Mask.Input("mask")], outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, mask: Tensor) -> io.NodeOutput:
        return io.NodeOutput(1.0 - mask)


class SolidMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SolidMask", display_name="SolidMask", category="mask",
            inputs=[io.Float.Input("value", default=1.0, min=0.0, max=1.0, step=0.01),
                    io.Int.Input("width", default=512, min=1, max=MAX_RESOLUTION, step=1),
                    io.Int.Input("height", default=512, min=1, max=MAX_RESOLUTION, step=1)],
            outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, value: float, width: int, height: int) -> io.NodeOutput:
        return io.NodeOutput(torch.full((1, height, width), value))


class GrowMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GrowMask", display_name="GrowMask", category="mask",
            inputs=[io.Mask.Input("mask"),
                    io.Int.Input("expand", default=0, min=-MAX_RESOLUTION, max=MAX_RESOLUTION, step=1),
                    io.Boolean.Input("tapered_corners", default=True)],
            outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, mask: Tensor, expand: int, tapered_corners: bool) -> io.NodeOutput:
        grown = _as_batch(mask) if expand > 0 else -_as_batch(mask)
        for _ in range(abs(expand)):
            grown = _dilate(grown, tapered_corners)
        return io.NodeOutput(grown if expand > 0 else -grown)


def _as_batch(mask: Tensor) -> Tensor:
    return mask.reshape(-1, *mask.shape[-2:])  # [B,H,W]


def _dilate(mask: Tensor, tapered: bool) -> Tensor:
    """One step of one pixel: a plus-shaped neighbourhood when tapered, else the full square."""
    if not tapered:
        return F.max_pool2d(mask[:, None], 3, 1, 1)[:, 0]
    across = F.max_pool2d(mask[:, None], (1, 3), 1, (0, 1))[:, 0]
    return torch.maximum(across, F.max_pool2d(mask[:, None], (3, 1), 1, (1, 0))[:, 0])
