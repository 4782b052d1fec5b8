"""The generator as it is trained: the numbers of `network.py`, and one set of weights for the whole batch.

As in `fast.py`, input channels are multiplied by the styles and output channels by the demodulation; here
everything can be differentiated twice. On a CPU in bfloat16 it takes half of the time.
"""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..equalised import activate
from .network import Config, Generator, StyledConv, ToRGB


class SharedConv(StyledConv):
    """The same layer with the same parameters."""

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None, gain: float = 1) -> Tensor:
        style = self.affine(w)                                                     # [N,I]
        x = x * style[:, :, None, None].to(x.dtype)
        if self.blur is None:
            y = F.conv2d(x, self.weight, padding=1)
        else:
            y = self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        scale = (style.float().square() @ self.weight.square().sum((2, 3)).T + 1e-8).rsqrt()     # [N,O]
        y = y * scale[:, :, None, None].to(y.dtype)
        if noise is not None:
            y = y + noise.to(y.dtype)
        return activate(y + self.bias[:, None, None].to(y.dtype), gain, self.clamp)


class SharedToRGB(ToRGB):
    """The same layer with the same parameters."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = F.conv2d(x * self.style(w)[:, :, None, None].to(x.dtype), self.weight, self.bias).float()
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


def trainable(config: Config) -> Generator:
    """A generator without initial values, made of the layers above; state-dict keys stay."""
    generator = Generator(config)
    for block in generator.synthesis.blocks:
        for name, layer in list(block.named_children()):
            if isinstance(layer, StyledConv):
                outputs, inputs = layer.weight.shape[:2]
                setattr(block, name, SharedConv(config, inputs, outputs, layer.size, layer.blur is not None))
            elif isinstance(layer, ToRGB):
                setattr(block, name, SharedToRGB(config, layer.weight.shape[1]))
    return generator
