"""The same generator, computed sooner: channels-last, fewer multiplications, few passes over memory.

What changes against `network.py` (results agree to rounding): a transposed convolution is one 2x2
convolution that makes the four pixels between any four, which on CPUs needs less than half of the
multiplications (`core/winograd.py`); the norm is two sums and one multiply-add; nothing is concatenated, all
is written, rectified, to its place between the borders that the next convolution needs.
"""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..winograd import Pool, conv2x2, conv3x3, room_2x2
from .network import Decoder, Encoder, Generator, Norm, Up


def norm_line(norm: Norm, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Gain and offset [B,1,1,1] that `norm` comes to for x [B,H,W,C].

    `count`: the numbers of a sample; what x holds besides is zeros. Sums are made in float32, by rows.
    """
    rows = x.flatten(2)
    mean = rows.sum(2, dtype=torch.float32).sum(1) / count                         # [B]
    square = torch.linalg.vector_norm(rows, dim=2, dtype=torch.float32).square().sum(1) / count
    gain = norm.weight / ((square - mean.square()).clamp(min=0).sqrt() + 1e-3)
    offset = norm.bias - mean * gain
    return gain.to(x.dtype).view(-1, 1, 1, 1), offset.to(x.dtype).view(-1, 1, 1, 1)


def convolved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """[B,C,H,W] -> [B,C_out,H',W'], in the type of x and channels-last."""
    bias = None if conv.bias is None else conv.bias.to(x.dtype)
    return F.conv2d(x, conv.weight.to(x.dtype), bias, conv.stride, conv.padding)


class FastEncoder(Encoder):
    """Takes over the blocks of an encoder. Its maps are channels-last."""

    def __init__(self, encoder: Encoder) -> None:
        nn.Sequential.__init__(self, *encoder)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def forward(self, x: Tensor) -> list[Tensor]:
        blocks: list[Any] = [*self]
        levels = [convolved(blocks[0], x.contiguous(memory_format=torch.channels_last))]
        for block in blocks[1:]:
            x = convolved(block.conv, F.leaky_relu(levels[-1], 0.2))
            if isinstance(block.norm, Norm):
                gain, offset = norm_line(block.norm, x.permute(0, 2, 3, 1), x[0].numel())
                torch.addcmul(offset, x, gain, out=x)
            levels.append(x)
        return levels


def empty_canvas(like: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Memory for maps with zeros around them, and the maps' place in it: [B,R+1,S+1,C] and [B,H,W,C].

    `like`: [B,*,H,W] of the same type. A 2x2 convolution has R > H rows and S > W columns of windows there;
    the maps lie one off the upper and left border.
    """
    batch, _, height, width = like.shape
    rows, columns = room_2x2(height + 1, width + 1)
    canvas = like.new_empty(batch, rows + 1, columns + 1, channels)
    for border in (canvas[:, 0], canvas[:, height + 1:], canvas[:, :, 0], canvas[:, :, width + 1:]):
        border.zero_()
    return canvas, canvas[:, 1:height + 1, 1:width + 1]


def place(skip: Sequence[Tensor], spot: Tensor) -> None:
    """Writes parts [B,C,H,W], rectified, side by side into `spot` [B,H,W,sum of C]."""
    for part, target in zip(skip, spot.split([part.shape[1] for part in skip], 3), strict=True):
        torch.clamp(part.permute(0, 2, 3, 1), min=0, out=target)


def window_taps(weight: Tensor) -> Tensor:
    """Transposed convolution [C,C_out,4,4], stride 2, padding 1 -> 2x2 convolution [2,2,C,4*C_out].

    The window of rows i-1 and i of the input makes rows 2i-1 and 2i of the output: the taps of row i-1 are 2
    and 3, those of row i are 0 and 1.
    """
    channels, outputs = weight.shape[:2]
    taps = weight.view(channels, outputs, 2, 2, 2, 2).flip(2, 4)                   # row, of 2; column, of 2
    return taps.permute(2, 4, 0, 3, 5, 1).reshape(2, 2, channels, 4 * outputs)


class FastUp(nn.Module):
    """Takes over an `Up`, laying its weight out anew."""

    def __init__(self, up: Up) -> None:
        super().__init__()
        self.conv, self.norm = up.conv, up.norm
        self.conv.weight.data = window_taps(up.conv.weight)

    def forward(self, canvas: Tensor) -> Tensor:
        """Rectified maps [B,R+1,S+1,C] -> windows [B,R,S,2,2,C_out]."""
        batch, rows, columns = len(canvas), canvas.shape[1] - 1, canvas.shape[2] - 1
        windows = canvas.new_zeros(batch, rows, columns, 2, 2, self.conv.out_channels)
        conv2x2(canvas, self.conv.weight.float(), windows.flatten(3), Pool(canvas.device))
        return windows

    def beside(self, skip: Sequence[Tensor], windows: Tensor) -> Tensor:
        """Windows, normed and rectified, as maps with `skip` behind them: the next level's canvas."""
        outputs = windows.shape[5]
        canvas, spot = empty_canvas(skip[0], outputs + sum(part.shape[1] for part in skip))
        place(skip, spot[..., outputs:])
        height, width = spot.shape[1] // 2, spot.shape[2] // 2
        for outside in (windows[:, 0, :, 0], windows[:, height, :, 1], windows[:, height + 1:],
                        windows[:, :, 0, :, 0], windows[:, :, width, :, 1], windows[:, :, width + 1:]):
            outside.zero_()
        gain, offset = norm_line(self.norm, windows.flatten(3), outputs * spot[0, :, :, 0].numel())
        for y, x in itertools.product(range(2), repeat=2):
            pixels = windows[:, y:y + height, x:x + width, 1 - y, 1 - x]           # [B,H/2,W/2,C_out]
            torch.addcmul(offset, pixels, gain, out=spot[:, y::2, x::2, :outputs]).relu_()
        return canvas


class FastDecoder(Decoder):
    """Takes over the blocks of a decoder."""

    def __init__(self, decoder: Decoder) -> None:
        nn.Module.__init__(self)
        blocks: Any = decoder.blocks
        self.blocks, self.picture = nn.ModuleList(map(FastUp, blocks)), decoder.picture

    @torch.no_grad()
    def forward(self, skips: Iterator[Sequence[Tensor]]) -> Tensor:
        skip = next(skips)
        x, spot = empty_canvas(skip[0], sum(part.shape[1] for part in skip))
        place(skip, spot)
        blocks: Any = self.blocks
        for block, skip in zip(blocks, skips, strict=True):
            x = block(x)
            x = block.beside(skip, x)
        return self._draw(x, *skip[0].shape[2:])

    def _draw(self, canvas: Tensor, height: int, width: int) -> Tensor:
        batch, rows, columns = len(canvas), canvas.shape[1] - 2, canvas.shape[2] - 2
        weight, bias = self.picture.weight, self.picture.bias
        assert bias is not None
        out = bias.float().repeat(batch, rows, columns, 1)
        conv3x3(canvas.float(), weight.float().permute(2, 3, 1, 0).contiguous(), out, Pool(canvas.device))
        return out[:, :height, :width].permute(0, 3, 1, 2).to(canvas.dtype).contiguous().tanh_()


class FastGenerator(Generator):
    """Evaluation only. Made from a filled `Generator`, whose tensors it shares or lays out anew."""

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        with torch.device("meta"):
            super().__init__(generator.config)
        self.load_state_dict(generator.state_dict(), assign=True)
        self.appearance = FastEncoder(self.appearance)
        self.pose = None if self.pose is None else FastEncoder(self.pose)
        self.decoder = FastDecoder(self.decoder)
        self.eval().requires_grad_(False)
