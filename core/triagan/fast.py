"""The same generator, computed sooner: channels-last, constants folded, few passes over memory.

What changes against `network.py` (results agree to rounding): weight gains, the sqrt(2) of the activations,
layer scale and noise strength are multiplied into the weights once; the bias of every first convolution is
dropped, because the instance norm after it removes it; to_rgb is folded into the last block, which then makes
3 channels instead of `dims[0]`; norm and style are one multiply-add; keypoint planes are convolved pixel by
pixel; 3x3 convolutions on CPUs need a quarter of the multiplications (`core/winograd.py`).
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..equalised import binomial_filter
from ..winograd import Pool, conv3x3
from .network import (
    SQRT2,
    Block,
    Conv,
    Generator,
    ModulatedConv,
    Modules,
    check_size,
    style_rows,
)

SPARSE_PIXELS = 64                                        # per picture; with more, dense convolution wins


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """[B,H,W,C] -> mean and variance [B,C] over the pixels, float32.

    Torch's channels-last statistics are quick on CPUs, but add the pixels up one after the other, and
    46,080 of them would cost the golden tolerance. So 64 interleaved shares of a picture pass as channels.
    """
    batch, height, width, channels = x.shape
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x.float(), (1, 2), correction=0)
        return mean, variance
    shares = math.gcd(height * width, 64)
    split = x.reshape(batch, 1, -1, 1, shares * channels).movedim(-1, 2)           # [B,1,shares*C,pixels,1]
    parts = [torch.stack(torch.batch_norm_update_stats(picture, None, None, 0.0)) for picture in split]
    means, variances = torch.stack(parts, 1).float().view(2, batch, shares, channels)
    return means.mean(1), variances.mean(1) + means.var(1, correction=0)


def activate(x: Tensor, gamma: Tensor, beta: Tensor, out: Tensor) -> None:
    """out = leaky ReLU(gamma * instance norm(x) + beta). [B,H,W,C]; gamma, beta [B or 1,C]."""
    mean, variance = moments(x)
    scale = gamma * (variance + 1e-5).rsqrt()
    shift = beta - mean * scale
    torch.addcmul(shift.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, None, None], out=out)
    F.leaky_relu_(out, 0.2)


def padded_activation(x: Tensor, style: Tensor, pool: Pool) -> Tensor:
    """`activate` by the row of a style table [B or 1,>=2C], inside a border of zeros: [B,H+2,W+2,C]."""
    batch, height, width, channels = x.shape
    padded = pool.take(batch, height + 2, width + 2, channels, dtype=x.dtype)
    for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
        edge.zero_()
    activate(x, style[:, :channels], style[:, channels:2 * channels], padded[:, 1:-1, 1:-1])
    return padded


def upsample(x: Tensor, pool: Pool) -> Tensor:
    """[B,H,W,C] -> [B,2H,2W,C], as `network.Upsample`; gives `x` back.

    Per axis the filter is 3/4 and 1/4 of the two nearest pixels.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        doubled = pool.take(*x.shape[:axis + 1], 2, *x.shape[axis + 1:], dtype=x.dtype)
        even, odd = doubled.unbind(axis + 1)
        torch.mul(x, 0.75, out=even)
        odd.copy_(even)
        even.narrow(axis, 1, length - 1).add_(x.narrow(axis, 0, length - 1), alpha=0.25)
        odd.narrow(axis, 0, length - 1).add_(x.narrow(axis, 1, length - 1), alpha=0.25)
        pool.give(x)
        x = doubled.flatten(axis, axis + 1)
    return x


def downsample(x: Tensor) -> Tensor:
    """[B,H,W,C] -> [B,H/2,W/2,C], as `network.Downsample`."""
    channels = x.shape[3]
    kernel = binomial_filter().to(x).expand(channels, 1, 4, 4)
    small = F.conv2d(x.permute(0, 3, 1, 2), kernel, stride=2, padding=1, groups=channels)
    return small.permute(0, 2, 3, 1).contiguous()


def taps(conv: ModulatedConv) -> Tensor:
    """The weight times all its constant factors, [3,3,C_in,C_out]."""
    gain = SQRT2 * conv.gain / math.sqrt(9 * conv.weight.shape[1])
    return conv.weight.permute(2, 3, 1, 0) * gain


