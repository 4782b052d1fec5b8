"""Weight files of Keras 2 (HDF5), read without h5py.

An HDF5 file is a web of objects that name each other by address. Every object has a header of messages; a
group's lead to a table of names, a data set's tell its type, its shape and where its numbers lie. Keras makes
a group of each layer; attributes list the layers and the weights of each layer in the order of the model.

Understood is what Keras 2 writes: the oldest form of the format, data sets in one piece. Anything else gets
one sentence. A file may point anywhere, in circles too: so what is read besides the numbers is limited, and
all data sets together cannot have more numbers than the file. Tensors are views of the mapped file.
Format: "HDF5 File Format Specification", The HDF Group.
"""
from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..protobuf import DAMAGED, Bytes
from .mapped import map_file, shown, view

MAGIC = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK = 96
_MOST_STRUCTURE = 4 << 20                                 # bytes read that are no numbers
_LONGEST_NAME = 1 << 10
_SPACE, _TYPE, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _TABLE = 1, 3, 8, 11, 12, 16, 17   # messages
_SHARED = 2                                               # flag of a message that lies elsewhere
_TEXTS = 3                                                # class of a type: texts of one length
_FLOAT32 = bytes.fromhex("11201f00 04000000 00002000 17080017 7f000000")       # a type: little-endian
_ONE_PIECE = (3, 1)                                       # version and class of a layout
_NEWER = ("it is an HDF5 file of a newer form than Keras 2 writes; write it again with h5py and "
          "libver='earliest'")

_Messages = Mapping[int, list[bytes]]


def read_keras(path: Path) -> dict[str, Tensor]:
    """Every weight by its name, such as "conv2d_1/kernel:0", in the order of the model's layers.

    Takes files of whole models and of weights alone. Raises ValueError, without the file's name, for a
    damaged file and for what Keras 2 does not write.
    """
    file = _File(path)
    group = file.members(file.root).get("model_weights", file.root)
    layers = _texts(file.messages(group), "layer_names")
    if layers is None:
        raise ValueError("it is an HDF5 file without a list of layers, so it holds no weights of Keras 2")
    members = file.members(group)
    found: dict[str, Tensor] = {}
    for layer in layers:
        header = _member(members, layer)
        for name in _texts(file.messages(header), "weight_names") or ():
            if name in found:
                raise ValueError(f"it is damaged: it lists {shown(name)} twice")
            found[name] = file.tensor(name, file.find(header, name))
    return found


class _Numbers(Bytes):
    """Bytes and little-endian numbers that are read from front to back."""

    def number(self, size: int = 8) -> int:
        """Addresses and lengths have 8 bytes."""
        return int.from_bytes(self.take(size), "little")


