"""Whose weights are these? Systems register themselves by having a `weights.py` that defines `SYSTEM`."""
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from .read import Contents
from .system import System

_CORE = __package__.rpartition(".")[0]
_SHOWN = 6                                                # entries listed of a file nobody knows


@cache
def systems() -> tuple[System, ...]:
    """Every system of the library, by folder name."""
    folders = sorted(path.parent.name for path in Path(__file__).parents[1].glob("*/weights.py"))
    return tuple(import_module(f"{_CORE}.{folder}.weights").SYSTEM for folder in folders)


def recognise(contents: Contents) -> tuple[System, dict[str, Tensor]]:
    """The system whose weights these are, and its state dict in the system's own key names.

    Raises ValueError with what was found and what was tried when no system knows the file.
    """
    for system in systems():
        state = system.select(contents.tree)
        if state is not None:
            return system, state
    tried = ", ".join(system.title for system in systems())
    raise ValueError(f"the {contents.format} file holds {_summary(contents.tree)}, which is none of: {tried}")


def _summary(tree: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{key} ({_kind(value)})" for key, value in list(tree.items())[:_SHOWN])
    more = f" and {len(tree) - _SHOWN} more entries" if len(tree) > _SHOWN else ""
    return (shown + more) or "nothing"


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return "x".join(map(str, value.shape)) or "one number"
    if isinstance(value, dict):
        inside = ", ".join(str(key)[:60] for key in list(value)[:2])
        return f"{len(value)} entries: {inside}, ..." if len(value) > 2 else f"entries: {inside}"
    return type(value).__name__
