"""3x3 and 2x2 convolutions of channels-last pictures with fewer multiplications, for CPUs.

Winograd's minimal filtering ("Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308): tiles of
the picture and the filters are evaluated at a few points, multiplied there as matrices, and interpolated
back. float32 uses F(4x4,3x3) at the points 0, +-sqrt(1/2), +-sqrt(2), infinity, whose rounding error is half
that of the usual integers (about 1e-6 of the output, five times a direct convolution's); bfloat16 uses
F(2x2,3x3), whose constants it can represent. These need a quarter and 4/9 of the multiplications. 2x2 filters
take F(3x3,2x2), which has the points 0, +-1, infinity of F(2x2,3x3) and needs 4/9 of them.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

A, B = math.sqrt(1 / 2), math.sqrt(2)                     # evaluation points; A*B = 1, A*A + B*B = 5/2
CHANNELS = 64                                             # with fewer, transforms cost more than they save
TILES = 32                                                # with fewer, the products are too thin
STRIP = 4096                                              # pixels transformed at once, to stay in the cache
BANK = 5 << 20                                            # numbers of transformed filters, likewise
MANY = 400                                                # with fewer, transforming 2x2 filters costs more


class Pool:
    """Memory reused within one forward pass: touching fresh pages costs more than the arithmetic on them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[Tensor] = []

    def take(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A contiguous tensor of any content."""
        size = math.prod(shape) * dtype.itemsize
        fitting = [i for i, block in enumerate(self._free) if block.numel() >= size]
        if fitting:
            block = self._free.pop(min(fitting, key=lambda i: self._free[i].numel()))
        else:
            block = torch.empty(size, dtype=torch.uint8, device=self._device)
        return block[:size].view(dtype).view(shape)

    def give(self, *tensors: Tensor) -> None:
        """Hands back whole storages; nobody may use these tensors, or views of them, any more."""
        for tensor in tensors:
            block = torch.empty(0, dtype=torch.uint8, device=self._device)
            self._free.append(block.set_(tensor.untyped_storage()))


@dataclass(frozen=True)
class Filtering:
    """One algorithm F(tile x tile, taps x taps) with n = tile + taps - 1 points per axis.

    `weight`: [n*n,taps*taps], a filter -> its values at the points. `analyse`, `synthesise`: the transforms
    of one axis, from n planes to n planes and from n planes to `tile`.
    """

    tile: int
    taps: int
    weight: Tensor
    analyse: Callable[[Sequence[Tensor], Sequence[Tensor]], None]
    synthesise: Callable[[Sequence[Tensor], Sequence[Tensor]], None]

    @property
    def points(self) -> int:
        return self.tile + self.taps - 1


def _analyse4(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    for near, point, square in ((1, A, 0.5), (3, B, 2.0)):                         # even, odd part at +-point
        even = torch.add(d[4], d[2], alpha=square - 2.5, out=out[0])
        odd = torch.add(d[3], d[1], alpha=square - 2.5, out=out[5])
        torch.add(even, odd, alpha=point, out=out[near])
        torch.add(even, odd, alpha=-point, out=out[near + 1])
    out[0].add_(d[0]).add_(d[2], alpha=-2.0)                                       # d0 - 5/2 d2 + d4
    torch.add(d[5], d[3], alpha=-2.5, out=out[5]).add_(d[1])                       # d1 - 5/2 d3 + d5


def _synthesise4(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    even, odd = torch.add(m[1], m[2], out=out[2]), torch.sub(m[1], m[2], out=out[1])
    outer = torch.sub(m[3], m[4], out=out[0])
    torch.add(m[5], odd, alpha=A**3, out=out[3]).add_(outer, alpha=B**3)
    odd.mul_(A).add_(outer, alpha=B)
    torch.add(m[0], even, out=out[0]).add_(m[3]).add_(m[4])
    even.mul_(A**2).add_(m[3], alpha=B**2).add_(m[4], alpha=B**2)


def _analyse_ones(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    torch.sub(d[0], d[2], out=out[0])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[1], d[3], out=out[3])


def _synthesise2(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    torch.add(m[0], m[1], out=out[0]).add_(m[2])
    torch.sub(m[1], m[2], out=out[1]).sub_(m[3])


def _synthesise3(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    even = torch.add(m[1], m[2], out=out[2])
    torch.add(m[0], even, out=out[0])
    torch.sub(m[1], m[2], out=out[1])
    even.sub_(m[3])


def _both_axes(rows: Sequence[Sequence[float]]) -> Tensor:
    """[n,taps] filter transform of one axis -> [n*n,taps*taps] of both."""
    one = torch.tensor(rows, dtype=torch.float64, device="cpu")
    return torch.einsum("ik,jl->ijkl", one, one).reshape(len(rows) ** 2, -1).float()


F4 = Filtering(4, 3, _both_axes([
    [1.0, 0.0, 0.0],
    [-2 / 3, -2 / 3 * A, -1 / 3],
    [-2 / 3, 2 / 3 * A, -1 / 3],
    [1 / 6, B / 6, 1 / 3],
    [1 / 6, -B / 6, 1 / 3],
    [0.0, 0.0, 1.0],
]), _analyse4, _synthesise4)
F2 = Filtering(2, 3, _both_axes([
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0.0, 0.0, 1.0],
]), _analyse_ones, _synthesise2)
F3 = Filtering(3, 2, _both_axes([
    [1.0, 0.0],
    [0.5, 0.5],
    [0.5, -0.5],
    [0.0, 1.0],
]), _analyse_ones, _synthesise3)


def conv3x3(padded: Tensor, weight: Tensor, out: Tensor, pool: Pool) -> None:
    """out += 3x3 convolution, by whatever way suits the sizes and the device.

    `padded`: [B,H+2,W+2,C] with its border of zeros, float32 or bfloat16. `weight`: [3,3,C,C_out] float32,
    rounded here to the type of `padded`. `out`: [B,H,W,C_out] of that type, contiguous.
    """
    channels, outputs = weight.shape[2:]
    if padded.device.type != "cpu" or min(channels, 9 * outputs) < CHANNELS:
        _direct(padded, weight, out)
    elif 9 * outputs <= channels:
        _project_first(padded, weight, out)
    else:
        filtering = F2 if padded.dtype == torch.bfloat16 else F4
        height, width, tile = out.shape[1], out.shape[2], filtering.tile
        if height % tile or width % tile or height * width < TILES * tile**2:
            _tap_products(padded, weight, out)
        else:
            _winograd(padded, weight, out, filtering, pool)


def conv2x2(padded: Tensor, weight: Tensor, out: Tensor, pool: Pool) -> None:
    """out += 2x2 convolution, by whatever way suits the sizes (see `room_2x2`) and the device.

    `padded`: [B,H+1,W+1,C], float32 or half precision. `weight`: [2,2,C,C_out] float32, rounded here to the
    type of `padded`. `out`: [B,H,W,C_out] of that type, contiguous.
    """
    height, width = out.shape[1:3]
    if padded.device.type != "cpu":
        _direct(padded, weight, out)
    elif (height, width) != room_2x2(height, width) or height * width < MANY or weight.shape[2] < CHANNELS:
        _tap_products(padded, weight, out)
    else:
        _winograd(padded, weight, out, F3, pool)


def room_2x2(height: int, width: int) -> tuple[int, int]:
    """The next larger size of `out` that `conv2x2` has a fast way for: whole tiles where that pays."""
    if height * width < MANY:
        return height, width
    return -(-height // F3.tile) * F3.tile, -(-width // F3.tile) * F3.tile


def _direct(padded: Tensor, weight: Tensor, out: Tensor) -> None:
    kernel = weight.permute(3, 2, 0, 1).to(padded.dtype, memory_format=torch.channels_last)
    out += F.conv2d(padded.permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1)


def _tap_products(padded: Tensor, weight: Tensor, out: Tensor) -> None:
    """One matrix product per tap: for small or odd-sized pictures."""
    height, width = out.shape[1:3]
    taps = weight.to(padded.dtype)
    total = out.view(-1, out.shape[3])
    for y in range(len(taps)):
        for x in range(len(taps)):
            seen = padded[:, y:y + height, x:x + width].reshape(-1, weight.shape[2])
            total.addmm_(seen, taps[y, x])


def _project_first(padded: Tensor, weight: Tensor, out: Tensor) -> None:
    """All taps in one matrix product, then nine shifted sums: for very few output channels."""
    height, width = out.shape[1:3]
    taps = weight.to(padded.dtype).permute(2, 0, 1, 3).flatten(1)                  # [C,9*C_out]
    planes = (padded.view(-1, padded.shape[3]) @ taps).view(*padded.shape[:3], 3, 3, -1)
    for y in range(3):
        for x in range(3):
            out += planes[:, y:y + height, x:x + width, y, x]


def _winograd(padded: Tensor, weight: Tensor, out: Tensor, filtering: Filtering, pool: Pool) -> None:
    channels, outputs = weight.shape[2:]
    blocks = -(-filtering.points**2 * weight.shape[2:].numel() // BANK)
    rows = max(1, STRIP // (filtering.tile * out.shape[2])) * filtering.tile       # of pixels
    for some, goals in zip(weight.chunk(blocks, 3), out.chunk(blocks, 3), strict=True):
        bank = _bank(some, padded.dtype, filtering, pool)
        for picture, goal in zip(padded, goals, strict=True):
            for first in range(0, len(goal), rows):
                target = goal[first:first + rows]                                  # [h,W,C_out]
                _strip(picture[first:first + len(target) + filtering.taps - 1], bank, target, filtering, pool)
        pool.give(bank)


def _bank(weight: Tensor, dtype: torch.dtype, filtering: Filtering, pool: Pool) -> Tensor:
    """[n*n,C,C_out], the filters at the points; made anew each time, as to keep it takes much memory."""
    squared, channels, outputs = filtering.points ** 2, *weight.shape[2:]
    bank = pool.take(squared, channels, outputs)
    torch.mm(filtering.weight, weight.reshape(filtering.taps**2, -1), out=bank.view(squared, -1))
    if bank.dtype == dtype:
        return bank
    rounded = pool.take(*bank.shape, dtype=dtype).copy_(bank)
    pool.give(bank)
    return rounded


def _strip(source: Tensor, bank: Tensor, target: Tensor, filtering: Filtering, pool: Pool) -> None:
    """target [h,W,C_out] += convolution of source [h+taps-1,W+taps-1,C]; r, c count tiles, i, j points."""
    n, tile, dtype = filtering.points, filtering.tile, source.dtype
    channels, outputs = bank.shape[1:]
    r, c = target.shape[0] // tile, target.shape[1] // tile
    by_row = pool.take(n, r, c * tile + n - tile, channels, dtype=dtype)           # [i,r,W+taps-1,C]
    rows = [source[i:i + tile * r - tile + 1:tile] for i in range(n)]
    filtering.analyse(rows, by_row.unbind(0))
    values = pool.take(n, n, r, c, channels, dtype=dtype)                          # [i,j,r,c,C]
    columns = [by_row[:, :, j:j + tile * c - tile + 1:tile] for j in range(n)]
    filtering.analyse(columns, values.unbind(1))
    products = pool.take(n, n, r, c, outputs, dtype=dtype)                         # [i,j,r,c,C_out]
    torch.bmm(values.view(n * n, r * c, channels), bank, out=products.view(n * n, r * c, outputs))
    pool.give(by_row, values)
    sums = pool.take(tile, n, r, c, outputs, dtype=dtype)                          # [y,j,r,c,C_out]
    filtering.synthesise(products.unbind(0), sums.unbind(0))
    tiles = pool.take(tile, tile, r, c, outputs, dtype=dtype)                      # [y,x,r,c,C_out]
    filtering.synthesise(sums.unbind(1), tiles.unbind(1))
    target.unflatten(1, (c, tile)).unflatten(0, (r, tile)).add_(tiles.permute(2, 0, 3, 1, 4))
    pool.give(products, sums, tiles)
