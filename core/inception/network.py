"""Inception v3 as its TensorFlow graph of 2015 computes it, by which IS and FID are published.

"Rethinking the Inception Architecture for Computer Vision", Szegedy et al. 2015, arXiv 1512.00567. Later
models of the same name differ: here the means near a border are of the pixels that are there, and the last
block pools by maximum.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, CLASSES = 299, 1008
Kernel = int | tuple[int, int]
Step = tuple[int, int, tuple[Kernel, ...]]                # outputs, stride, kernels side by side
Branches = Mapping[str, Sequence[Step]]
Pool = Callable[[Tensor], Tensor]
POOLED = "branch_pool"                                    # the branch that sees the block's pooled input

halve: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)
highest: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
average: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU; only `padded` keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1,
                 padded: bool = False) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Branches of convolutions, and pooling, beside each other; what they make is concatenated."""

    def __init__(self, inputs: int, pool: Pool, branches: Branches) -> None:
        super().__init__()
        self.pool = pool
        self.names: dict[str, list[list[str]]] = {}       # of the convolutions: branch, step, side by side
        for branch, steps in branches.items():
            width, self.names[branch] = inputs, []
            for number, (outputs, stride, kernels) in enumerate(steps, start=1):
                name = f"{branch}_{number}" if len(steps) > 1 else branch
                beside = [name + letter for letter in "ab"] if len(kernels) > 1 else [name]
                for place, kernel in zip(beside, kernels, strict=True):
                    self.add_module(place, ConvNorm(width, outputs, kernel, stride, padded=stride == 1))
                self.names[branch].append(beside)
                width = outputs * len(kernels)

    def forward(self, x: Tensor) -> Tensor:
        pooled, made = self.pool(x), []
        for branch, steps in self.names.items():
            y = pooled if branch == POOLED else x
            for beside in steps:
                y = torch.cat([self.get_submodule(name)(y) for name in beside], 1)
            made.append(y)
        return torch.cat(made if POOLED in self.names else [*made, pooled], 1)


def conv(outputs: int, *kernels: Kernel, stride: int = 1) -> Step:
    return outputs, stride, kernels


def block_a(pooled: int) -> Branches:
    return {"branch1x1": [conv(64, 1)], "branch5x5": [conv(48, 1), conv(64, 5)],
            "branch3x3dbl": [conv(64, 1), conv(96, 3), conv(96, 3)], POOLED: [conv(pooled, 1)]}


def block_c(width: int) -> Branches:
    row, column = (1, 7), (7, 1)
    return {"branch1x1": [conv(192, 1)],
            "branch7x7": [conv(width, 1), conv(width, row), conv(192, column)],
            "branch7x7dbl": [conv(width, 1), conv(width, column), conv(width, row), conv(width, column),
                             conv(192, row)],
            POOLED: [conv(192, 1)]}


BLOCK_B: Branches = {"branch3x3": [conv(384, 3, stride=2)],
                     "branch3x3dbl": [conv(64, 1), conv(96, 3), conv(96, 3, stride=2)]}
BLOCK_D: Branches = {"branch3x3": [conv(192, 1), conv(320, 3, stride=2)],
                     "branch7x7x3": [conv(192, 1), conv(192, (1, 7)), conv(192, (7, 1)),
                                     conv(192, 3, stride=2)]}
BLOCK_E: Branches = {"branch1x1": [conv(320, 1)], "branch3x3": [conv(384, 1), conv(384, (1, 3), (3, 1))],
                     "branch3x3dbl": [conv(448, 1), conv(384, 3), conv(384, (1, 3), (3, 1))],
                     POOLED: [conv(192, 1)]}


class Inception(nn.Module):
    """[N,3,299,299] -1..1 -> features [N,2048]. `fc` makes 1008 classes of them; the inception score leaves
    its bias away."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2)                          # [N,32,149,149]
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padded=True)                      # [N,64,147,147]
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)                                  # [N,192,71,71]
        self.Mixed_5b = Block(192, average, block_a(32))                           # [N,256,35,35]
        self.Mixed_5c = Block(256, average, block_a(64))
        self.Mixed_5d = Block(288, average, block_a(64))
        self.Mixed_6a = Block(288, halve, BLOCK_B)                                 # [N,768,17,17]
        self.Mixed_6b = Block(768, average, block_c(128))
        self.Mixed_6c = Block(768, average, block_c(160))
        self.Mixed_6d = Block(768, average, block_c(160))
        self.Mixed_6e = Block(768, average, block_c(192))
        self.Mixed_7a = Block(768, halve, BLOCK_D)                                 # [N,1280,8,8]
        self.Mixed_7b = Block(1280, average, BLOCK_E)
        self.Mixed_7c = Block(2048, highest, BLOCK_E)                              # [N,2048,8,8]
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image))))   # [N,64,73,73]
        x = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))                       # [N,192,35,35]
        for block in self.children():
            x = block(x) if isinstance(block, Block) else x
        return x.mean((2, 3))
