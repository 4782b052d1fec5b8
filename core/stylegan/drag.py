"""StyleGAN2 as dragging sees it: the rows of w+ that change and the features they lead to.

`DragSource` is the plain form. `windows.py` has the fast one, which computes only the features asked for.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..drag import Box, cut
from .fast import FastGenerator
from .network import check_latent

EDITABLE = 6                                              # the first rows of w+: pose and shape
BLOCK = 5                                                 # whose features are compared: of 128x128 pixels


class DragSource:
    """A generator and the latent `ws` [1,num_ws,W] to start from. Gradients reach no weights.

    `block`: whose features are compared. Generators of people are dragged on a square canvas: their features
    end at the picture's sides. Raises ValueError for a latent of another generator and for a block it lacks.
    """

    def __init__(self, generator: FastGenerator, ws: Tensor, block: int = BLOCK) -> None:
        config = generator.config
        blocks = len(config.channels)
        if not 0 <= block < blocks:
            raise ValueError(f"Dragging compares features of block {block}, but this generator for pictures "
                             f"{config.size(-1)[0]} high has only blocks 0 to {blocks - 1}.")
        check_latent(config, ws, "const", block)
        if len(ws) != 1:
            raise ValueError(f"Dragging changes one latent at a time; got {len(ws)}.")
        self.generator, self.block = generator, block
        self.ws = ws.detach().to(generator.mapping.w_avg, copy=True)               # [1,num_ws,W]

    @property
    def size(self) -> tuple[int, int]:
        return self.generator.config.size(-1)

    @property
    def margin(self) -> tuple[int, int]:
        height, width = self.size
        return 0, (height - width) // 2

    @property
    def map_size(self) -> tuple[int, int]:
        height = self.generator.config.size(self.block)[0]
        return height, height

    @property
    def start(self) -> Tensor:
        return self.ws[0, :EDITABLE]

    def latent(self, rows: Tensor) -> Tensor:
        """[E,W], from any device -> w+ [1,num_ws,W] on the generator's."""
        return torch.cat([rows[None].to(self.ws), self.ws[:, len(rows):]], 1)

    def features(self, rows: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """[E,W] -> [C,h,w] in each box of the canvas, zeros beside the picture."""
        x = self.generator.generator.features(self.latent(rows), self.block).x[0]
        height, width = x.shape[1:]
        columns = (height - width) // 2
        return [cut(x, Box(0, columns, height, columns + width), box) for box in boxes]

    @torch.no_grad()
    def picture(self, rows: Tensor) -> Tensor:
        """[E,W] -> [H,W,3] 0..1."""
        picture = self.generator.picture(self.latent(rows))[0].movedim(0, -1)      # [H,W,3 or 1]
        return ((picture + 1) / 2).clamp(0, 1).expand(-1, -1, 3)
