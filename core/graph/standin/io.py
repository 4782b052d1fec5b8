"""The names of `comfy_api.latest.io` that exist on every host since 0.3.64, and no others."""
from __future__ import annotations

from .schema import ComfyNode, Hidden, NodeOutput, Schema
from .types import (
    BBOX,
    SEGS,
    AnyType,
    Boolean,
    Clip,
    Combo,
    Conditioning,
    Custom,
    Float,
    FolderType,
    Image,
    Int,
    Latent,
    Mask,
    Model,
    MultiType,
    NumberDisplay,
    Point,
    String,
    UploadType,
    Vae,
    Video,
)

__all__ = [
    "BBOX", "SEGS", "AnyType", "Boolean", "Clip", "Combo", "ComfyNode", "Conditioning", "Custom",
    "Float", "FolderType", "Hidden", "Image", "Int", "Latent", "Mask", "Model", "MultiType", "NodeOutput",
    "NumberDisplay", "Point", "Schema", "String", "UploadType", "Vae", "Video",
]
