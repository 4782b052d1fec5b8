"""The TriA-GAN generator as published, trainable.

"Synthesizing Anyone, Anywhere, in Any Pose", arXiv 2304.03164.

A U-Net of pre-activation residual blocks. Every 3x3 convolution is modulated: instance norm, a scale and
shift derived from one latent w, leaky ReLU, convolution, noise. Levels are numbered from the lowest
resolution, 0, so that a network grown by one level keeps the keys of the old one. State-dict keys are those
of the published files. `fast.py` computes the same numbers sooner.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..equalised import Linear, binomial_filter

SQRT2 = math.sqrt(2)
HALF, THIRD = math.sqrt(1 / 2), math.sqrt(1 / 3)          # gains that keep the variance of 2 and 3 summands
Size = tuple[int, int]                                    # height, width
Modules = Any                                             # an nn.ModuleList whose elements' types matter


@dataclass(frozen=True)
class Config:
    """Hyper-parameters; all of them can be read from the tensors of a file (`weights.read_config`).

    `dims`: channels per level, full resolution first. `height`, `width`: pixels of the training pictures.
    `blocks`: residual blocks per level. `z`, `w`: latent sizes. `layer_scale`, `noise`: present or not.
    `use_segmentation`, `keypoint_channels`, `use_joint_map`: optional input planes. `w_centers`: how many
    centres are stored.
    """

    dims: tuple[int, ...] = (128, 256, 512, 512, 512, 512)
    height: int = 288
    width: int = 160
    blocks: int = 2
    middle_blocks: int = 2
    z: int = 64
    w: int = 512
    layer_scale: bool = True
    noise: bool = True
    use_segmentation: bool = True
    keypoint_channels: int = 17
    use_joint_map: bool = True
    w_centers: int = 0

    @property
    def levels(self) -> int:
        return len(self.dims)

    @property
    def input_channels(self) -> int:
        """Condition 3, mask 2, segmentation 2, one per keypoint, joint map 6."""
        return 5 + 2 * self.use_segmentation + self.keypoint_channels + 6 * self.use_joint_map

    @property
    def from_rgb_gain(self) -> float:
        """Counts each group of planes once, whatever its number of channels (published quirk)."""
        groups = self.use_segmentation + bool(self.keypoint_channels) + self.use_joint_map
        return 1 / math.sqrt(49 * (4 + groups))

    def dim(self, level: int) -> int:
        """Channels inside `level`, 0 = lowest resolution. One past the top is the top again."""
        return self.dims[self.levels - 1 - level]

    def size(self, level: int) -> Size:
        """(height, width) of `level`, 0 = lowest resolution."""
        shift = self.levels - 1 - level
        return self.height >> shift, self.width >> shift


class Conv(nn.Module):
    """Convolution with zero padding and a run-time weight gain; `gain` does not touch the bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.gain, self.bias, padding=self.weight.shape[-1] // 2)


class StyleNet(nn.Module):
    """z [B,Z] -> w [B,W], always in float32. `w_avg` [W]: mean of w, `w_centers` [K,W]: its clusters."""

    w_avg: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fc0 = Linear(config.z, config.w, gain=0.01)
        self.fc1 = Linear(config.w, config.w, gain=0.01)
        self.register_buffer("w_avg", torch.zeros(config.w))
        if config.w_centers:
            self.register_buffer("w_centers", torch.zeros(config.w_centers, config.w))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            h = z.float()
            h = h * (h.square().mean(1, keepdim=True) + 1e-8).rsqrt()
            for layer in (self.fc0, self.fc1):
                h = SQRT2 * F.leaky_relu(layer(h), 0.2)                            # [B,W]
        return h

    @torch.no_grad()
    def update_w_avg(self, w: Tensor, decay: float = 0.998) -> None:
        """One step of the running mean from a batch of w [B,W]; the trainer decides when."""
        self.w_avg.copy_(torch.lerp(w.detach().float().mean(0), self.w_avg, decay))


