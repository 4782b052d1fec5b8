"""SEAN's networks as published, trainable.

"SEAN: Image Synthesis with Semantic Region-Adaptive Normalization", arXiv 1911.12861, on the ground of SPADE,
arXiv 1903.07291.

The style encoder turns a picture into one code per region. The generator draws a picture from the region map
alone, growing from a few pixels; before every convolution a SEAN block scales and shifts what it normalised,
pixel by pixel, by the map (as SPADE does) and by the code of the region there. Blocks without the second part
are SPADE's. State-dict keys are those of the published files. `fast.py` computes the same numbers sooner.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]                                    # height, width
Modules = Any                                             # an nn.ModuleList whose elements' types matter
MIDDLE = ("head_0", "G_middle_0", "G_middle_1")


@dataclass(frozen=True)
class Stage:
    """One residual block: its name, channels, the size it works at, whether its input is doubled first."""

    name: str
    inputs: int
    outputs: int
    styled: bool
    doubled: bool
    size: Size

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of its SEAN blocks in the order of evaluation."""
        return ("ace_0", "ace_1") if self.inputs == self.outputs else ("ace_s", "ace_0", "ace_1")


@dataclass(frozen=True)
class Config:
    """Hyper-parameters. All but `start` and `more` can be read from the tensors (`weights.read_config`).

    `labels`: channels of the mask. `dims`: channels of the first three residual blocks, then of what each
    further one makes. `style`: length of a code. `hidden`: channels inside the mask branch. `styled`: per
    residual block, whether its SEAN blocks take styles. `encoder`: channels of the encoder's first
    convolution, 0 = no encoder. `start`: size of the first residual block. `more`: doubling between the
    middle blocks too (SPADE's up-sampling "more").
    """

    labels: int = 19
    dims: tuple[int, ...] = (1024, 512, 256, 128, 64)
    style: int = 512
    hidden: int = 128
    styled: tuple[bool, ...] = (True,) * 6 + (False,)
    encoder: int = 32
    start: Size = (8, 8)
    more: bool = False

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The residual blocks in the order of evaluation."""
        ups = [f"up_{i}" for i in range(len(self.dims) - 1)]
        channels = [self.dims[:1] * 2] * 3 + list(zip(self.dims, self.dims[1:], strict=False))
        doubled = [False, True, self.more] + [True] * len(ups)
        stages, (height, width) = [], self.start
        for name, (inputs, outputs), styled, twice in zip(
                (*MIDDLE, *ups), channels, self.styled, doubled, strict=True):
            height, width = height << twice, width << twice
            stages.append(Stage(name, inputs, outputs, styled, twice, (height, width)))
        return tuple(stages)

    @property
    def size(self) -> Size:
        """Height and width of the pictures; the mask's size does not matter."""
        return self.stages[-1].size

    @property
    def styled_stages(self) -> int:
        return sum(self.styled)


def nearest(x: Tensor, size: Size) -> Tensor:
    """[...,H,W] -> [...,*size] by the network's own rule: pixel i is input pixel floor(i*in/out)."""
    rows, columns = (torch.arange(new, device=x.device) * old // new
                     for new, old in zip(size, x.shape[-2:], strict=True))
    return x[..., rows[:, None], columns]


def to_mask(regions: Tensor, labels: int) -> Tensor:
    """Label map [B,H,W] -> one-hot mask [B,R,H,W] float32; a label of R or more gives zeros. Masks pass."""
    if regions.ndim == 4:
        return regions
    return (regions[:, None] == torch.arange(labels, device=regions.device)[:, None, None]).float()


def draw_noise(config: Config, rng: torch.Generator, batch: int = 1) -> dict[str, Tensor]:
    """Normal noise for every SEAN block, name ("up_0.ace_s") -> [B,1,H,W].

    With `rng` seeded by n these are the numbers that the published code draws after `manual_seed(n)`: in the
    order of evaluation, transposed.
    """
    maps = {}
    for stage in config.stages:
        height, width = stage.size
        for norm in stage.norms:
            drawn = torch.randn(batch, width, height, 1, generator=rng)
            maps[f"{stage.name}.{norm}"] = drawn.permute(0, 3, 2, 1)               # [B,1,H,W]
    return maps