class _File:
    """The objects of a file; an object is known by the address of its header."""

    def __init__(self, path: Path) -> None:
        self.data = map_file(path)
        self.structure, self.numbers = _MOST_STRUCTURE, len(self.data)             # bytes that may be read
        block = _Numbers(self.part(0, _SUPERBLOCK))
        block.take(len(MAGIC))
        if any(block.take(5)) or block.take(2) != b"\x08\x08":                    # versions; sizes of numbers
            raise ValueError(_NEWER)
        block.take(9)
        base, _, end, _, _, self.root = (block.number() for _ in range(6))
        if base:
            raise ValueError(_NEWER)
        if end > len(self.data):
            raise ValueError(f"it is truncated, {len(self.data)} of {end} bytes are here; copy it again")

    def part(self, address: int, size: int) -> bytes:
        if address + size > len(self.data):
            raise ValueError(DAMAGED)
        self.structure -= size
        if self.structure < 0:
            raise ValueError("it is an HDF5 file of more parts than weights have, or they point in circles")
        return self.data[address:address + size]

    def messages(self, header: int) -> _Messages:
        """What an object's header says: kind -> contents of the messages of that kind."""
        start = _Numbers(self.part(header, 16))
        if start.number(1) != 1:
            raise ValueError(_NEWER)
        start.take(7)                                     # numbers of messages and of users
        places = [(header + 16, start.number(4))]
        found: dict[int, list[bytes]] = defaultdict(list)
        for place in places:
            block = _Numbers(self.part(*place))
            while block:
                kind, size, flags = block.number(2), block.number(2), block.number(1)
                block.take(3)
                message = _Numbers(block.take(size))
                if flags & _SHARED:
                    raise ValueError(_NEWER)
                if kind == _CONTINUATION:
                    places.append((message.number(), message.number()))
                found[kind].append(message.data)
        return found

    def members(self, header: int) -> dict[str, int]:
        """The names in a group and the objects they mean."""
        table = _Numbers(_only(self.messages(header), _TABLE))
        tree, heap = table.number(), _Numbers(self.part(table.number(), 32))
        if heap.take(8) != b"HEAP\0\0\0\0":
            raise ValueError(DAMAGED)
        size, _, place = (heap.number() for _ in range(3))
        texts = self.part(place, size)
        return {_text(texts[start:start + _LONGEST_NAME]): member for start, member in self._links(tree)}

    def _links(self, tree: int) -> Iterator[tuple[int, int]]:
        """Of each name in a group: where it starts among the texts, and the object it means."""
        nodes = [tree]
        for address in nodes:
            kind, count = struct.unpack("<5sxH", self.part(address, 8))
            if kind == b"TREE\0":
                pairs = struct.iter_unpack("<8xQ", self.part(address + 24, 16 * count))
                nodes += [node for node, in pairs]
            elif kind == b"SNOD\1":
                yield from struct.iter_unpack("<QQ24x", self.part(address + 8, 40 * count))
            else:
                raise ValueError(DAMAGED)

    def find(self, group: int, path: str) -> int:
        """The object a path below a group means."""
        for name in path.split("/"):
            group = _member(self.members(group), name)
        return group

    def tensor(self, name: str, header: int) -> Tensor:
        messages = self.messages(header)
        layout = _Numbers(_only(messages, _LAYOUT))
        if _FILTERS in messages or (layout.number(1), layout.number(1)) != _ONE_PIECE:
            raise ValueError(f"{shown(name)} is compressed or in pieces, which Keras 2 never writes; write "
                             "it again with h5py, without chunks and compression")
        if not _only(messages, _TYPE).startswith(_FLOAT32):
            raise ValueError(f"{shown(name)} is of another type than little-endian float32")
        shape, address, size = _shape(_only(messages, _SPACE)), layout.number(), layout.number()
        self.numbers -= size
        if math.prod(shape) * torch.float32.itemsize != size or self.numbers < 0:
            raise ValueError(DAMAGED)
        return view(self.data, name, torch.float32, shape, address)


def _member(members: Mapping[str, int], name: str) -> int:
    if name not in members:
        raise ValueError(f"it is damaged: {shown(name)} is missing, although it is listed")
    return members[name]


def _only(messages: _Messages, kind: int) -> bytes:
    if len(messages.get(kind, ())) != 1:
        raise ValueError(DAMAGED)
    return messages[kind][0]


def _texts(messages: _Messages, name: str) -> list[str] | None:
    """The texts of an attribute; None when the object has no attribute of that name."""
    for message in messages.get(_ATTRIBUTE, ()):
        attribute = _Numbers(message)
        version, flags = attribute.number(1), attribute.number(1)
        if version not in (1, 3) or flags:
            raise ValueError(_NEWER)
        sizes, step = [attribute.number(2) for _ in range(3)], 8 if version == 1 else 1
        attribute.take(0 if version == 1 else 1)          # alphabet of the name
        title, kind, space = (attribute.take(-(-size // step) * step) for size in sizes)
        if _text(title) == name:
            return _split(attribute, _Numbers(kind), math.prod(_shape(space)))
    return None


def _split(values: _Numbers, kind: _Numbers, count: int) -> list[str]:
    """The next `count` texts. An empty list of Keras is one of numbers."""
    family, _, length = kind.number(1) & 15, kind.take(3), kind.number(4)
    if not count:
        return []
    if family != _TEXTS or not length:
        raise ValueError(_NEWER)
    data = values.take(count * length)
    return [_text(data[start:start + length]) for start in range(0, len(data), length)]


def _shape(message: bytes) -> tuple[int, ...]:
    space = _Numbers(message)
    version, rank = space.number(1), space.number(1)
    if version not in (1, 2):
        raise ValueError(_NEWER)
    space.take(6 if version == 1 else 2)
    return tuple(space.number() for _ in range(rank))


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")
