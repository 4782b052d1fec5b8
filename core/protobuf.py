"""Protocol buffer messages, read field by field without a schema."""
from __future__ import annotations

from collections.abc import Iterator

DAMAGED = "it is damaged; copy it again"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5          # wire types


class Bytes:
    """Bytes that are read from front to back. Raises ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError(DAMAGED)
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
        raise ValueError(DAMAGED)


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers and values of a message's fields. Raises ValueError for anything else."""
    reader = Bytes(message)
    while reader:
        number, kind = divmod(reader.varint(), 8)
        if kind == _VARINT:
            yield number, reader.varint()
        elif kind == _BYTES:
            yield number, reader.take(reader.varint())
        elif kind in (_FIXED32, _FIXED64):
            yield number, reader.take(4 if kind == _FIXED32 else 8)
        else:
            raise ValueError(DAMAGED)


def parts(message: bytes, number: int) -> Iterator[bytes]:
    """The fields of one number, which hold texts or messages."""
    for found, value in fields(message):
        if found == number:
            if isinstance(value, int):
                raise ValueError(DAMAGED)
            yield value
