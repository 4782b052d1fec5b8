"""The same generator, computed sooner: channels-last, constants folded, few passes over memory.

What changes against `network.py` (results agree to rounding): weight gains, the sqrt(2) of the activations, layer
scale and noise strength are multiplied into the weights once; the bias of every first convolution is dropped,
because the instance norm after it removes it; to_rgb is folded into the last block, which then makes 3 channels
instead of `dims[0]`; norm and style are one multiply-add; keypoint planes are convolved pixel by pixel.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..winograd import Pool, conv3x3
from .network import SQRT2, Block, Config, Conv, Generator, ModulatedConv, check_size, resample_filter

SPARSE_PIXELS = 64                                        # per picture; above that a dense convolution is quicker


def moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """[H,W,C] -> mean and variance [C] over the pixels, float32.

    Torch's channels-last statistics add the pixels up one after the other, and 46,080 of them would cost the golden
    tolerance. So 64 interleaved shares of the picture pass as channels of their own, and are combined.
    """
    height, width, channels = picture.shape
    shares = math.gcd(height * width, 64)
    split = picture.reshape(1, -1, 1, shares * channels).permute(0, 3, 1, 2)       # [1,shares*C,pixels/shares,1]
    mean, variance = (part.float().view(shares, channels)
                      for part in torch.batch_norm_update_stats(split, None, None, 0.0))
    return mean.mean(0), variance.mean(0) + mean.var(0, correction=0)


def activate(x: Tensor, gamma: Tensor, beta: Tensor, out: Tensor) -> None:
    """out = leaky ReLU(gamma * instance norm(x) + beta). [B,H,W,C]; gamma, beta [B or 1,C]."""
    for picture, g, b, target in zip(x, gamma.expand(len(x), -1), beta.expand(len(x), -1), out, strict=True):
        mean, variance = moments(picture)
        scale = g * (variance + 1e-5).rsqrt()
        torch.addcmul((b - mean * scale).to(x.dtype), picture, scale.to(x.dtype), out=target)
    F.leaky_relu_(out, 0.2)


def padded_activation(x: Tensor, style: Tensor, pool: Pool) -> Tensor:
    """`activate` with the rows of a style table [B or 1,>=2C], inside a border of zeros: [B,H+2,W+2,C]."""
    batch, height, width, channels = x.shape
    padded = pool.take(batch, height + 2, width + 2, channels, dtype=x.dtype)
    for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
        edge.zero_()
    activate(x, style[:, :channels], style[:, channels:2 * channels], padded[:, 1:-1, 1:-1])
    return padded


def upsample(x: Tensor, pool: Pool) -> Tensor:
    """[B,H,W,C] -> [B,2H,2W,C]: weights 3/4 and 1/4 of the two nearest pixels per axis, zeros beyond the border."""
    for axis in (1, 2):
        length = x.shape[axis]
        shape = [*x.shape[:axis + 1], 2, *x.shape[axis + 1:]]
        doubled = pool.take(*shape, dtype=x.dtype)
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
    kernel = resample_filter().to(x).expand(channels, 1, 4, 4)
    small = F.conv2d(x.permute(0, 3, 1, 2), kernel, stride=2, padding=1, groups=channels)
    return small.permute(0, 2, 3, 1).contiguous()


def taps(conv: ModulatedConv) -> Tensor:
    """All constant factors times the weight, [3,3,C_in,C_out]."""
    gain = SQRT2 * conv.gain / math.sqrt(9 * conv.weight.shape[1])
    return conv.weight.permute(2, 3, 1, 0) * gain


class FastBlock(nn.Module):
    """A residual block. `to_rgb`, where given, is folded in."""

    def __init__(self, block: Block, to_rgb: Conv | None = None) -> None:
        super().__init__()
        outputs = block.conv1.weight.shape[0]
        scale = block.conv1.bias.new_ones(outputs) if block.layer_scale is None else block.layer_scale.flatten()
        parts = {
            "weight1": taps(block.conv1) * scale,
            "bias": block.conv1.bias * block.conv1.gain * scale,
            "noise_scale": scale,
            "skip": block.skip.weight[:, :, 0, 0].T * block.skip.gain,             # [C_in,C_out]
        }
        if to_rgb is not None:
            projection = to_rgb.weight[:, :, 0, 0].T * to_rgb.gain                 # [C_out,3]
            parts = {name: part @ projection for name, part in parts.items()}
            parts["bias"] = parts["bias"] + to_rgb.bias
        parts["weight0"] = taps(block.conv0)
        for name, part in parts.items():
            self.register_buffer(name, part.clone(memory_format=torch.contiguous_format))
        for name, conv in (("noise0", block.conv0), ("noise1", block.conv1)):
            noise = (conv.noise_strength * conv.noise_const)[..., None] if conv.has_noise else None
            self.register_buffer(name, noise)                                      # [H,W,1]

    def forward(self, x: Tensor, styles: Sequence[Tensor], pool: Pool) -> Tensor:
        """[B,H,W,C_in] -> [B,H,W,C_out]. `styles`: one row [B or 1,>=2*C_in] for each convolution. Keeps `x`."""
        padded = padded_activation(x, styles[0], pool)
        h = pool.take(*x.shape, dtype=x.dtype)
        h.zero_() if self.noise0 is None else h.copy_(self.noise0)
        conv3x3(padded, self.weight0, h, pool)
        pool.give(padded)
        padded = padded_activation(h, styles[1], pool)
        pool.give(h)
        if self.bias.numel() == 3:                                                 # the picture itself: no rounding
            padded, x = padded.float(), x.float()
        bias = self.bias if self.noise1 is None else self.bias + self.noise1 * self.noise_scale
        out = pool.take(*x.shape[:3], self.bias.numel(), dtype=x.dtype).copy_(bias)
        out.view(-1, out.shape[3]).addmm_(x.reshape(-1, x.shape[3]), self.skip.to(x.dtype))
        conv3x3(padded, self.weight1, out, pool)
        pool.give(padded)
        return out


class FastGenerator(nn.Module):
    """Evaluation only. Made from a filled `Generator`, whose `style_net` it shares; everything else is copied.

    The buffers are float32 whatever the precision of a forward pass, so one copy serves both.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        with torch.no_grad():
            self._fold(generator)
        self.eval()

    def _fold(self, generator: Generator) -> None:
        self.config: Config = generator.config
        self.style_net = generator.style_net
        encoder, decoder = generator.encoder, generator.decoder
        self.encoder = nn.ModuleList(nn.ModuleList(map(FastBlock, blocks)) for blocks in encoder.layers)
        self.middle = nn.ModuleList(map(FastBlock, decoder.middle_blocks))
        *below, top = decoder.layers
        self.decoder = nn.ModuleList(nn.ModuleList(map(FastBlock, blocks)) for blocks in below)
        self.decoder.append(nn.ModuleList([*map(FastBlock, top[:-1]), FastBlock(top[-1], decoder.to_rgb)]))
        self.register_buffer("from_rgb_weight", generator.from_rgb.weight * generator.from_rgb.gain)
        self.register_buffer("from_rgb_bias", generator.from_rgb.bias.clone())
        for level, unet in decoder.unet_layers.items():
            conv = unet.get_submodule("0")
            self.register_buffer(f"unet{level}", (conv.weight[:, :, 0, 0].T * (conv.gain * SQRT2)).contiguous())
        convs = generator.modulated_convs()
        self.style_rows = tuple(convs)
        for row, conv in enumerate(convs.values()):
            gain = conv.affine.gain / math.sqrt(self.config.w)
            both = (conv.affine, conv.affine_beta)
            self.register_buffer(f"style_weight{row}", torch.cat([layer.weight for layer in both]) * gain)
            self.register_buffer(f"style_bias{row}", torch.cat([layer.bias for layer in both]))

    def styles(self, w: Tensor) -> Tensor:
        """w [B,W] -> style table [B,R,L], as `Generator.styles`."""
        buffers = dict(self.named_buffers(recurse=False))
        rows = [F.linear(w.float(), buffers[f"style_weight{row}"], buffers[f"style_bias{row}"])
                for row in range(len(self.style_rows))]
        length = max(row.shape[1] for row in rows)
        return torch.stack([F.pad(row, (0, length - row.shape[1])) for row in rows], 1)

    def forward(self, x: Tensor, w: Tensor | None = None, *, styles: Tensor | None = None, half: bool = False,
                features: dict[str, Tensor] | None = None) -> Tensor:
        """Arguments and result as `Generator.forward`, [B,3,H,W] float32.

        `half`: activations are stored, and products rounded, in bfloat16; statistics, styles and the last layer
        stay float32. `features`: filled as there, except for the last decoder level, which is never computed.
        """
        check_size(self.config, x)
        if styles is None:
            if w is None:
                raise ValueError("The generator needs a latent: give w or styles.")
            styles = self.styles(w)
        rows = list((styles if styles.ndim == 3 else styles[None]).unbind(1))
        with torch.no_grad():
            return self._run(x, rows, torch.bfloat16 if half else torch.float32, features)

    def _run(self, x: Tensor, rows: list[Tensor], dtype: torch.dtype, features: dict[str, Tensor] | None) -> Tensor:
        pool, skips, top = Pool(x.device), {}, self.config.levels - 1

        def note(name: str, value: Tensor) -> Tensor:
            if features is not None:
                features[name] = value.permute(0, 3, 1, 2).float().clone()
            return value

        x = note("from_rgb", self._from_rgb(x, dtype))
        for level in range(top, -1, -1):
            x = note(f"enc{level}", run_blocks(self.encoder[level], x, rows, pool))
            if level:
                skips[level] = x
                x = downsample(x)
        x = note("mid", run_blocks(self.middle, x, rows, pool))
        for level in range(top + 1):
            if level:
                x = self._add_skip(upsample(x, pool), skips.pop(level), level, pool)
            x = run_blocks(self.decoder[level], x, rows, pool)
            if level < top:
                note(f"dec{level}", x)
        return x.permute(0, 3, 1, 2).float().contiguous()

    def _add_skip(self, x: Tensor, skip: Tensor, level: int, pool: Pool) -> Tensor:
        """x + conv1x1(activation of the encoder's feature), in place; gives `skip` back."""
        h = pool.take(*skip.shape, dtype=skip.dtype)
        ones = skip.new_ones(1, skip.shape[3], dtype=torch.float32)
        activate(skip, ones, torch.zeros_like(ones), h)
        weight = self.get_buffer(f"unet{level}").to(x.dtype)
        x.view(-1, x.shape[3]).addmm_(h.view(-1, h.shape[3]), weight)
        pool.give(h, skip)
        return x

    def _from_rgb(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """[B,C,H,W] -> [B,H,W,dims[0]]; on CPUs the nearly empty keypoint planes are scattered, not convolved."""
        first = 5 + 2 * self.config.use_segmentation
        keypoints = range(first, first + self.config.keypoint_channels)
        weight, pixels = self.from_rgb_weight, torch.empty(0, 4)
        if x.device.type == "cpu" and keypoints:
            pixels = x[:, keypoints.start:keypoints.stop].nonzero()
            if len(pixels) <= SPARSE_PIXELS * len(x):
                dense = [channel for channel in range(x.shape[1]) if channel not in keypoints]
                planes, weight = x[:, keypoints.start:keypoints.stop], weight[:, dense]
                x = x[:, dense]
            else:
                pixels = pixels[:0]
        cast = {"dtype": dtype, "memory_format": torch.channels_last}
        out = F.conv2d(x.to(**cast), weight.to(**cast), self.from_rgb_bias.to(dtype), padding=3)
        out = out.permute(0, 2, 3, 1).contiguous()
        patches = self.from_rgb_weight[:, keypoints.start:keypoints.stop].flip(2, 3).permute(1, 2, 3, 0).to(dtype)
        for sample, channel, row, column in pixels.tolist():
            top, left = max(row - 3, 0), max(column - 3, 0)
            spot = out[sample, top:row + 4, left:column + 4]                       # [<=7,<=7,dims[0]]
            patch = patches[channel, top - row + 3:, left - column + 3:]
            spot.add_(patch[:spot.shape[0], :spot.shape[1]], alpha=planes[sample, channel, row, column].item())
        return out


def run_blocks(blocks: nn.ModuleList, x: Tensor, rows: list[Tensor], pool: Pool) -> Tensor:
    """Consumes two rows per block from the front of `rows`, and gives `x` back."""
    for block in blocks:
        y = block(x, (rows.pop(0), rows.pop(0)), pool)
        pool.give(x)
        x = y
    return x
