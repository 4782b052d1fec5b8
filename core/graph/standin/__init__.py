"""A small stand-in for `comfy_api.latest`, for when there is no ComfyUI: `io`, `ui` and `ComfyExtension`.

It accepts the part of the V3 schema that works on every ComfyUI since 0.3.64 and refuses the rest, so a node
that passes here loads there. It runs nodes; it does not replace ComfyUI.
"""
from __future__ import annotations

from . import io, ui
from .context import current_runtime, running_on
from .schema import ComfyNode, node_info


class ComfyExtension:
    """What a pack's `comfy_entrypoint` returns."""

    async def on_load(self) -> None:
        """Called once by hosts since 0.14; never by this stand-in, as older hosts never do."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        raise NotImplementedError


__all__ = ["ComfyExtension", "current_runtime", "io", "node_info", "running_on", "ui"]
