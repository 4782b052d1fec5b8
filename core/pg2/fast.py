"""The same networks, computed sooner: channels-last, and on CPUs with a quarter of the multiplications in 3x3
convolutions (`core/winograd.py`). Results agree to rounding.

The 1x1 convolutions come before the doubling in `network.py` already, where published they come after.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ..winograd import Pool, conv3x3
from .network import G2, PG2, Encoder, Level, SameConv


def taps(weight: Tensor) -> Tensor:
    """[C_out,C,3,3] -> [3,3,C,C_out]."""
    return weight.permute(2, 3, 1, 0)


class FastConv(nn.Module):
    """Takes over a 3x3 convolution with stride 1. [B,C,H,W] -> [B,C_out,H,W], both channels-last."""

    def __init__(self, conv: SameConv) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.weight.data = taps(conv.weight).contiguous().permute(3, 2, 0, 1)

    def forward(self, x: Tensor, pool: Pool | None = None) -> Tensor:
        """`pool`: for several convolutions in a row; what comes out is taken from it."""
        assert self.bias is not None
        pool, (batch, channels, height, width) = pool or Pool(x.device), x.shape
        padded = pool.take(batch, height + 2, width + 2, channels, dtype=x.dtype)
        for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
            edge.zero_()
        padded[:, 1:-1, 1:-1] = x.permute(0, 2, 3, 1)
        out = pool.take(batch, height, width, len(self.bias), dtype=x.dtype).copy_(self.bias)
        conv3x3(padded, taps(self.weight).float(), out, pool)
        pool.give(padded)
        return out.permute(0, 3, 1, 2)


class FastLevel(nn.Module):
    """Takes over a `Level`."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.conv1, self.conv2, self.change = FastConv(level.conv1), FastConv(level.conv2), level.change
        if self.change is not None:
            self.change.weight.data = self.change.weight.to(memory_format=torch.channels_last)

    def pair(self, x: Tensor) -> Tensor:
        pool = Pool(x.device)
        return self.conv2(self.conv1(x, pool).relu_(), pool).relu_()


class FastPG2(PG2):
    """Evaluation only. Made from a filled `PG2`, whose tensors it shares or lays out anew."""

    @torch.no_grad()
    def __init__(self, net: PG2) -> None:
        with torch.device("meta"):
            super().__init__(net.config)
        self.load_state_dict(net.state_dict(), assign=True)
        for module in [*self.modules()]:
            for name, layer in module.named_children():
                if isinstance(layer, Level):
                    setattr(module, name, FastLevel(layer))
                elif isinstance(module, Encoder | G2) and isinstance(layer, SameConv):
                    setattr(module, name, FastConv(layer))
        self.eval().requires_grad_(False)
