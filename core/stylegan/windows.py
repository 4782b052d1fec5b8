"""The generator for dragging: only the features in some boxes, with gradients to some rows of w+.

What changes against `network.py` (results agree to rounding): every layer computes only what the next one
needs, so that a small window of a large map costs little; rows that stay are multiplied into the weights
once; no weights get gradients.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..drag import Box, cut
from ..equalised import SQRT2
from ..winograd import F4, TILES, Pool, conv3x3
from .drag import BLOCK, EDITABLE, DragSource
from .fast import FastGenerator, tap_energy
from .layers import RESNET
from .network import CONST, StyledConv

LARGE = TILES * F4.tile**2                                # pixels from which on Winograd's convolution pays
Window = tuple[Box, Tensor]                               # what part of a map, [1,C,h,w]


class _Winograd(torch.autograd.Function):
    """[1,I,h+2,w+2], [O,I,3,3] -> [1,O,h,w]. No gradient for the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return _convolve(x, weight.permute(2, 3, 1, 0))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        weight, = ctx.saved_tensors
        wide = _convolve(F.pad(gradient, (3, 3, 3, 3)), weight.flip(2, 3).permute(2, 3, 0, 1))
        return wide[:, :, 1:-1, 1:-1], None               # one more on each side keeps to whole tiles


def _convolve(x: Tensor, taps: Tensor) -> Tensor:
    """[1,I,h+2,w+2], [3,3,I,O] -> [1,O,h,w]."""
    _, _, height, width = x.shape
    y = x.new_zeros(1, height - 2, width - 2, taps.shape[3])
    conv3x3(x.permute(0, 2, 3, 1).contiguous(), taps, y, Pool(x.device))
    return y.permute(0, 3, 1, 2)


class WindowedConv:
    """A layer on windows. `w`: [1,W], its row of the latent where that stays, multiplied into the weights."""

    def __init__(self, layer: StyledConv, w: Tensor | None) -> None:
        self.affine, self.energy, self.clamp = layer.affine, tap_energy(layer), layer.clamp
        height, width = layer.size
        self.input_size, self.blur = layer.size, None
        noise, weight = layer.noise(CONST, 1, None), layer.weight.detach()
        self.noise = None if noise is None else noise * SQRT2                      # [H,W]
        self.bias = layer.bias * SQRT2
        if w is not None:
            style, scale = self.scales(w)                                          # [1,I,1,1], [1,O,1,1]
            weight = weight * style * scale.transpose(0, 1)                        # [O,I,3,3]
        if layer.blur is not None:
            weight, self.input_size = weight.transpose(0, 1), (height // 2, width // 2)
            self.blur = layer.blur.kernel.expand(weight.shape[1], 1, 4, 4)
        self.weight = weight.contiguous(memory_format=torch.channels_last)

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w [1,W] -> the factors of input and output channels, [1,I,1,1] and [1,O,1,1]."""
        style = self.affine(w)
        scale = (style.square() @ self.energy + 1e-8).rsqrt() * SQRT2
        return style[:, :, None, None], scale[:, :, None, None]

    def needs(self, box: Box) -> Box:
        """The part of the input that `box` of the output depends on, zeros beyond the border included."""
        if self.blur is None:
            return box.grown(1)
        return Box(box.top // 2, box.left // 2, (box.bottom + 1) // 2, (box.right + 1) // 2).grown(1)

    def gives(self, box: Box) -> Box:
        """At least `box`: large ones in whole tiles of Winograd's convolution."""
        return box.rounded(F4.tile) if self.blur is None and box.area >= LARGE else box

    def run(self, x: Tensor, box: Box, scales: tuple[Tensor, Tensor] | None) -> Tensor:
        """[1,I,..] of `needs(box)` -> [1,O,..] of `box`. `scales`: None where they are in the weights."""
        y = self._convolve(x if scales is None else x * scales[0], box)
        y = (y if scales is None else y * scales[1]) + self.bias[:, None, None]
        if self.noise is not None:
            y = y + self.noise[box.top:box.bottom, box.left:box.right]
        y = F.leaky_relu(y, 0.2)
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)

    def _convolve(self, x: Tensor, box: Box) -> Tensor:
        if self.blur is None and box.area >= LARGE and x.device.type == "cpu":
            return _Winograd.apply(x, self.weight)
        if self.blur is None:
            return F.conv2d(x, self.weight)
        y = F.conv_transpose2d(x, self.weight, stride=2, padding=1)
        y = F.conv2d(y, self.blur, groups=y.shape[1])                              # even sides around `box`
        top, left = box.top % 2, box.left % 2
        return y[:, :, top:top + box.size[0], left:left + box.size[1]]


def merged(boxes: Sequence[Box]) -> list[Box]:
    """Boxes that hold these, joined where that is no more work for a layer."""
    found: list[Box] = []
    for box in boxes:
        while other := next((other for other in found if cheaper_joined(box, other)), None):
            found.remove(other)
            box = box.joined(other)
        found.append(box)
    return found


def cheaper_joined(box: Box, other: Box) -> bool:
    return box.joined(other).grown(1).area <= box.grown(1).area + other.grown(1).area


def taken(windows: Sequence[Window], box: Box, size: tuple[int, int]) -> Tensor:
    """[1,C,..] of `box` from the window that has it, zeros beyond the border of the map of that size."""
    inside = box.within(size)
    have, x = next(window for window in windows if window[0].joined(inside) == window[0])
    return cut(x, have, box)


class WindowedSource(DragSource):
    """The fast form of `DragSource`, for generators without residual ways."""

    @torch.no_grad()
    def __init__(self, generator: FastGenerator, ws: Tensor, block: int = BLOCK) -> None:
        super().__init__(generator, ws, block)
        blocks = generator.generator.synthesis.blocks[:block + 1]
        layers = [layer for part in blocks for layer in part.convs()]
        self.layers = [WindowedConv(layer, self.ws[:, row] if row >= EDITABLE else None)
                       for row, layer in enumerate(layers)]
        self.const = blocks[0].const[None].contiguous(memory_format=torch.channels_last)

    def features(self, rows: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """As the plain form's."""
        config = self.generator.config
        size = height, width = config.size(self.block)
        boxes = [box.moved(0, (width - height) // 2) for box in boxes]             # of the picture's features
        seen = [box.within(size) for box in boxes]
        windows = self._windows(rows, [box for box in seen if box.area])
        return [taken(windows, box, size)[0] if part.area
                else rows.new_zeros(config.channels[self.block], *box.size)
                for box, part in zip(boxes, seen, strict=True)]

    def _windows(self, rows: Tensor, boxes: Sequence[Box]) -> list[Window]:
        """The features in all `boxes`; first, from the last layer on, what each has to give."""
        plan: list[list[Box]] = []
        for layer in reversed(self.layers):
            plan.append([layer.gives(box) for box in merged(boxes)])
            boxes = [layer.needs(box).within(layer.input_size) for box in plan[-1]]
        windows = [(Box(0, 0, *self.const.shape[2:]), self.const)]
        for index, (layer, wanted) in enumerate(zip(self.layers, reversed(plan), strict=True)):
            scales = layer.scales(rows[index:index + 1]) if index < EDITABLE else None
            windows = [(box, layer.run(taken(windows, layer.needs(box), layer.input_size), box, scales))
                       for box in wanted]
        return windows


def drag_source(generator: FastGenerator, ws: Tensor, block: int = BLOCK) -> DragSource:
    """The fastest form for a generator. Arguments as `DragSource`'s."""
    form = DragSource if generator.config.architecture == RESNET else WindowedSource
    return form(generator, ws, block)