class ModulatedConv(nn.Module):
    """Instance norm, style, sqrt(2) leaky ReLU, 3x3 convolution, noise; in this order, no demodulation."""

    noise_const: Tensor

    def __init__(self, config: Config, inputs: int, outputs: int, gain: float, size: Size | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.affine = Linear(config.w, inputs)
        self.affine_beta = Linear(config.w, inputs)
        self.gain = gain
        self.has_noise = size is not None
        if size is not None:
            self.noise_strength = nn.Parameter(torch.empty(()))
            self.register_buffer("noise_const", torch.empty(size))

    def style(self, w: Tensor) -> Tensor:
        """w [B,W] -> [B,2*C_in]: gamma, then beta."""
        return torch.cat([self.affine(w), self.affine_beta(w)], 1)

    def forward(self, x: Tensor, style: Tensor, rng: torch.Generator | None) -> Tensor:
        channels = x.shape[1]
        gamma, beta = style[:, : 2 * channels, None, None].split(channels, 1)      # [B,C,1,1]
        h = F.leaky_relu(torch.addcmul(beta, F.instance_norm(x), gamma), 0.2) * SQRT2
        weight = self.weight * (self.gain / math.sqrt(9 * channels))
        y = F.conv2d(h, weight, self.bias * self.gain, padding=1)                  # [B,C_out,H,W]
        return y + self.noise_strength * self.noise(y, rng) if self.has_noise else y

    def noise(self, y: Tensor, rng: torch.Generator | None) -> Tensor:
        """Stored noise [H,W] in evaluation, one fresh plane per sample [B,1,H,W] in training."""
        if not self.training:
            return self.noise_const
        return torch.randn(y.shape[0], 1, *y.shape[2:], generator=rng, device=y.device)


class Block(nn.Module):
    """skip(x) + layer_scale * conv1(conv0(x)). `gain` belongs to the skip and conv1, conv0 has 1."""

    def __init__(self, config: Config, inputs: int, outputs: int, gain: float, size: Size | None) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.empty(1, outputs, 1, 1)) if config.layer_scale else None
        self.conv0 = ModulatedConv(config, inputs, inputs, 1.0, size)
        self.conv1 = ModulatedConv(config, inputs, outputs, gain, size)
        self.skip = Conv(inputs, outputs, 1, gain / math.sqrt(inputs), bias=False)

    def forward(self, x: Tensor, styles: Sequence[Tensor], rng: torch.Generator | None) -> Tensor:
        """`styles`: one row [B,>=2*C_in] for each of the two convolutions."""
        h = self.conv1(self.conv0(x, styles[0], rng), styles[1], rng)
        return self.skip(x) + (h if self.layer_scale is None else self.layer_scale * h)


class Downsample(nn.Module):
    """Binomial filter, then every second pixel; zeros beyond the border."""

    resample_filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.resample_filter.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])         # [B,C,H/2,W/2]


class Upsample(nn.Module):
    """Zeros between the pixels, then four times the binomial filter; zeros beyond the border."""

    resample_filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, x: Tensor) -> Tensor:
        kernel = (4 * self.resample_filter).to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])   # [B,C,2H,2W]


class Encoder(nn.Module):
    """Levels from the highest resolution down. `layers[L]` is level L, 0 = lowest resolution."""

    layers: Modules

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.downsample = Downsample()
        self.layers = nn.ModuleList()
        for level in range(config.levels):
            inner, below = config.dim(level), config.dim(max(level - 1, 0))
            outputs = [inner] * (config.blocks - 1) + [below]
            self.layers.append(nn.ModuleList(Block(config, inner, out, HALF, None) for out in outputs))


class Decoder(nn.Module):
    """Middle blocks at the lowest resolution, then levels upwards; all but level 0 start by adding a skip."""

    middle_blocks: Modules
    layers: Modules
    unet_layers: Modules

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.upsample = Upsample()
        sizes = [config.size(level) if config.noise else None for level in range(config.levels)]
        bottom = config.dim(0)
        self.middle_blocks = nn.ModuleList(
            Block(config, bottom, bottom, HALF, sizes[0]) for _ in range(config.middle_blocks))
        self.layers, self.unet_layers = nn.ModuleList(), nn.ModuleDict()
        for level in range(config.levels):
            inner, below = config.dim(level), config.dim(max(level - 1, 0))
            first = Block(config, below, inner, THIRD if level else HALF, sizes[level])
            rest = [Block(config, inner, inner, HALF, sizes[level]) for _ in range(config.blocks - 1)]
            self.layers.append(nn.ModuleList([first, *rest]))
            if level:
                conv = Conv(below, below, 1, THIRD / math.sqrt(below), bias=False)
                self.unet_layers[str(level)] = nn.ModuleList([conv])
        self.to_rgb = Conv(config.dims[0], 3, 1, 1 / math.sqrt(config.dims[0]), bias=True)

    def unet_conv(self, level: int) -> Conv:
        return self.unet_layers[str(level)][0]

    def add_skip(self, x: Tensor, skip: Tensor, level: int) -> Tensor:
        """The encoder's feature is normalised without a style, and added, not concatenated."""
        return x + self.unet_conv(level)(F.leaky_relu(F.instance_norm(skip), 0.2) * SQRT2)


