"""The same generator, computed sooner: channels-last, few passes over memory.

What changes against `network.py` (results agree to rounding): input channels are multiplied by the styles and
output channels by the demodulation, so that all samples share one set of weights; the sqrt(2) of the
activations is multiplied into what comes before them; 3x3 convolutions on CPUs need a quarter of the
multiplications (`core/winograd.py`).
"""
from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..equalised import SQRT2
from ..mapping import LatentMapping
from ..winograd import Pool, conv3x3
from .network import CONST, Block, Generator, Stage, StyledConv, ToRGB, check_latent


def tap_energy(layer: StyledConv) -> Tensor:
    """Sums of squared taps [I,O]: with the squared styles they give the demodulation."""
    return layer.weight.square().sum((2, 3)).T.contiguous()


def styled_conv(layer: StyledConv, energy: Tensor, x: Tensor, w: Tensor, noise: Tensor | None, gain: float,
                pool: Pool) -> Tensor:
    """[N,h,w,I], w [N,W], `noise` [H,W] or [N,1,H,W] -> [N,H,W,O], leaving `x` as it is."""
    style = layer.affine(w)                                                        # [N,I]
    scale = (style.square() @ energy + 1e-8).rsqrt() * (SQRT2 * gain)              # [N,O]
    if layer.blur is None:
        y = convolve(x, style, layer.weight, pool)
    else:
        y = convolve_up(x, style, layer.weight, layer.blur.kernel)
    torch.addcmul(layer.bias * (SQRT2 * gain), y, scale[:, None, None], out=y)
    if noise is not None:
        y.add_(noise.view(-1, *layer.size, 1), alpha=SQRT2 * gain)
    F.leaky_relu_(y, 0.2)
    return y if layer.clamp is None else y.clamp_(-layer.clamp * gain, layer.clamp * gain)


def convolve(x: Tensor, style: Tensor, weight: Tensor, pool: Pool) -> Tensor:
    """[N,H,W,I] -> [N,H,W,O]."""
    batch, height, width, channels = x.shape
    padded = pool.take(batch, height + 2, width + 2, channels)
    for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
        edge.zero_()
    torch.mul(x, style[:, None, None], out=padded[:, 1:-1, 1:-1])
    y = x.new_zeros(batch, height, width, len(weight))
    conv3x3(padded, weight.permute(2, 3, 1, 0), y, pool)
    pool.give(padded)
    return y


def convolve_up(x: Tensor, style: Tensor, weight: Tensor, blur: Tensor) -> Tensor:
    """[N,h,w,I] -> [N,2h,2w,O]."""
    scaled = (x * style[:, None, None]).permute(0, 3, 1, 2)
    y = F.conv_transpose2d(scaled, weight.transpose(0, 1), stride=2)               # [N,O,2h+1,2w+1]
    y = F.conv2d(y, blur.expand(len(weight), 1, 4, 4), padding=1, groups=len(weight))
    return y.permute(0, 2, 3, 1).contiguous()


def to_rgb(layer: ToRGB, x: Tensor, w: Tensor) -> Tensor:
    """[N,H,W,C] -> [N,3,H,W]."""
    batch, height, width, channels = x.shape
    weight = layer.weight[:, :, 0, 0] * layer.style(w)[:, None]                    # [N,3,C]
    rgb = torch.baddbmm(layer.bias[:, None], weight, x.reshape(batch, -1, channels).transpose(1, 2))
    rgb = rgb.view(batch, -1, height, width)
    return rgb if layer.clamp is None else rgb.clamp_(-layer.clamp, layer.clamp)


class FastGenerator(nn.Module):
    """The methods of the plain `generator`, whose weights it uses, without gradients.

    The weights' order in memory changes, their names, shapes and values do not.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator, self.config = generator, generator.config
        for name, layer in self.convs():
            taps = layer.weight.permute(2, 3, 1, 0).contiguous()                   # [3,3,I,O]
            layer.weight.data = taps.permute(3, 2, 0, 1)
            self.register_buffer(name, tap_energy(layer), persistent=False)
        self.eval()

    def convs(self) -> Iterator[tuple[str, StyledConv]]:
        """Every 3x3 convolution, with the name of the buffer for its `tap_energy`."""
        for block in self.generator.synthesis.blocks:
            for number, layer in enumerate(block.convs()):
                yield f"energy{block.index}_{number}", layer

    @property
    def mapping(self) -> LatentMapping:
        return self.generator.mapping

    @torch.no_grad()
    def features(self, ws: Tensor, block: int, noise: str = CONST, rng: torch.Generator | None = None,
                 after: Stage | None = None) -> Stage:
        """As `Generator.features`."""
        check_latent(self.config, ws, noise, block)
        stage, pool = self.generator.start(len(ws)) if after is None else after, Pool(ws.device)
        for layers in self.generator.synthesis.blocks[stage.block + 1:block + 1]:
            stage = self._run(layers, stage, ws, noise, rng, pool)
        return stage

    def picture(self, ws: Tensor, noise: str = CONST, rng: torch.Generator | None = None,
                after: Stage | None = None) -> Tensor:
        """As `Generator.picture`."""
        image = self.features(ws, len(self.config.channels) - 1, noise, rng, after).image
        assert image is not None
        return image

    def _run(self, block: Block, stage: Stage, ws: Tensor, noise: str, rng: torch.Generator | None,
             pool: Pool) -> Stage:
        *rows, rgb_row = block.rows(ws)
        x, image = stage.x.permute(0, 2, 3, 1), stage.image
        for number, (layer, w) in enumerate(zip(block.convs(), rows, strict=True)):
            x = styled_conv(layer, self.get_buffer(f"energy{block.index}_{number}"), x, w,
                            layer.noise(noise, len(ws), rng), block.gain(layer), pool)
        if block.skip is not None:
            x = x + block.skip(stage.x).permute(0, 2, 3, 1)
        if block.torgb is not None:
            rgb = to_rgb(block.torgb, x, rgb_row)
            image = rgb if image is None else block.upsample(image) + rgb
        return Stage(block.index, x.permute(0, 3, 1, 2), image)