class FastBlock(nn.Module):
    """A residual block. `to_rgb`, where given, is folded in."""

    weight0: Tensor
    weight1: Tensor
    bias: Tensor
    skip: Tensor
    noise_scale: Tensor
    noise0: Tensor | None
    noise1: Tensor | None

    def __init__(self, block: Block, to_rgb: Conv | None = None) -> None:
        super().__init__()
        conv0, conv1 = block.conv0, block.conv1
        scale = torch.ones_like(conv1.bias) if block.layer_scale is None else block.layer_scale.flatten()
        parts = {                                                                  # [...,C_out]
            "weight1": taps(conv1) * scale,
            "bias": conv1.bias * conv1.gain * scale,
            "noise_scale": scale,
            "skip": block.skip.weight[:, :, 0, 0].T * block.skip.gain,
        }
        if to_rgb is not None and to_rgb.bias is not None:
            projection = to_rgb.weight[:, :, 0, 0].T * to_rgb.gain                 # [C_out,3]
            parts = {name: part @ projection for name, part in parts.items()}
            parts["bias"] += to_rgb.bias
        parts["weight0"] = taps(conv0)
        for name, part in parts.items():
            self.register_buffer(name, part.clone(memory_format=torch.contiguous_format))
        for name, conv in (("noise0", conv0), ("noise1", conv1)):
            noise = (conv.noise_strength * conv.noise_const)[..., None] if conv.has_noise else None
            self.register_buffer(name, noise)                                      # [H,W,1]

    def forward(self, x: Tensor, styles: Sequence[Tensor], pool: Pool) -> Tensor:
        """[B,H,W,C_in] -> [B,H,W,C_out], leaving `x` as it is.

        `styles`: one row [B or 1,>=2*C_in] for each convolution.
        """
        padded = padded_activation(x, styles[0], pool)
        h = pool.take(*x.shape, dtype=x.dtype)
        h.copy_(h.new_zeros(()) if self.noise0 is None else self.noise0)
        conv3x3(padded, self.weight0, h, pool)
        pool.give(padded)
        padded = padded_activation(h, styles[1], pool)
        pool.give(h)
        if len(self.bias) == 3:                                                    # the picture itself
            padded, x = padded.float(), x.float()
        bias = self.bias if self.noise1 is None else self.bias + self.noise1 * self.noise_scale
        out = pool.take(*x.shape[:3], len(self.bias), dtype=x.dtype).copy_(bias)
        out.view(-1, out.shape[3]).addmm_(x.reshape(-1, x.shape[3]), self.skip.to(x.dtype))
        conv3x3(padded, self.weight1, out, pool)
        pool.give(padded)
        return out


def run_blocks(blocks: Modules, x: Tensor, rows: list[Tensor], pool: Pool) -> Tensor:
    """Consumes two rows per block from the front of `rows`; gives `x` back."""
    for block in blocks:
        y = block(x, (rows.pop(0), rows.pop(0)), pool)
        pool.give(x)
        x = y
    return x


def fast_blocks(blocks: Iterable[Block], to_rgb: Conv | None = None) -> nn.ModuleList:
    """`to_rgb` is folded into the last one."""
    *others, last = blocks
    return nn.ModuleList([*map(FastBlock, others), FastBlock(last, to_rgb)])


