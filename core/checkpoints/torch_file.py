"""Files of `torch.save`, read without torch's or Python's unpickler.

Zip archives (PyTorch 1.6 and later), the older pickle sequence, and plain pickles, in which every tensor
brings such a sequence of its own. Tensors are views of the mapped file: nothing is copied before somebody
asks.
"""
from __future__ import annotations

import math
import struct
import sys
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import numpy_records
from .mapped import map_file
from .nvidia_pickle import allowed_names
from .pickle_machine import Builders, Global, Record, run_pickle, safe_key

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_HEAD = b"\x8a\x0a" + _LEGACY_MAGIC.to_bytes(10, "little")              # as the first pickle has it
_LEGACY_PROTOCOL = 1001
_LONG = 1 << 16                                           # bytes that are worth a view
_USUAL_LINE, _LONGEST_LINE = 1 << 8, 1 << 20              # of the textual opcodes
_LONGEST_KEY = 64                                         # of a storage
_REPEATED = 1 << 20                                       # values a view may make out of fewer (`expand`)
_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "UntypedStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}
_DTYPE_CONSTANTS = {str(dtype): dtype for dtype in _DTYPES.values()}     # "torch.float32"
_STORAGES = frozenset(f"{module}.{name}" for module in ("torch", "torch.storage") for name in _DTYPES)


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    count: int
    data: memoryview | None                               # None: a first pass that only learns what is there


class _Stream:
    """Bytes as `run_pickle` reads them; long strings are views."""

    def __init__(self, data: mmap | memoryview) -> None:
        self.view, self.at = memoryview(data), 0

    def read(self, count: int) -> bytes | memoryview:
        part = self.view[self.at:self.at + count]
        self.at += len(part)
        return part if len(part) >= _LONG else bytes(part)

    def readline(self) -> bytes:
        for length in (_USUAL_LINE, _LONGEST_LINE):
            line, end, _ = bytes(self.view[self.at:self.at + length]).partition(b"\n")
            if end:
                break
        self.at += len(line + end)
        return line + end

    def tell(self) -> int:
        return self.at


def read_zip(path: Path) -> Any:
    """The object in a zip archive of `torch.save`. ValueError, without the file's name, when it is none."""
    data = map_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            root = _archive_root(entries)
            pickled = archive.read(entries[f"{root}/data.pkl"])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ValueError("it seems to be a truncated or damaged PyTorch file; copy it again") from error
    order = entries.get(f"{root}/byteorder")
    if order is not None and bytes(_entry_bytes(data, order)) != b"little":
        raise ValueError("it was written on a big-endian machine; save it again on an ordinary one")

    def persistent(identifier: Any) -> _Storage:
        dtype, key, count = _storage_id(identifier)
        entry = entries.get(f"{root}/data/{key}")
        if entry is None:
            raise ValueError(f"storage {key} is missing")
        return _Storage(dtype, count, _entry_bytes(data, entry))

    allowed = allowed_names(pickled, _STORAGES)
    return run_pickle(BytesIO(pickled), _BUILDERS, _DTYPE_CONSTANTS, persistent, allowed)


def _archive_root(entries: Mapping[str, zipfile.ZipInfo]) -> str:
    suffix = "/data.pkl"
    roots = [name.removesuffix(suffix) for name in entries if name.endswith(suffix) and name.count("/") == 1]
    if len(roots) != 1:
        numpy = any(name.endswith(".npy") for name in entries)
        raise ValueError(f"it seems to be {'a NumPy' if numpy else 'an ordinary zip'} archive")
    if f"{roots[0]}/constants.pkl" in entries:
        raise ValueError("it seems to be a TorchScript program, which holds code; export its state_dict")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ValueError("it is a compressed archive, which PyTorch never writes; it has been packed again")
    return roots[0]


def _entry_bytes(data: mmap, entry: zipfile.ZipInfo) -> memoryview:
    """An uncompressed entry where it lies in the mapped file, after its local header."""
    start = entry.header_offset
    if data[start:start + 4] != b"PK\x03\x04":
        raise ValueError("the archive's index does not fit its contents")
    name, extra = struct.unpack("<HH", data[start + 26:start + 30])
    return _slice(data, start + 30 + name + extra, entry.file_size)


def _slice(data: mmap | memoryview, start: int, size: int) -> memoryview:
    if not 0 <= start <= start + size <= len(data):
        raise ValueError("it seems to be truncated: tensors lie beyond its end")
    return memoryview(data)[start:start + size]


def is_legacy(head: bytes) -> bool:
    """Whether a file that starts so was written by `torch.save` before PyTorch 1.6."""
    return _LEGACY_HEAD in head[:32]


def read_legacy(path: Path) -> Any:
    """The object in a pickle sequence: magic, protocol, machine, object, storage keys, then the storages."""
    data = map_file(path)
    return _read_sequence(_Stream(data), _BUILDERS, allowed_names(data, _STORAGES))


