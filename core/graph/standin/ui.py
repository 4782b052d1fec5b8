"""What a node may show under itself, as `comfy_api.latest.ui`. Pictures go to the runtime's temp folder."""
from __future__ import annotations

from typing import Any

from torch import Tensor

from ..files import save_pictures
from .context import current_runtime
from .schema import ComfyNode


class PreviewImage:
    """`image`: [B,H,W,C] 0..1."""

    def __init__(self, image: Tensor, animated: bool = False, cls: type[ComfyNode] | None = None) -> None:
        self.values = save_pictures(image, "preview", current_runtime(), "temp")
        self.animated = animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """`mask`: [B,H,W] or [H,W], 0..1."""

    def __init__(self, mask: Tensor, animated: bool = False, cls: type[ComfyNode] | None = None) -> None:
        flat = mask.reshape(-1, *mask.shape[-2:])  # [B,H,W]
        super().__init__(flat[..., None].expand(-1, -1, -1, 3), animated, cls)


class PreviewText:
    """One text."""

    def __init__(self, value: str) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}
