"""TensorFlow's record files, read without TensorFlow: uncompressed, a protocol buffer `Example` per record.

A record is the length of its content (8 bytes, little-endian), a checksum, the content, a checksum. Checksums
are not compared.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..protobuf import DAMAGED, Bytes, fields, parts

_LONGEST_RECORD = 1 << 24
_BYTES_LIST, _INT64_LIST = 1, 3                           # of the three kinds of features


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The content of every record, and where in the file it begins.

    Raises FileNotFoundError, or ValueError for another kind of file and for one that was cut off.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    size = path.stat().st_size
    with open(path, "rb") as file:
        while head := file.read(12):
            start, length = file.tell(), int.from_bytes(head[:8], "little")
            if len(head) < 12 or length > min(_LONGEST_RECORD, size - start - 4):
                raise ValueError(f"{path.name} is no uncompressed tf-record file, or was cut off: the record "
                                 f"at byte {start - len(head)} does not end inside it.")
            yield start, file.read(length)
            file.read(4)


def features(example: bytes) -> dict[str, bytes]:
    """The features of an `Example` by name, not yet understood: see `texts` and `numbers`."""
    found = {}
    for group in parts(example, 1):
        for entry in parts(group, 1):
            pair = dict(fields(entry))
            name, feature = pair.get(1), pair.get(2)
            if not isinstance(name, bytes) or not isinstance(feature, bytes):
                raise ValueError(DAMAGED)
            found[name.decode("utf-8", "replace")] = feature
    return found


def texts(feature: bytes) -> list[bytes]:
    """What a feature holds if it is a list of byte strings; else nothing."""
    return [text for values in parts(feature, _BYTES_LIST) for text in parts(values, 1)]


def numbers(feature: bytes) -> list[int]:
    """What a feature holds if it is a list of whole numbers; else nothing."""
    return [number for values in parts(feature, _INT64_LIST) for number in _numbers(values)]


def _numbers(values: bytes) -> Iterator[int]:
    """One number a field, or many packed into one; negative ones as two's complement of 64 bits."""
    for _, value in fields(values):
        for number in [value] if isinstance(value, int) else _packed(Bytes(value)):
            yield number - (1 << 64) if number >> 63 else number


def _packed(reader: Bytes) -> Iterator[int]:
    while reader:
        yield reader.varint()
