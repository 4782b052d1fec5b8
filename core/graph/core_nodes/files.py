"""Pictures from and to files, and what a person wants to look at."""
from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..files import list_pictures, open_picture, resolve_file, save_pictures
from ..standin import current_runtime, io, ui

if TYPE_CHECKING:
    from PIL import Image

_CHANNELS = ["alpha", "red", "green", "blue"]


def _picture_input() -> io.Combo.Input:
    names = list_pictures(current_runtime().folder("input"))
    return io.Combo.Input("image", names or ["example.png"], upload=io.UploadType.image)


def _check_file(image: str) -> bool | str:
    if resolve_file(image, current_runtime()).is_file():
        return True
    return f"Invalid image file: {image} (there is no such file in {current_runtime().folder('input')})"


def _digest(image: str) -> str:
    return hashlib.sha256(resolve_file(image, current_runtime()).read_bytes()).hexdigest()


class LoadImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="LoadImage", display_name="Load Image", category="image",
                         inputs=[_picture_input()], outputs=[io.Image.Output(), io.Mask.Output()])

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        from PIL import ImageOps, ImageSequence

        frames = ImageSequence.all_frames(open_picture(resolve_file(image, current_runtime())))
        upright = [ImageOps.exif_transpose(frame) for frame in frames]
        same_size = [frame for frame in upright if frame.size == upright[0].size]
        return io.NodeOutput(torch.stack([_colours(frame) for frame in same_size]),
                             torch.stack([_mask(frame) for frame in same_size]))

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        return _check_file(image)

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        return _digest(image)


class LoadImageMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="LoadImageMask", display_name="Load Image (as Mask)", category="mask",
                         inputs=[_picture_input(), io.Combo.Input("channel", _CHANNELS)],
                         outputs=[io.Mask.Output()])

    @classmethod
    def execute(cls, image: str, channel: str) -> io.NodeOutput:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(open_picture(resolve_file(image, current_runtime())))
        if channel == "alpha":
            return io.NodeOutput(_transparency(upright)[None])
        return io.NodeOutput(_colours(upright)[None, ..., _CHANNELS.index(channel) - 1])

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        return _check_file(image)

    @classmethod
    def fingerprint_inputs(cls, image: str, channel: str) -> str:
        return _digest(image)


class SaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveImage", display_name="Save Image", category="image",
            inputs=[io.Image.Input("images"), io.String.Input("filename_prefix", default="ComfyUI")],
            is_output_node=True)

    @classmethod
    def execute(cls, images: Tensor, filename_prefix: str) -> io.NodeOutput:
        metadata = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        saved = save_pictures(images, filename_prefix, current_runtime(), "output", metadata)
        return io.NodeOutput(ui={"images": saved})


class PreviewImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="PreviewImage", display_name="Preview Image", category="image",
                         inputs=[io.Image.Input("images")], is_output_node=True)

    @classmethod
    def execute(cls, images: Tensor) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewImage(images, cls=cls))


class MaskPreview(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="MaskPreview", display_name="Preview Mask", category="mask",
                         inputs=[io.Mask.Input("mask")], is_output_node=True)

    @classmethod
    def execute(cls, mask: Tensor) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewMask(mask, cls=cls))


class PreviewAny(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="PreviewAny", display_name="Preview Any", category="utils",
                         inputs=[io.AnyType.Input("source")], is_output_node=True)

    @classmethod
    def execute(cls, source: Any) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewText(_as_text(source)))


def _as_text(value: Any) -> str:
    if isinstance(value, (str, bool, int, float, type(None))):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return str(value)


def _colours(picture: Image.Image) -> Tensor:
    """-> `[H,W,3]` 0..1; 16-bit greys keep their range."""
    import numpy as np

    if picture.mode.startswith("I"):
        grey = torch.from_numpy(np.asarray(picture).astype("float32") / 65535).clamp(0, 1)
        return grey[..., None].repeat(1, 1, 3)
    return torch.from_numpy(np.asarray(picture.convert("RGB")).astype("float32") / 255)


def _mask(picture: Image.Image) -> Tensor:
    """-> `[H,W]`; 64x64 zeros when there is no alpha, as on the host."""
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    return _transparency(picture) if has_alpha else torch.zeros(64, 64)


def _transparency(picture: Image.Image) -> Tensor:
    """-> `[H,W]` 1 - alpha."""
    import numpy as np

    alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
    return 1 - torch.from_numpy(alpha.astype("float32") / 255)