class Generator(nn.Module):
    """Input planes [B,C,H,W] and a latent -> the whole picture [B,3,H,W], nominal -1..1.

    The picture is neither masked nor clamped. The constructor leaves the parameters unset: load a state dict,
    or call `initialise`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.style_net = StyleNet(config)
        self.from_rgb = Conv(config.input_channels, config.dims[0], 7, config.from_rgb_gain, bias=True)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @torch.no_grad()
    def initialise(self, seed: int = 0, layer_scale: float = 1e-5) -> Generator:
        """Random start as published; `layer_scale` near 1 lets small networks learn at once."""
        rng = torch.Generator().manual_seed(seed)
        constants = {"layer_scale": layer_scale, "noise_strength": 0.0, "affine.bias": 1.0, "bias": 0.0}
        for name, parameter in self.named_parameters():
            value = next((v for suffix, v in constants.items() if name.endswith(suffix)), None)
            if value is None:
                spread = 100.0 if name.startswith("style_net.") else 1.0           # undoes the gain of 0.01
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * spread)
            else:
                parameter.fill_(value)
        for name, buffer in self.named_buffers():
            if name.endswith("noise_const"):
                buffer.copy_(torch.randn(buffer.shape, generator=rng))
        return self

    def modulated_convs(self) -> dict[str, ModulatedConv]:
        """Name -> layer in execution order, which is the row order of a style table."""
        levels = range(self.config.levels)
        groups = [(f"encoder.layers.{i}", self.encoder.layers[i]) for i in reversed(levels)]
        groups.append(("decoder.middle_blocks", self.decoder.middle_blocks))
        groups += [(f"decoder.layers.{i}", self.decoder.layers[i]) for i in levels]
        return {f"{name}.{i}.{conv}": getattr(block, conv) for name, blocks in groups
                for i, block in enumerate(blocks) for conv in ("conv0", "conv1")}

    def styles(self, w: Tensor) -> Tensor:
        """w [B,W] -> style table [B,R,L] float32: a row [gamma, beta, zeros] per modulated convolution."""
        with torch.autocast(w.device.type, enabled=False):
            rows = [conv.style(w.float()) for conv in self.modulated_convs().values()]
        length = max(row.shape[1] for row in rows)
        return torch.stack([F.pad(row, (0, length - row.shape[1])) for row in rows], 1)

    def forward(self, x: Tensor, w: Tensor | None = None, *, styles: Tensor | None = None,
                rng: torch.Generator | None = None, features: dict[str, Tensor] | None = None) -> Tensor:
        """`x`: [B,C,H,W] from `pose_input.network_input`.

        `w`: [B,W], or `styles`: a table [R,L] shared by the batch or [B,R,L]. `rng`: source of the training
        noise (default: torch's own). `features`: a dict to fill with from_rgb, enc0.., mid, dec0..
        (0 = lowest resolution).
        """
        check_size(self.config, x, training=self.training)
        rows = style_rows(self.styles, w, styles)
        kept: dict[str, Tensor] = {} if features is None else features
        x = kept["from_rgb"] = self.from_rgb(x)
        for level in reversed(range(self.config.levels)):
            x = kept[f"enc{level}"] = run_blocks(self.encoder.layers[level], x, rows, rng)
            x = self.encoder.downsample(x) if level else x
        x = kept["mid"] = run_blocks(self.decoder.middle_blocks, x, rows, rng)
        for level in range(self.config.levels):
            if level:
                x = self.decoder.add_skip(self.decoder.upsample(x), kept[f"enc{level}"], level)
            x = kept[f"dec{level}"] = run_blocks(self.decoder.layers[level], x, rows, rng)
        return self.decoder.to_rgb(x)


def run_blocks(blocks: Modules, x: Tensor, rows: list[Tensor], rng: torch.Generator | None) -> Tensor:
    """Consumes two rows per block from the front of `rows`."""
    for block in blocks:
        x = block(x, (rows.pop(0), rows.pop(0)), rng)
    return x


def style_rows(table_of: Callable[[Tensor], Tensor], w: Tensor | None, styles: Tensor | None) -> list[Tensor]:
    """The rows [B or 1,L] of a style table [R,L] or [B,R,L], or of the table of w [B,W]."""
    if styles is None:
        if w is None:
            raise ValueError("The generator needs a latent: give w or styles.")
        styles = table_of(w)
    return list((styles if styles.ndim == 3 else styles[None]).unbind(1))


def check_size(config: Config, x: Tensor, training: bool = False) -> None:
    """Raises ValueError for planes the network cannot take."""
    height, width, step = x.shape[2], x.shape[3], 2 ** (config.levels - 1)
    if x.shape[1] != config.input_channels:
        raise ValueError(f"The network takes {config.input_channels} input planes; got {x.shape[1]}.")
    if config.noise and not training and (height, width) != (config.height, config.width):
        raise ValueError(f"The network's stored noise fits pictures of {config.height}x{config.width} only; "
                         f"got {height}x{width}: crop to that size.")
    if height % step or width % step:
        raise ValueError(f"The network halves the picture {config.levels - 1} times, so both sides must be "
                         f"multiples of {step}; got {height}x{width}.")