class FastGenerator(nn.Module):
    """Evaluation only. Made from a filled `Generator`, whose `style_net` it shares; all else is copied.

    The weights are float32 whatever the precision of a forward pass, so one copy serves both.
    """

    from_rgb_weight: Tensor
    from_rgb_bias: Tensor
    encoder: Modules
    decoder: Modules

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.config = generator.config
        self.style_net = generator.style_net
        encoder, decoder, from_rgb = generator.encoder, generator.decoder, generator.from_rgb
        assert from_rgb.bias is not None
        *below, top = decoder.layers
        self.encoder = nn.ModuleList(map(fast_blocks, encoder.layers))
        self.middle = fast_blocks(decoder.middle_blocks)
        self.decoder = nn.ModuleList([*map(fast_blocks, below), fast_blocks(top, decoder.to_rgb)])
        self.register_buffer("from_rgb_weight", from_rgb.weight * from_rgb.gain)
        self.register_buffer("from_rgb_bias", from_rgb.bias.clone())
        for level in range(1, self.config.levels):
            conv = decoder.unet_conv(level)
            weight = conv.weight[:, :, 0, 0].T * (conv.gain * SQRT2)               # [C,C]
            self.register_buffer(f"unet{level}", weight.contiguous())
        self.rows = len(generator.modulated_convs())
        for row, layer in enumerate(generator.modulated_convs().values()):
            both, gain = (layer.affine, layer.affine_beta), layer.affine.gain / math.sqrt(self.config.w)
            self.register_buffer(f"style_weight{row}", torch.cat([half.weight for half in both]) * gain)
            self.register_buffer(f"style_bias{row}", torch.cat([half.bias for half in both]))
        self.eval()

    def styles(self, w: Tensor) -> Tensor:
        """w [B,W], or one w per layer [B,R,W] -> style table [B,R,L], as `Generator.styles`."""
        layers = ((self.get_buffer(f"style_weight{i}"), self.get_buffer(f"style_bias{i}"))
                  for i in range(self.rows))
        per_layer = w.float().unbind(1) if w.ndim == 3 else [w.float()] * self.rows
        rows = [F.linear(one, weight, bias) for one, (weight, bias) in zip(per_layer, layers, strict=True)]
        length = max(row.shape[1] for row in rows)
        return torch.stack([F.pad(row, (0, length - row.shape[1])) for row in rows], 1)

    @torch.no_grad()
    def forward(self, x: Tensor, w: Tensor | None = None, *, styles: Tensor | None = None, half: bool = False,
                features: dict[str, Tensor] | None = None) -> Tensor:
        """Arguments and result as `Generator.forward`, [B,3,H,W] float32.

        `half`: activations are stored, and products rounded, in bfloat16; statistics, styles and the last
        layer stay float32. `features`: filled as there, except for the last decoder level: it never exists.
        """
        check_size(self.config, x)
        rows = style_rows(self.styles, w, styles)
        pool, top = Pool(x.device), self.config.levels - 1
        skips: dict[int, Tensor] = {}

        def note(name: str, value: Tensor) -> Tensor:
            if features is not None:
                features[name] = value.permute(0, 3, 1, 2).float().clone()
            return value

        x = note("from_rgb", self._from_rgb(x, torch.bfloat16 if half else torch.float32))
        for level in range(top, -1, -1):
            x = note(f"enc{level}", run_blocks(self.encoder[level], x, rows, pool))
            if level:
                skips[level] = x
                x = downsample(x)
        x = note("mid", run_blocks(self.middle, x, rows, pool))
        for level in range(top):
            x = note(f"dec{level}", run_blocks(self.decoder[level], x, rows, pool))
            x = self._add_skip(upsample(x, pool), skips.pop(level + 1), level + 1, pool)
        x = run_blocks(self.decoder[top], x, rows, pool)
        return x.permute(0, 3, 1, 2).float().contiguous()

    def _add_skip(self, x: Tensor, skip: Tensor, level: int, pool: Pool) -> Tensor:
        """x += conv1x1(activation of the encoder's feature); gives `skip` back."""
        h = pool.take(*skip.shape, dtype=skip.dtype)
        ones = torch.ones(1, skip.shape[3], device=skip.device)
        activate(skip, ones, torch.zeros_like(ones), h)
        x.view(-1, x.shape[3]).addmm_(h.view(-1, h.shape[3]), self.get_buffer(f"unet{level}").to(x.dtype))
        pool.give(h, skip)
        return x

    def _from_rgb(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """[B,C,H,W] -> [B,H,W,dims[0]]; on CPUs nearly empty keypoint planes are added pixel by pixel."""
        first = 5 + 2 * self.config.use_segmentation
        last = first + self.config.keypoint_channels
        planes, weight, layout = x[:, first:last], self.from_rgb_weight, torch.channels_last
        pixels = planes.nonzero() if x.device.type == "cpu" else None              # rows (b, k, y, x)
        if pixels is not None and len(pixels) > SPARSE_PIXELS * len(x):
            pixels = None
        if pixels is not None:
            dense = [*range(first), *range(last, x.shape[1])]
            x, weight = x[:, dense], weight[:, dense]
        out = F.conv2d(x.to(dtype, memory_format=layout), weight.to(dtype, memory_format=layout),
                       self.from_rgb_bias.to(dtype), padding=3).permute(0, 2, 3, 1).contiguous()
        if pixels is not None:
            add_pixels(out, planes, pixels, self.from_rgb_weight[:, first:last].to(dtype))
        return out


def add_pixels(out: Tensor, planes: Tensor, pixels: Tensor, weight: Tensor) -> None:
    """out [B,H,W,C] += 7x7 convolution of `planes` [B,K,H,W], whose non-zero entries are `pixels` [N,4]."""
    patches = weight.flip(2, 3).permute(1, 2, 3, 0)                                # [K,7,7,C]
    for sample, channel, row, column in pixels.tolist():
        top, left = max(row - 3, 0), max(column - 3, 0)
        spot = out[sample, top:row + 4, left:column + 4]                           # [<=7,<=7,C]
        patch = patches[channel, top - row + 3:, left - column + 3:]
        value = planes[sample, channel, row, column].item()
        spot.add_(patch[:spot.shape[0], :spot.shape[1]], alpha=value)
