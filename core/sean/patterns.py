"""The distinct neighbourhoods of a label map: scale and shift of a SEAN block depend on nothing else."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Patterns:
    """What a label map of one size is made of: n5 different 5x5 squares that hold n3 different 3x3 ones.

    `ids`: [H,W], the number of the square round each pixel. `near`: [n5,9], the 3x3 squares round its inner
    pixels, row by row; n3 = that pixel is outside the picture. `labels`: [n3,9], R or more = no label there.
    `keys`: per 5x5 square its 25 labels, as bytes.
    """

    ids: Tensor
    near: Tensor
    labels: Tensor
    keys: list[bytes]


def find_patterns(labels: Tensor, count: int) -> Patterns:
    """`labels`: [H,W] on the CPU, 0..count, where `count` = no label."""
    outside = count + 1
    framed = np.pad(labels.numpy().astype(np.int64), 2, constant_values=outside)
    inner, first3 = _number_squares(framed[1:-1, 1:-1], outside + 1)
    around = np.pad(inner, 1, constant_values=len(first3))
    ids, first5 = _number_squares(around, len(first3) + 1)
    squares = np.ascontiguousarray(_squares(framed, 5, first5), dtype=np.int16)    # [n5,25]
    return Patterns(torch.from_numpy(ids), torch.from_numpy(_squares(around, 3, first5)),
                    torch.from_numpy(_squares(framed[1:-1, 1:-1], 3, first3)),
                    squares.view("V50")[:, 0].tolist())


def _number_squares(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[H+2,W+2], 0..count-1 -> numbers [H,W] of the 3x3 squares, and where each number occurs first."""
    threes = (values[:, :-2] * count + values[:, 1:-1]) * count + values[:, 2:]    # [H+2,W]
    kinds, rows = np.unique(threes, return_inverse=True)
    rows, count = rows.reshape(threes.shape), len(kinds)
    stacks = (rows[:-2] * count + rows[1:-1]) * count + rows[2:]                   # [H,W]
    _, first, numbers = np.unique(stacks, return_index=True, return_inverse=True)
    return numbers.reshape(stacks.shape), first


def _squares(values: np.ndarray, side: int, places: np.ndarray) -> np.ndarray:
    """The squares at flat `places` of the picture without its frame, [N,side*side]."""
    windows = sliding_window_view(values, (side, side))
    rows, columns = np.divmod(places, windows.shape[1])
    return windows[rows, columns].reshape(len(places), side * side)