class SpectralConv(nn.Module):
    """Convolution whose weight is divided by u . (W v); in training u and v first take one power iteration.

    In evaluation u and v count as they are stored, unit vectors or not.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int, *, stride: int = 1,
                 bias: bool = True) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.register_buffer("weight_u", torch.empty(outputs))
        self.register_buffer("weight_v", torch.empty(inputs * kernel**2))
        self.stride, self.padding = stride, padding

    def sigma(self) -> Tensor:
        with torch.autocast(self.weight_u.device.type, enabled=False):
            flat = self.weight_orig.flatten(1)                                     # [C_out,C_in*k*k]
            if self.training:
                self._iterate(flat.detach())
            return torch.dot(self.weight_u.clone(), flat @ self.weight_v.clone())

    @torch.no_grad()
    def _iterate(self, flat: Tensor) -> None:
        self.weight_v.copy_(F.normalize(self.weight_u @ flat, dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(flat @ self.weight_v, dim=0, eps=1e-12))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight_orig / self.sigma(), self.bias, self.stride, self.padding)


class Encoder(nn.Module):
    """Picture [B,3,H,W], -1..1 -> one code per region: the mean of its features over the region's pixels."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()

        def normed(conv: nn.Module, channels: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(channels), nn.LeakyReLU(0.2)]

        self.model = nn.Sequential(
            nn.ReflectionPad2d(1), *normed(nn.Conv2d(3, width, 3), width),
            *normed(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width),
            *normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), 4 * width),
            *normed(nn.ConvTranspose2d(4 * width, 8 * width, 3, 2, 1, output_padding=1), 8 * width),
            nn.ReflectionPad2d(1), nn.Conv2d(8 * width, style, 3), nn.Tanh())

    def features(self, image: Tensor) -> Tensor:
        """[B,S,2*ceil(H/4),2*ceil(W/4)], -1..1."""
        return self.model(image)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Codes [B,R,S]. `mask`: [B,R,h,w] of any size; a region without a pixel in it gets zeros."""
        return region_means(self.features(image), mask)


def region_means(features: Tensor, mask: Tensor) -> Tensor:
    """Means of features [B,S,h,w] over the pixels of every region, by one product: [B,R,S]."""
    covered = (nearest(mask, (features.shape[2], features.shape[3])) != 0).flatten(2)      # [B,R,h*w]
    with torch.autocast(features.device.type, enabled=False):
        totals = covered.float() @ features.float().flatten(2).transpose(1, 2)
    return totals / covered.sum(2, keepdim=True).clamp(min=1)


class MaskBranch(nn.Module):
    """SPADE: mask [B,R,H,W] -> gamma and beta [B,C,H,W]."""

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(config.labels, config.hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(config.hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(config.hidden, channels, 3, padding=1)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.mlp_shared(mask)
        return self.mlp_gamma(hidden), self.mlp_beta(hidden)


class SeanNorm(nn.Module):
    """The SEAN block ("ACE" in the published code): noise, batch norm, scale and shift per pixel.

    Without styles it is a SPADE block with noise.
    """

    def __init__(self, config: Config, channels: int, styled: bool) -> None:
        super().__init__()
        self.styled, self.labels = styled, config.labels
        self.noise_var = nn.Parameter(torch.empty(channels))
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.Spade = MaskBranch(config, channels)
        if styled:
            self.blending_gamma = nn.Parameter(torch.empty(1))
            self.blending_beta = nn.Parameter(torch.empty(1))
            self.conv_gamma = nn.Conv2d(config.style, channels, 3, padding=1)
            self.conv_beta = nn.Conv2d(config.style, channels, 3, padding=1)
            for label in range(config.labels):
                self.add_module(f"fc_mu{label}", nn.Linear(config.style, config.style))

    def linear(self, label: int) -> nn.Linear:
        """The layer that the codes of `label` go through."""
        layer = self.get_submodule(f"fc_mu{label}")
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: Tensor, mask: Tensor, codes: Tensor | None = None,
                noise: Tensor | None = None) -> Tensor:
        """[B,C,H,W] -> the same. `mask`: [B,R,h,w] of any size. `codes`: [B,R,S]. `noise`: [B,1,H,W]."""
        if noise is not None:
            x = x + self.noise_var[:, None, None] * noise
        mask = nearest(mask, (x.shape[2], x.shape[3]))
        gamma, beta = self.Spade(mask)
        if codes is not None and self.styled:
            style = self.style_map(mask, codes)
            gamma = torch.lerp(gamma, self.conv_gamma(style), self.blending_gamma.sigmoid().to(gamma))
            beta = torch.lerp(beta, self.conv_beta(style), self.blending_beta.sigmoid().to(beta))
        return self.param_free_norm(x) * (1 + gamma) + beta

    def style_map(self, mask: Tensor, codes: Tensor) -> Tensor:
        """[B,S,H,W]: every pixel's style; of several labels the highest wins, without one it is zero."""
        each = [F.relu(self.linear(label)(code)) for label, code in enumerate(codes.unbind(1))]
        styles = torch.stack(each, 1)
        styles = F.pad(styles, (0, 0, 1, 0))                                       # [B,1+R,S], row 0 is zero
        order = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        top = ((mask != 0) * order[:, None, None]).amax(1)                         # [B,H,W], 0 = no label
        return torch.stack([rows[of] for rows, of in zip(styles, top, strict=True)]).movedim(3, 1)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv_1(norm_1(conv_0(norm_0(x)))), leaky ReLU before both convolutions."""

    norm_class: type[SeanNorm] = SeanNorm

    def __init__(self, config: Config, inputs: int, outputs: int, styled: bool) -> None:
        super().__init__()
        middle, norm = min(inputs, outputs), self.norm_class
        self.conv_0 = SpectralConv(inputs, middle, 3, 1)
        self.conv_1 = SpectralConv(middle, outputs, 3, 1)
        self.ace_0, self.ace_1 = norm(config, inputs, styled), norm(config, middle, styled)
        self.learned = inputs != outputs
        if self.learned:
            self.conv_s = SpectralConv(inputs, outputs, 1, 0, bias=False)
            self.ace_s = norm(config, inputs, styled)

    def forward(self, x: Tensor, mask: Tensor, codes: Tensor | None, noise: Mapping[str, Tensor]) -> Tensor:
        """`noise`: [B,1,H,W] by the name of the SEAN block; none where there is no entry."""
        shortcut = self.conv_s(self.ace_s(x, mask, codes, noise.get("ace_s"))) if self.learned else x
        x = self.conv_0(F.leaky_relu(self.ace_0(x, mask, codes, noise.get("ace_0")), 0.2))
        return shortcut + self.conv_1(F.leaky_relu(self.ace_1(x, mask, codes, noise.get("ace_1")), 0.2))


class Generator(nn.Module):
    """Region map and codes -> picture; with the encoder, as the published file holds both.

    The constructor leaves the parameters unset: load a state dict, or call `initialise`.
    """

    block_class: type[ResidualBlock] = ResidualBlock
    encoder_class: type[Encoder] = Encoder

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        if config.encoder:
            self.Zencoder = self.encoder_class(config.encoder, config.style)
        self.fc = nn.Conv2d(config.labels, config.dims[0], 3, padding=1)
        for stage in config.stages:
            self.add_module(stage.name, self.block_class(config, stage.inputs, stage.outputs, stage.styled))
        self.conv_img = nn.Conv2d(config.dims[-1], 3, 3, padding=1)

    def block(self, stage: Stage) -> ResidualBlock:
        block = self.get_submodule(stage.name)
        assert isinstance(block, ResidualBlock)
        return block

    def initialise(self, seed: int = 0) -> Generator:
        """Random start as published."""
        fill(self, seed)
        return self

    def encode(self, image: Tensor, regions: Tensor) -> Tensor:
        """Codes [B,R,S]. `image`: [B,3,H,W], -1..1. `regions`: label map [B,h,w] or mask [B,R,h,w]."""
        check_encoder(self.config)
        return self.Zencoder(image, to_mask(regions, self.config.labels))

    def forward(self, regions: Tensor, codes: Tensor | None = None, *,
                noise: Mapping[str, Tensor] | None = None,
                features: dict[str, Tensor] | None = None) -> Tensor:
        """The picture [B,3,H,W], -1..1, of the size `config.size`.

        `regions`: label map [B,h,w], where R = no label, or mask [B,R,h,w]; of any size. `codes`: [B,R,S], or
        [B,N,R,S] with a matrix for each of the N residual blocks that take styles. `noise`: see `draw_noise`,
        by default none. `features`: a dict to fill with "fc" and each residual block's output.
        """
        check_inputs(self.config, regions, codes)
        mask = to_mask(regions, self.config.labels)
        kept: dict[str, Tensor] = {} if features is None else features
        x = kept["fc"] = self.fc(nearest(mask, self.config.start))
        for stage, matrix in zip(self.config.stages, stage_codes(self.config, codes), strict=True):
            if stage.doubled:
                x = F.interpolate(x, scale_factor=2)
            x = kept[stage.name] = self.block(stage)(x, mask, matrix, stage_noise(stage, noise))
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


def stage_codes(config: Config, codes: Tensor | None) -> list[Tensor | None]:
    """The matrix [B,R,S] of each residual block, None where it takes none."""
    if codes is None:
        return [None] * len(config.styled)
    per_stage = codes[:, None].expand(-1, config.styled_stages, -1, -1) if codes.ndim == 3 else codes
    matrices = iter(per_stage.unbind(1))
    return [next(matrices) if styled else None for styled in config.styled]


def stage_noise(stage: Stage, noise: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The entries of one residual block, by the name of the SEAN block."""
    found = {norm: (noise or {}).get(f"{stage.name}.{norm}") for norm in stage.norms}
    return {norm: plane for norm, plane in found.items() if plane is not None}


