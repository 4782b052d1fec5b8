"""Weight file -> network in memory; one network per file however many loaders ask for it."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from .read import read
from .recognise import recognise
from .system import LoadedNet

_FileKey = tuple[str, int, int]
_loaded: WeakValueDictionary[_FileKey, LoadedNet] = WeakValueDictionary()
_lock = threading.Lock()


def load(path: str | Path, name: str | None = None) -> LoadedNet:
    """The network of a weight file, float32, on the CPU, in evaluation mode.

    While anybody holds it, loading the same file again gives the same object (and its first name). `name` is
    what people see, by default the file's stem. Raises FileNotFoundError or ValueError with one sentence.
    """
    path = Path(path)
    with _lock:
        key = _file_key(path) if path.is_file() else None
        net = _loaded.get(key) if key else None
        if net is None:
            net = _load(path, name or path.stem)
            _loaded[_file_key(path)] = net
        return net


def _file_key(path: Path) -> _FileKey:
    status = path.stat()
    return str(path.resolve()), status.st_mtime_ns, status.st_size


def _load(path: Path, name: str) -> LoadedNet:
    contents = read(path)
    try:
        system, views = recognise(contents)
        with torch.inference_mode(False), torch.no_grad():
            state = _own_copy(views, path.stat().st_size)
            module = system.build(state, contents.metadata).eval().requires_grad_(False)
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used: {str(error).rstrip('.')}.") from error
    return LoadedNet(module, system, name, contents.metadata)


def _own_copy(views: Mapping[str, Tensor], file_size: int) -> dict[str, Tensor]:
    """Tensors that no longer need the file, floats in float32. ValueError for NaN or too many values."""
    if sum(view.numel() * view.element_size() for view in views.values()) > 4 * file_size:
        raise ValueError("its tensors claim more data than the file has")
    state = {key: view.to(torch.float32 if view.is_floating_point() else view.dtype, copy=True)
             for key, view in views.items()}
    broken = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(f"{broken[0]} holds NaN or infinite values; it is damaged or its training failed")
    return state
