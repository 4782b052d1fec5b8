"""The embedded detector: one small U-Net that sees a 128x128 picture and says where people are.

It answers on a grid of half the size: a heat map per joint, a region per cell, whether a cell shows a person,
and from there the way to the middle of that person, by which joints and cells of several people are told
apart (votes for a centre, as in Papandreou et al. 2018, PersonLab).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 128                                                # pixels of the square input
CELL = 2                                                  # pixels per cell of the answer
GRID = SIDE // CELL
JOINT_COUNT, REGION_COUNT = 18, 12
OUTPUTS = (JOINT_COUNT, REGION_COUNT, 1, 2)
WIDTHS = (32, 48, 96, 128)


@dataclass(frozen=True, eq=False)
class Maps:
    """The network's answer, float32, h = H/2 and w = W/2.

    `heat` [B,18,h,w] logits: a Gaussian round every joint, lower where it is hidden. `regions` [B,12,h,w]
    logits. `mask` [B,1,h,w] logit: a person is here. `centre` [B,2,h,w]: (x, y) from here to the middle
    between neck and hips of the person here, 1 = the side of the picture.
    """

    heat: Tensor
    regions: Tensor
    mask: Tensor
    centre: Tensor

    def __getitem__(self, rows: slice) -> Maps:
        return Maps(*(getattr(self, f.name)[rows] for f in fields(self)))

    def to(self, device: torch.device | str) -> Maps:
        return Maps(*(getattr(self, f.name).to(device) for f in fields(self)))


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and ReLU if asked for."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(width, width)
        self.conv1 = ConvNorm(width, width, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv1(self.conv0(x)))


class Detector(nn.Module):
    """[B,3,H,W] 0..1 (made for 128x128, H and W multiples of 16) -> `Maps`.

    `widths`: channels at 1/2, 1/4, 1/8 and 1/16 of the size.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Sequential(ConvNorm(3, a, 5, 2), ConvNorm(a, a))
        self.encoder = nn.ModuleList([
            nn.Sequential(ConvNorm(a, b, stride=2), Residual(b)),
            nn.Sequential(ConvNorm(b, c, stride=2), Residual(c)),
            nn.Sequential(ConvNorm(c, d, stride=2), Residual(d), Residual(d), Residual(d)),
        ])
        self.reduce = nn.ModuleList([ConvNorm(d, c, 1, relu=False), ConvNorm(c, b, 1, relu=False),
                                     ConvNorm(b, a, 1, relu=False)])
        self.decoder = nn.ModuleList([Residual(c), Residual(b), ConvNorm(a, a)])
        self.head = nn.Conv2d(a, sum(OUTPUTS), 1)
        self.to(memory_format=torch.channels_last)         # type: ignore[call-overload]

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8 and 1/16 of the size: [B,a,H/2,W/2] .. [B,d,H/16,W/16]."""
        features = [self.stem(image.contiguous(memory_format=torch.channels_last) * 4 - 2)]
        for stage in self.encoder:
            features.append(stage(features[-1]))
        return features

    def forward(self, image: Tensor) -> Maps:
        features = self.encode(image)
        x = features.pop()
        for reduce, block in zip(self.reduce, self.decoder, strict=True):   # back to [B,a,H/2,W/2]
            x = block(F.relu(F.interpolate(reduce(x), scale_factor=2.0) + features.pop()))
        return Maps(*self.head(x).float().contiguous().split(OUTPUTS, 1))
