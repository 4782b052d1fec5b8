"""Files as memory, and tensors as views of it."""
from __future__ import annotations

import math
from mmap import ACCESS_COPY, mmap
from pathlib import Path

import torch
from torch import Tensor

_MOST_SIDES = 8
_LARGEST_SHAPE = 1 << 40                                  # values, sides of 0 counted as 1


def map_file(path: Path) -> mmap:
    """A whole file, not an empty one, as memory private to us: writing to it would not change the file."""
    with open(path, "rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_COPY)


def shown(name: str) -> str:
    """The beginning of a name as a sentence can hold it: a file may put anything into its names."""
    return ascii(name[:80])[1:-1]


def view(data: mmap | bytes, name: str, dtype: torch.dtype, shape: tuple[int, ...], offset: int) -> Tensor:
    """The tensor at `offset` of the data; a copy only where it is not aligned.

    Everything a file can say is checked, so that no view leaves it: ValueError, with the tensor's `name`.
    """
    if len(shape) > _MOST_SIDES or math.prod(max(side, 1) for side in shape) > _LARGEST_SHAPE:
        raise ValueError(f"it is damaged: {shown(name)} has an impossible shape")
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return torch.empty(shape, dtype=dtype)
    if offset + size > len(data):
        raise ValueError(f"its data is truncated: {shown(name)} lies beyond its end; copy it again")
    values = torch.frombuffer(data, dtype=torch.uint8, count=size, offset=offset)
    aligned = values if offset % dtype.itemsize == 0 else values.clone()
    return aligned.view(dtype).reshape(shape)
