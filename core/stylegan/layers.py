"""What StyleGAN2's networks have beside the layers of `core/equalised`: architectures, and a convolution.

"Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020, arXiv 1912.04958.
"""
from __future__ import annotations

import math

from torch import Tensor, nn

from .. import equalised
from ..equalised import Resample, activate

HALF = math.sqrt(1 / 2)                                   # keeps the variance of two summands
SKIP, RESNET, PLAIN = "skip", "resnet", "orig"         # architectures


class Conv(equalised.Conv):
    """Also to half the size, with `down`. A bias is followed by the activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True, down: bool = False,
                 clamp: float | None = None) -> None:
        super().__init__(inputs, outputs, kernel, bias)
        self.clamp = clamp
        self.resample: nn.Module = nn.Identity()
        if down and kernel == 1:
            self.resample = Resample(down=2)
        elif down:
            self.resample, self.padding, self.stride = Resample(padding=(2, 2)), 0, 2

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        """[N,I,H,W] -> [N,O,H,W] or [N,O,H/2,W/2], times `gain`."""
        y = super().forward(self.resample(x))
        return y * gain if self.bias is None else activate(y, gain, self.clamp)
