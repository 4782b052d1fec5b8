"""Strict loading with a difference a person can read."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from .system import StateDict

SHOWN = 4                                                 # names listed before "and N more"


def check_state(module_shapes: Mapping[str, torch.Size], state: StateDict, title: str,
                optional: Collection[str] = ()) -> None:
    """Raises ValueError unless `state` has exactly the names and shapes of `module_shapes`.

    `title`: the system's name for people ("TriA-GAN person inpainter"). `optional`: names that may be missing
    (with any shape where present, when the module does not have them).
    """
    missing = [name for name in module_shapes if name not in state and name not in optional]
    unknown = [name for name in state if name not in module_shapes and name not in optional]
    reshaped = [f"{name} is {list(state[name].shape)} instead of {list(shape)}"
                for name, shape in module_shapes.items() if name in state and state[name].shape != shape]
    parts = [_count(missing, "missing"), _count(unknown, "unknown"), _count(reshaped, "of another shape")]
    if any(parts):
        raise ValueError(f"The weights do not fit a {title}: {'; '.join(filter(None, parts))}.")


def _count(items: Sequence[str], what: str) -> str:
    if not items:
        return ""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{len(items)} {what} ({', '.join(items[:SHOWN])}{more})"
