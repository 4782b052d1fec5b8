"""Picture arithmetic."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..standin import io

MAX_RESOLUTION = 16384
_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


class ImageInvert(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ImageInvert", display_name="Invert Image", category="image",
                         inputs=[io.Image.Input("image")], outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, image: Tensor) -> io.NodeOutput:
        return io.NodeOutput(1.0 - image)


class ImageScale(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageScale", display_name="Upscale Image", category="image/upscaling",
            inputs=[io.Image.Input("image"), io.Combo.Input("upscale_method", _METHODS),
                    io.Int.Input("width", default=512, min=0, max=MAX_RESOLUTION, step=1),
                    io.Int.Input("height", default=512, min=0, max=MAX_RESOLUTION, step=1),
                    io.Combo.Input("crop", ["disabled", "center"])],
            outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, image: Tensor, upscale_method: str, width: int, height: int, crop: str) -> io.NodeOutput:
        if width == 0 and height == 0:
            return io.NodeOutput(image)
        width = width or max(1, round(image.shape[2] * height / image.shape[1]))
        height = height or max(1, round(image.shape[1] * width / image.shape[2]))
        return io.NodeOutput(scale(image, width, height, upscale_method, crop == "center"))


class ImageBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ImageBatch", display_name="Batch Images", category="image",
                         inputs=[io.Image.Input("image1"), io.Image.Input("image2")],
                         outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, image1: Tensor, image2: Tensor) -> io.NodeOutput:
        channels = max(image1.shape[-1], image2.shape[-1])
        first, second = (F.pad(image, (0, channels - image.shape[-1]), value=1.0)  # missing alpha is opaque
                         for image in (image1, image2))
        if first.shape[1:3] != second.shape[1:3]:
            second = scale(second, first.shape[2], first.shape[1], "bilinear", True)
        return io.NodeOutput(torch.cat([first, second]))


class RepeatImageBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="RepeatImageBatch", display_name="RepeatImageBatch", category="image/batch",
                         inputs=[io.Image.Input("image"), io.Int.Input("amount", default=1, min=1, max=4096)],
                         outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, image: Tensor, amount: int) -> io.NodeOutput:
        return io.NodeOutput(image.repeat(amount, 1, 1, 1))


class ImageFromBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageFromBatch", display_name="ImageFromBatch", category="image/batch",
            inputs=[io.Image.Input("image"), io.Int.Input("batch_index", default=0, min=0, max=4095),
                    io.Int.Input("length", default=1, min=1, max=4096)],
            outputs=[io.Image.Output()])

    @classmethod
    def execute(cls, image: Tensor, batch_index: int, length: int) -> io.NodeOutput:
        start = min(len(image) - 1, batch_index)
        return io.NodeOutput(image[start:start + length])


class GetImageSize(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GetImageSize", display_name="Get Image Size", category="image",
            inputs=[io.Image.Input("image")],
            outputs=[io.Int.Output(display_name=name) for name in ("width", "height", "batch_size")])

    @classmethod
    def execute(cls, image: Tensor) -> io.NodeOutput:
        return io.NodeOutput(image.shape[2], image.shape[1], image.shape[0])


def scale(image: Tensor, width: int, height: int, method: str, crop: bool) -> Tensor:
    """`[B,H,W,C]` resized as the host does; `crop` first cuts the middle part of the new aspect."""
    old_height, old_width = image.shape[1:3]
    if crop:
        left = round(max(0, old_width - old_height * width / height) / 2)
        top = round(max(0, old_height - old_width * height / width) / 2)
        image = image[:, top:old_height - top, left:old_width - left]
    if method == "lanczos":
        return _lanczos(image, width, height)
    return F.interpolate(image.movedim(-1, 1), (height, width), mode=method).movedim(1, -1)  # [B,h,w,C]


def _lanczos(image: Tensor, width: int, height: int) -> Tensor:
    import numpy as np
    from PIL import Image

    pixels = (image.float() * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()  # [B,H,W,C]
    resized = [Image.fromarray(one).resize((width, height), Image.Resampling.LANCZOS) for one in pixels]
    return torch.from_numpy(np.stack([np.asarray(one) for one in resized])).to(image) / 255
