"""The safetensors copy of a pickled network: made when the network is first loaded, used from then on.

It lies beside the original, as `NAME.pkl.safetensors`, holds the tensors and arguments of the network that is
used, and counts only while the original is as it was; whoever wants the room may delete either. Where it
cannot be written (a full disk, a folder that is read-only), the original is read every time.
"""
from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from ..files import atomic_write
from .read import Contents, read
from .system import StateDict

_SUFFIX = ".safetensors"
_OF = "converted_from"                                    # metadata: the original when the copy was made


def fingerprint(original: Path) -> str:
    """Changes whenever the file does; "" when there is none."""
    if not original.is_file():
        return ""
    status = original.stat()
    return f"{original.name}, {status.st_size} bytes, {status.st_mtime_ns}"


def original_of(copy: Path) -> Path:
    """The file a copy would be of, which may not exist."""
    return copy.with_name(copy.name.removesuffix(_SUFFIX))


def read_converted(original: Path) -> Contents | None:
    """What the copy of a file holds; None when there is none, or none of the file as it is now."""
    copy = original.with_name(original.name + _SUFFIX)
    if not copy.is_file():
        return None
    with contextlib.suppress(ValueError, OSError):        # damaged, or just gone: the original is still there
        contents = read(copy)
        metadata = dict(contents.metadata)
        if metadata.pop(_OF, None) == fingerprint(original):
            return Contents(contents.tree, metadata, contents.format)
    return None


def write_converted(original: Path, mark: str, state: StateDict, metadata: Mapping[str, str]) -> None:
    """Writes the copy if that is possible. `mark`: the `fingerprint` before the original was read."""
    from safetensors import SafetensorError

    with contextlib.suppress(OSError, SafetensorError):
        write_weights(original.with_name(original.name + _SUFFIX), state, {**metadata, _OF: mark})


def write_weights(target: Path, state: StateDict, metadata: Mapping[str, str]) -> None:
    """Writes tensors, none of which may share memory with another, as safetensors."""
    from safetensors.torch import save_file

    with atomic_write(target) as temporary:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary, dict(metadata))