def check_inputs(config: Config, regions: Tensor, codes: Tensor | None) -> None:
    """Raises ValueError for what the generator cannot take."""
    if regions.ndim == 4 and regions.shape[1] != config.labels:
        raise ValueError(f"The network knows {config.labels} regions; the mask has channels for "
                         f"{regions.shape[1]}.")
    if not config.styled_stages:
        return
    if codes is None:
        raise ValueError("The generator needs style codes; encode a picture first.")
    expected = (config.styled_stages, config.labels, config.style)
    if codes.shape[1:] not in (expected, expected[1:]):
        wanted, got = (f"{rows} of {length} numbers" + (f" for {count} blocks" if codes.ndim == 4 else "")
                       for count, rows, length in (expected, (codes.shape[1], *codes.shape[-2:])))
        raise ValueError(f"The style codes come from another model: the network takes {wanted}; got {got}.")


def check_encoder(config: Config) -> None:
    if not config.encoder:
        raise ValueError("This network draws from region maps alone (SPADE); it has no style encoder.")


class PatchDiscriminator(nn.Module):
    """Three halvings of the resolution, one judgement per patch. Returns the output of every layer."""

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()

        def normed(channels: int) -> nn.Sequential:
            conv = SpectralConv(channels, 2 * channels, 4, 2, stride=2, bias=False)
            return nn.Sequential(nn.Sequential(conv, nn.InstanceNorm2d(2 * channels)), nn.LeakyReLU(0.2))

        self.model0 = nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(0.2))
        self.model1, self.model2 = normed(width), normed(2 * width)
        self.model3 = nn.Sequential(nn.Conv2d(4 * width, 1, 4, 1, 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for layer in (self.model0, self.model1, self.model2, self.model3):
            x = layer(x)
            outputs.append(x)
        return outputs


class Discriminator(nn.Module):
    """Judges mask and picture together at full and at half size."""

    def __init__(self, labels: int, width: int = 64) -> None:
        super().__init__()
        self.discriminator_0 = PatchDiscriminator(labels + 3, width)
        self.discriminator_1 = PatchDiscriminator(labels + 3, width)

    def initialise(self, seed: int = 0) -> Discriminator:
        fill(self, seed)
        return self

    def forward(self, mask: Tensor, image: Tensor) -> list[list[Tensor]]:
        """Per scale the outputs of its four layers; the last is the judgement. `mask`: [B,R,H,W]."""
        x = torch.cat([mask, image], 1)
        half = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return [self.discriminator_0(x), self.discriminator_1(half)]


@torch.no_grad()
def fill(net: nn.Module, seed: int) -> None:
    """Weights Xavier-normal with gain 0.02; biases, blending and noise strengths zero."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            fans = parameter[0].numel() + parameter[:, 0].numel()
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.02 * math.sqrt(2 / fans))
        else:
            parameter.zero_()
    for name, buffer in net.named_buffers():
        if name.endswith(("weight_u", "weight_v")):
            buffer.copy_(F.normalize(torch.randn(buffer.shape, generator=rng), dim=0, eps=1e-12))
