"""Many pictures as one: contact sheets."""
from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from .files import atomic_write

GAP = 2


def tile(cells: Tensor) -> Tensor:
    """[rows,columns,3,H,W] 0..1 -> one picture [3,h,w] with thin white lines between the cells."""
    cells = F.pad(cells.float().clamp(0, 1), (0, GAP, 0, GAP), value=1.0)    # [R,C,3,H+2,W+2]
    rows, columns, _, height, width = cells.shape
    return cells.permute(2, 0, 3, 1, 4).reshape(3, rows * height, columns * width)[:, :-GAP, :-GAP]


def save_sheet(path: Path, cells: Tensor) -> None:
    """[rows,columns,3,H,W] 0..1 -> a PNG."""
    from PIL import Image

    pixels = (tile(cells).movedim(0, -1) * 255).round().byte().cpu().numpy()
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary)
