"""Files of latents: our own, NVIDIA's `projected_w.npz`, and the tensors that dragging programs save."""
from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoints import torch_file
from ..checkpoints.pickle_machine import UnsafePickle
from ..checkpoints.read import read
from ..files import atomic_write
from .latents import Latent, Origin

LARGEST = 1 << 30                                         # bytes of such a file
_W, _Z, _LABELS = "w_plus", "origin.z", "origin.labels"
_NUMPY = "w"                                              # of projected_w.npz


def save_latent(latent: Latent, path: Path) -> None:
    """Writes a safetensors file; whose latents they are is in the header."""
    from safetensors.torch import save_file

    tensors, metadata = {_W: latent.w_plus}, {"generator": latent.generator, "identity": latent.identity}
    origin = latent.origin
    if origin is not None:
        tensors |= {_Z: origin.z, _LABELS: origin.labels}
        metadata |= {"psi": repr(origin.psi), "cutoff": "" if origin.cutoff is None else str(origin.cutoff)}
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)


def load_latent(path: Path) -> Latent:
    """Any of the three kinds of file, told by their contents. Nothing in them is executed.

    Files of other programs do not say which generator they belong to. Raises FileNotFoundError or ValueError
    with one sentence.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no latent file {path}.")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} is too large for a latent; choose a file with w or w+.")
    try:
        return _load(path)
    except UnsafePickle as error:
        raise ValueError(f"{path.name} would run code when opened the usual way (it asks for {error}); it is "
                         "refused.") from error
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used as a latent: {str(error).rstrip('.')}.") from error


def _load(path: Path) -> Latent:
    with open(path, "rb") as file:
        head = file.read(32)
    if head.startswith(b"PK"):
        return _bare(_read_numpy(path) if _is_numpy(path) else torch_file.read_zip(path))
    if torch_file.is_legacy(head):
        return _bare(torch_file.read_legacy(path))
    return _own(path)


def _bare(value: Any) -> Latent:
    """A tensor [N,num_ws,W], or [num_ws,W] of one sample."""
    if not isinstance(value, Tensor):
        raise ValueError(f"it holds a {type(value).__name__} where a tensor [1, layers, width] was expected")
    return Latent((value if value.ndim == 3 else value[None]).clone())


def _is_numpy(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next((one for one in archive.infolist() if one.filename == f"{_NUMPY}.npy"), None)
    except zipfile.BadZipFile as error:
        raise ValueError("it seems to be truncated; copy it again") from error
    if entry is not None and entry.file_size > LARGEST:
        raise ValueError("it is too large when unpacked")
    return entry is not None


def _read_numpy(path: Path) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive[_NUMPY]
    except (OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is a damaged NumPy file ({error})") from error
    if values.dtype.kind != "f":
        raise ValueError(f"its numbers are of type {values.dtype}, not floating point")
    return torch.from_numpy(values.astype(np.float32))


def _own(path: Path) -> Latent:
    contents = read(path)
    tensors = {name: value.clone() for name, value in contents.tree.items() if isinstance(value, Tensor)}
    if _W not in tensors:
        raise ValueError("it has no w_plus; choose a file that this pack, NVIDIA's projector or a dragging "
                         "program saved as a latent")
    metadata, origin = contents.metadata, None
    if _Z in tensors and _LABELS in tensors:
        cutoff = metadata.get("cutoff")
        origin = Origin(tensors[_Z], tensors[_LABELS], float(metadata.get("psi", 1)),
                        int(cutoff) if cutoff else None)
    return Latent(tensors[_W], metadata.get("generator", Latent.generator), metadata.get("identity", ""),
                  origin)