def _read_sequence(stream: _Stream, builders: Builders, allowed: Collection[str] | None) -> Any:
    """The storages come last and only the object tells their types, so the object is read twice."""
    magic, protocol, machine = (run_pickle(stream, {}, allowed=()) for _ in range(3))
    little = isinstance(machine, dict) and machine.get("little_endian") is True
    if (magic, protocol) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL) or not little:
        raise ValueError("it uses a variant of PyTorch's old format that is not supported")
    start = stream.at
    dtypes: dict[str, torch.dtype] = {}

    def learn(identifier: Any) -> _Storage:
        dtype, key, count = _storage_id(identifier)
        dtypes[key] = dtype
        return _Storage(dtype, count, None)

    run_pickle(stream, builders, _DTYPE_CONSTANTS, learn, allowed)
    places = _legacy_places(stream, run_pickle(stream, {}, allowed=()), dtypes)

    def persistent(identifier: Any) -> _Storage:
        dtype, key, count = _storage_id(identifier)
        if count * dtype.itemsize != len(places[key]):
            raise ValueError("a storage of another size than the file says")
        return _Storage(dtype, count, places[key])

    stream.at = start
    return run_pickle(stream, builders, _DTYPE_CONSTANTS, persistent, allowed)


def _legacy_places(stream: _Stream, keys: Any, dtypes: Mapping[str, torch.dtype]) -> dict[str, memoryview]:
    """Storage key -> bytes. The storages begin at the current position: a count (8 bytes) and values each."""
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in dtypes for key in keys):
        raise ValueError("its list of tensors is damaged")
    places: dict[str, memoryview] = {}
    position = stream.at
    for key in keys:
        count = int.from_bytes(_slice(stream.view, position, 8), "little")
        places[key] = _slice(stream.view, position + 8, count * dtypes[key].itemsize)
        position += 8 + len(places[key])
    return places


def read_plain(path: Path) -> Any:
    """The object in an ordinary pickle."""
    data = map_file(path)
    builders = {**_BUILDERS, "torch.storage._load_from_bytes": _storage_of_bytes}
    return run_pickle(_Stream(data), builders, _DTYPE_CONSTANTS, allowed=allowed_names(data))


def _storage_of_bytes(data: bytes | memoryview) -> _Storage:
    """The storage that a pickled tensor brings, as a sequence of pickles inside a string of the pickle."""
    view = data if isinstance(data, memoryview) else memoryview(bytearray(data))
    storage = _read_sequence(_Stream(view), {}, _STORAGES)
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without values")
    return storage


def _storage_id(identifier: Any) -> tuple[torch.dtype, str, int]:
    """`("storage", type, key, location, count[, view])` -> dtype, key, count."""
    tag, kind, key, _, count, *view = identifier
    if (tag != "storage" or not isinstance(kind, Global) or not isinstance(key, str)
            or len(key) > _LONGEST_KEY or type(count) is not int or view not in ([], [None])):
        raise ValueError("an unknown kind of storage")
    return _DTYPES[kind.path.rpartition(".")[2]], key, count


def _tensor(storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor | Record:
    """A view of the storage. Everything a file can say is checked, so that no view leaves its storage."""
    if storage.data is None:
        return Record("tensor")
    count = min(storage.count, len(storage.data) // storage.dtype.itemsize)
    numbers = (offset, *size, *stride)
    if (any(type(number) is not int or not 0 <= number <= sys.maxsize for number in numbers)
            or not len(size) == len(stride) <= 8 or math.prod(size) > max(count, _REPEATED)):
        raise ValueError("a tensor of impossible shape")
    if 0 in size:
        return torch.empty(size, dtype=storage.dtype)
    if offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) >= count:
        raise ValueError("a tensor reaches beyond its storage")
    return torch.frombuffer(storage.data, dtype=storage.dtype, count=count).as_strided(size, stride, offset)


def _tensor_of_bytes(storage: _Storage, offset: int, size: tuple, stride: tuple, _grad: Any, _hooks: Any,
                     dtype: torch.dtype | Global, *_: Any) -> Tensor | Record:
    if isinstance(dtype, Global):                         # float8 and the like, which no system of ours uses
        return Record(dtype.path)
    return _tensor(_Storage(dtype, storage.count // dtype.itemsize, storage.data), offset, size, stride)


def _tensor_of_subclass(function: Any, _: Any, args: tuple, *__: Any) -> Tensor | Record:
    if not isinstance(function, Global) or function.path not in _TENSORS:
        raise ValueError("an unknown kind of tensor")
    return _TENSORS[function.path](*args)


def _dictionary(pairs: Any = ()) -> dict:
    return {safe_key(key): value for key, value in pairs}


_TENSORS: Builders = {
    "torch._utils._rebuild_tensor_v2": _tensor, "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_bytes,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
}
_BUILDERS: Builders = {
    **_TENSORS, **numpy_records.BUILDERS,
    "builtins.set": lambda items=(): set(map(safe_key, items)),
    "builtins.frozenset": lambda items=(): frozenset(map(safe_key, items)),
    "builtins.list": list, "builtins.tuple": tuple, "torch.Size": tuple,
    "builtins.dict": _dictionary, "collections.OrderedDict": _dictionary,
    "collections.defaultdict": lambda *_: {},
    "torch._tensor._rebuild_from_type_v2": _tensor_of_subclass,
    "copyreg._reconstructor": lambda kind, base, state: Record(kind.path),
}
