"""TensorFlow checkpoints of version 2 ("bundles"), read without TensorFlow.

A bundle is an index and data files beside it: `NAME.index` and `NAME.data-00000-of-00001`, ... The index is
a sorted table as LevelDB writes it: blocks of keys and values; its values are protocol buffer messages that
tell every tensor's type, shape and place in the data. Tensors are views of the mapped data files. Checksums
are not compared.
"""
from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5                                              # of a block: compression and checksum
_LARGEST_INDEX = 16 << 20
_MOST_TENSORS = 1 << 16
_LONGEST_NAME = 1 << 10
_LARGEST_SHAPE = 1 << 40                                  # values, sides of 0 counted as 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5          # wire types of protocol buffers
_DTYPES = {1: torch.float32, 2: torch.float64, 3: torch.int32, 4: torch.uint8, 5: torch.int16, 6: torch.int8,
           9: torch.int64, 14: torch.bfloat16, 19: torch.float16}
_DAMAGED = "its index is damaged; copy it again"


@dataclass(frozen=True)
class _Entry:
    """What the index says of one tensor; `offset` and `size` in bytes."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


class _Bytes:
    """Bytes that are read from front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError(_DAMAGED)
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self) -> int:
        """Seven bits a byte, the lowest first; the last byte is below 128."""
        value = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(_DAMAGED)


def read_bundle(index: Path) -> dict[str, Tensor]:
    """Every tensor of the bundle whose index file this is, by its TensorFlow name.

    What is no array of numbers (texts, truth values) is left out. Raises ValueError, without the file's name,
    for a damaged, compressed or incomplete bundle.
    """
    messages = _table(_index_bytes(index))
    shards = _shard_count(messages.pop(b"", b""))
    data = [_map_file(index.with_name(f"{index.stem}.data-{shard:05d}-of-{shards:05d}"))
            for shard in range(shards)]
    entries = {name.decode("utf-8", "replace"): _entry(message) for name, message in messages.items()}
    return {name: _tensor(name, entry, data) for name, entry in entries.items() if entry.dtype in _DTYPES}


def _index_bytes(index: Path) -> bytes:
    if index.stat().st_size > _LARGEST_INDEX:
        raise ValueError("it is too large for the index of a TensorFlow checkpoint")
    data = index.read_bytes()
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise ValueError("it is not the index of a TensorFlow checkpoint, or was cut off; copy it again")
    return data


def _table(data: bytes) -> dict[bytes, bytes]:
    """The keys and values of all data blocks. Blocks must follow each other, so that none is read twice."""
    footer = _Bytes(data[-_FOOTER:])
    for _ in ("offset", "size"):                          # of a block that TensorFlow leaves empty
        footer.varint()
    found: dict[bytes, bytes] = {}
    end = 0
    for _, place in _block(data, footer.varint(), footer.varint()):
        reader = _Bytes(place)
        offset, size = reader.varint(), reader.varint()
        if offset < end:
            raise ValueError(_DAMAGED)
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
        raise ValueError(_DAMAGED)
    reader, key = _Bytes(data[offset:offset + size - 4 - 4 * restarts]), b""
    while reader:
        shared, unshared, length = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key) or shared + unshared > _LONGEST_NAME:
            raise ValueError(_DAMAGED)
        key = key[:shared] + reader.take(unshared)
        yield key, reader.take(length)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers and values of a protocol buffer message."""
    reader = _Bytes(message)
    while reader:
        number, kind = divmod(reader.varint(), 8)
        if kind == _VARINT:
            yield number, reader.varint()
        elif kind == _BYTES:
            yield number, reader.take(reader.varint())
        elif kind in (_FIXED32, _FIXED64):
            yield number, reader.take(4 if kind == _FIXED32 else 8)
        else:
            raise ValueError(_DAMAGED)


def _shard_count(header: bytes) -> int:
    """How many data files there are, from the message under the empty key."""
    fields = dict(_fields(header))
    if _number(fields.get(2, 0)):
        raise ValueError("it was written on a big-endian machine; save it again on an ordinary one")
    return _number(fields.get(1, 0))


def _entry(message: bytes) -> _Entry:
    fields = dict(_fields(message))
    if 7 in fields:
        raise ValueError("it holds a variable that is split into slices; save it again unsplit")
    shape, dtype, shard, offset, size = fields.get(2, b""), *(_number(fields.get(i, 0)) for i in (1, 3, 4, 5))
    if not isinstance(shape, bytes):
        raise ValueError(_DAMAGED)
    sides = [dict(_fields(side)).get(1, 0) for number, side in _fields(shape)
             if number == 2 and isinstance(side, bytes)]
    return _Entry(dtype, tuple(map(_number, sides)), shard, offset, size)


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError(_DAMAGED)
    return value


def _map_file(path: Path) -> bytes | mmap.mmap:
    """A data file as memory, private to us: writing to it would not change the file."""
    if not path.is_file():
        raise ValueError(f"its data file {path.name} is missing; put it beside the index")
    with open(path, "rb") as file:
        empty = not path.stat().st_size
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _tensor(name: str, entry: _Entry, data: list[bytes | mmap.mmap]) -> Tensor:
    """A view of the data. Everything a file can say is checked, so that no view leaves it."""
    dtype, shape = _DTYPES[entry.dtype], entry.shape
    if (len(shape) > 8 or math.prod(max(side, 1) for side in shape) > _LARGEST_SHAPE
            or math.prod(shape) * dtype.itemsize != entry.size or entry.shard >= len(data)):
        raise ValueError(_DAMAGED)
    if entry.offset + entry.size > len(data[entry.shard]):
        raise ValueError(f"its data file is truncated: {name[:80]} lies beyond its end; copy it again")
    if not entry.size:
        return torch.empty(shape, dtype=dtype)
    values = torch.frombuffer(data[entry.shard], dtype=torch.uint8, count=entry.size, offset=entry.offset)
    aligned = values if entry.offset % dtype.itemsize == 0 else values.clone()
    return aligned.view(dtype).reshape(shape)
