"""What dragging needs from a generator."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch.nn.functional as F
from torch import Tensor


class Box(NamedTuple):
    """Rows `top` to `bottom` - 1 and columns `left` to `right` - 1 of a map, perhaps beyond its border."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    def grown(self, pixels: int) -> Box:
        return Box(self.top - pixels, self.left - pixels, self.bottom + pixels, self.right + pixels)

    def moved(self, down: int, right: int) -> Box:
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def within(self, size: tuple[int, int]) -> Box:
        """The part inside a map of that height and width."""
        return Box(max(self.top, 0), max(self.left, 0), min(self.bottom, size[0]), min(self.right, size[1]))

    def rounded(self, unit: int) -> Box:
        """With sides at multiples of `unit`, no smaller."""
        return Box(self.top // unit * unit, self.left // unit * unit,
                   -(-self.bottom // unit) * unit, -(-self.right // unit) * unit)

    def meets(self, other: Box) -> bool:
        return (max(self.top, other.top) < min(self.bottom, other.bottom)
                and max(self.left, other.left) < min(self.right, other.right))

    def joined(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(min(self.top, other.top), min(self.left, other.left),
                   max(self.bottom, other.bottom), max(self.right, other.right))


def cut(x: Tensor, have: Box, want: Box) -> Tensor:
    """[..,h,w] of `have` -> [..,h',w'] of `want`, zeros where `have` ends."""
    if have == want:
        return x
    if not have.meets(want):
        return x.new_zeros(*x.shape[:-2], *want.size)
    return F.pad(x, (have.left - want.left, want.right - have.right,
                     have.top - want.top, want.bottom - have.bottom))


def canvas_size(source: Draggable) -> tuple[int, int]:
    """Height and width of the pictures with their margins."""
    (height, width), (rows, columns) = source.size, source.margin
    return height + 2 * rows, width + 2 * columns


@dataclass(frozen=True, eq=False)
class FixedArea:
    """What must not change: `mask` [H,W] of the canvas, 1 = fixed, and the box outside which it is 0."""

    mask: Tensor
    box: Box


class Draggable(Protocol):
    """A generator with the latent a drag starts from.

    `size`: height and width of its pictures. `margin`: (rows, columns) of emptiness on each side of them that
    handles may enter; picture and margins are the canvas. `map_size`: (h, w) of the canvas's features, of
    which the canvas's size is a whole multiple. `start`: [E,W], the rows of the latent that may change.
    """

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def margin(self) -> tuple[int, int]: ...

    @property
    def map_size(self) -> tuple[int, int]: ...

    @property
    def start(self) -> Tensor: ...

    def features(self, rows: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """[E,W] -> the features [C,h,w] in each box of the canvas's map, differentiable in `rows`."""

    def picture(self, rows: Tensor) -> Tensor:
        """[E,W], from any device -> [H,W,3] 0..1."""
