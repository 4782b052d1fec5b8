"""Stand-ins for the few ComfyUI nodes that example workflows use: same ids, inputs and results."""
from __future__ import annotations

from ..standin.schema import ComfyNode
from .files import LoadImage, LoadImageMask, MaskPreview, PreviewAny, PreviewImage, SaveImage
from .masks import GrowMask, ImageToMask, InvertMask, MaskToImage, SolidMask
from .pictures import GetImageSize, ImageBatch, ImageFromBatch, ImageInvert, ImageScale, RepeatImageBatch
from .values import PrimitiveBoolean, PrimitiveFloat, PrimitiveInt, PrimitiveString, PrimitiveStringMultiline

CORE_NODES: tuple[type[ComfyNode], ...] = (
    LoadImage, LoadImageMask, SaveImage, PreviewImage, MaskPreview, PreviewAny,
    MaskToImage, ImageToMask, InvertMask, SolidMask, GrowMask,
    ImageInvert, ImageScale, ImageBatch, RepeatImageBatch, ImageFromBatch, GetImageSize,
    PrimitiveInt, PrimitiveFloat, PrimitiveString, PrimitiveStringMultiline, PrimitiveBoolean,
)
