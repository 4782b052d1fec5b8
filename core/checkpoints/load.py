"""Weight file -> network in memory; one network per file however many loaders ask for it."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from .converted import fingerprint, read_converted, write_converted
from .read import NVIDIA, files_of, read
from .recognise import recognise
from .system import LoadedNet

_FileKey = tuple[tuple[str, int, int], ...]               # of each file: name, time, size
_loaded: WeakValueDictionary[_FileKey, LoadedNet] = WeakValueDictionary()
_lock = threading.Lock()


def load(path: str | Path, name: str | None = None) -> LoadedNet:
    """The network of a weight file, float32, on the CPU, in evaluation mode.

    While anybody holds it, loading the same file again gives the same object (and its first name). `name` is
    what people see, by default the file's stem. Pickles of NVIDIA's are converted once, see `converted.py`.
    Raises FileNotFoundError or ValueError with one sentence.
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
    return tuple((str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size)
                 for file in files_of(path))


def _load(path: Path, name: str) -> LoadedNet:
    mark = fingerprint(path)
    contents = read_converted(path) or read(path)
    try:
        system, views = recognise(contents)
        with torch.inference_mode(False), torch.no_grad():
            state = _own_copy(views, sum(file.stat().st_size for file in files_of(path)))
            module = system.build(state, contents.metadata).eval().requires_grad_(False)
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used: {str(error).rstrip('.')}.") from error
    if contents.format == NVIDIA:
        write_converted(path, mark, state, contents.metadata)
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
