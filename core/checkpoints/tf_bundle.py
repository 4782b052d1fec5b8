"""TensorFlow checkpoints of version 2 ("bundles"), read without TensorFlow.

A bundle is an index and data files beside it: `NAME.index` and `NAME.data-00000-of-00001`, ... The index is
a sorted table as LevelDB writes it: blocks of keys and values; its values are protocol buffer messages that
tell every tensor's type, shape and place in the data. Tensors are views of the mapped data files. Checksums
are not compared.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from mmap import mmap
from pathlib import Path

import torch
from torch import Tensor

from ..protobuf import DAMAGED, Bytes, fields
from .mapped import map_file, view

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5                                              # of a block: compression and checksum
_LARGEST_INDEX = 4 << 20
_MOST_TENSORS = 1 << 16
_LONGEST_NAME = 1 << 10
_DTYPES = {1: torch.float32, 2: torch.float64, 3: torch.int32, 4: torch.uint8, 5: torch.int16, 6: torch.int8,
           9: torch.int64, 14: torch.bfloat16, 19: torch.float16}


@dataclass(frozen=True)
class _Entry:
    """What the index says of one tensor; `offset` and `size` in bytes."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_bundle(index: Path) -> dict[str, Tensor]:
    """Every tensor of the bundle whose index file this is, by its TensorFlow name.

    What is no array of numbers (texts, truth values) is left out. Raises ValueError, without the file's name,
    for a damaged, compressed or incomplete bundle.
    """
    messages = _table(_index_bytes(index))
    shards = _shard_count(messages.pop(b"", b""))
    data = list(_data(index, shards))
    entries = {name.decode("utf-8", "replace"): _entry(message) for name, message in messages.items()}
    unclaimed = sum(map(len, data))
    found = {}
    for name, entry in entries.items():
        if entry.dtype in _DTYPES:
            found[name] = _tensor(name, entry, data)
            unclaimed -= entry.size
        if unclaimed < 0:
            raise ValueError("its tensors claim more data than its data files have; copy them again")
    return found


def is_bundle(path: Path) -> bool:
    """Whether a file ends as an index does."""
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - len(_MAGIC), 0))
        return file.read() == _MAGIC


def data_files(index: Path) -> list[Path]:
    """What lies beside an index file as its data files, also for an index nobody has read yet."""
    return sorted(index.parent.glob(f"{escape(index.stem)}.data-?????-of-?????"))


def _index_bytes(index: Path) -> bytes:
    if index.stat().st_size > _LARGEST_INDEX:
        raise ValueError("it is too large for the index of a TensorFlow checkpoint")
    data = index.read_bytes()
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise ValueError("it is not the index of a TensorFlow checkpoint, or was cut off; copy it again")
    return data


def _table(data: bytes) -> dict[bytes, bytes]:
    """The keys and values of all data blocks. Blocks must follow each other, so that none is read twice."""
    footer = Bytes(data[-_FOOTER:])
    for _ in ("offset", "size"):                          # of a block that TensorFlow leaves empty
        footer.varint()
    found: dict[bytes, bytes] = {}
    end = 0
    for _, place in _block(data, footer.varint(), footer.varint()):
        reader = Bytes(place)
        offset, size = reader.varint(), reader.varint()
        if offset < end:
            raise ValueError(DAMAGED)
        end = offset + size
        for key, value in _block(data, offset, size):
            found[key] = value
            if len(found) > _MOST_TENSORS:
                raise ValueError(f"it lists more than {_MOST_TENSORS} tensors")
    return found


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block. A key begins as the one before it does; only the rest is stored."""
    if offset + size + _TRAILER > len(data) - _FOOTER or size < 4:
        raise ValueError("its index points beyond its end; copy it again")
    if data[offset + size] != 0:
        raise ValueError("its index is compressed, which TensorFlow's checkpoint writer never does; "
                         "save it again with TensorFlow")
    restarts = int.from_bytes(data[offset + size - 4:offset + size], "little")   # numbers after the entries
    if 4 * restarts > size - 4:
        raise ValueError(DAMAGED)
    reader, key = Bytes(data[offset:offset + size - 4 - 4 * restarts]), b""
    while reader:
        shared, unshared, length = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key) or shared + unshared > _LONGEST_NAME:
            raise ValueError(DAMAGED)
        key = key[:shared] + reader.take(unshared)
        yield key, reader.take(length)


def _shard_count(header: bytes) -> int:
    """How many data files there are, from the message under the empty key."""
    found = dict(fields(header))
    if _number(found.get(2, 0)):
        raise ValueError("it was written on a big-endian machine; save it again on an ordinary one")
    return _number(found.get(1, 0))


def _entry(message: bytes) -> _Entry:
    found = dict(fields(message))
    if 7 in found:
        raise ValueError("it holds a variable that is split into slices; save it again unsplit")
    shape, dtype, shard, offset, size = found.get(2, b""), *(_number(found.get(i, 0)) for i in (1, 3, 4, 5))
    if not isinstance(shape, bytes):
        raise ValueError(DAMAGED)
    sides = [dict(fields(side)).get(1, 0) for number, side in fields(shape)
             if number == 2 and isinstance(side, bytes)]
    return _Entry(dtype, tuple(map(_number, sides)), shard, offset, size)


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError(DAMAGED)
    return value


def _data(index: Path, shards: int) -> Iterator[mmap | bytes]:
    """The data files, in order, as memory."""
    for shard in range(shards):
        path = index.with_name(f"{index.stem}.data-{shard:05d}-of-{shards:05d}")
        if not path.is_file():
            raise ValueError(f"its data file {path.name} is missing; put it beside the index")
        yield map_file(path) if path.stat().st_size else b""


def _tensor(name: str, entry: _Entry, data: list[mmap | bytes]) -> Tensor:
    dtype = _DTYPES[entry.dtype]
    if math.prod(entry.shape) * dtype.itemsize != entry.size or entry.shard >= len(data):
        raise ValueError(DAMAGED)
    return view(data[entry.shard], name, dtype, entry.shape, entry.offset)
