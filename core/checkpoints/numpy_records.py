"""Pickled NumPy numbers and arrays, understood without asking NumPy: its own functions can run code."""
from __future__ import annotations

import math
import sys
from typing import Any

import torch
from torch import Tensor

from .pickle_machine import Builders, Record

_DTYPES = {"f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "b1": torch.bool, "u1": torch.uint8,
           "i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64}
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")             # the second since NumPy 2
_MOST_SIDES = 8


def to_tensor(record: Any) -> Tensor | None:
    """The array a record stands for; None for anything else, such as an array of texts or objects.

    Raises ValueError when shape, type and bytes do not fit.
    """
    if not isinstance(record, Record) or record.path not in {f"{module}._reconstruct" for module in _MODULES}:
        return None
    _, shape, dtype, by_columns, data = record.state
    values = _values(dtype, data)
    if values is None:
        return None
    if (not isinstance(shape, tuple) or len(shape) > _MOST_SIDES
            or any(type(side) is not int or not 0 <= side <= sys.maxsize for side in shape)
            or math.prod(shape) != len(values)):
        raise ValueError("an array of impossible shape")
    return _transposed(values.reshape(shape[::-1])) if by_columns else values.reshape(shape)


def _transposed(array: Tensor) -> Tensor:
    return array.permute(*reversed(range(array.ndim)))


def _scalar(dtype: Any, data: Any = None) -> float | int | bool | Record:
    values = _values(dtype, data)
    return Record("numpy.scalar", (dtype, data)) if values is None else values.item()


def _values(dtype: Any, data: Any) -> Tensor | None:
    """Bytes -> one row of numbers, None when they are none. Large data stays where it is."""
    if not isinstance(dtype, Record) or dtype.path != "numpy.dtype":
        return None
    code, order = dtype.args[0], dtype.state[1] if dtype.state else "|"
    kind = _DTYPES.get(code.lstrip("<>=|")) if isinstance(code, str) else None
    if kind is None or not isinstance(data, (bytes, memoryview)):
        return None
    if ">" in (code[0], order):
        raise ValueError("an array of a big-endian machine; save it again on an ordinary one")
    if not len(data):
        return torch.empty(0, dtype=kind)
    return torch.frombuffer(data if isinstance(data, memoryview) else bytearray(data), dtype=kind)


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 keeps bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes of an unknown encoding")
    return text.encode("latin-1")


BUILDERS: Builders = {"_codecs.encode": _encode} | {f"{module}.scalar": _scalar for module in _MODULES}
