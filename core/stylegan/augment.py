"""Augmentations that do not leak into what a generator draws, and how often to use them.

"Training Generative Adversarial Networks with Limited Data", Karras et al. 2020, arXiv 2006.06676:
the pipeline "bgc" (pixel blitting, geometry, colour; appendix B) and the adaptive probability (section 3).
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Low-pass filter of the wavelet sym6: orthogonal to itself moved by 2, 4, ..
SYM6 = (0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
        0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
        -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148)
TAPS, EDGE = len(SYM6), len(SYM6) // 2 - 1
SHIFT = 0.5 + sum(n * tap for n, tap in enumerate(SYM6)) / sum(SYM6) - (TAPS - 1) / 2      # see `transform`
TARGET, EVERY = 0.6, 4                                     # see `adapted`; batches between its calls
SPEED, SPEED_OF_STARTED = 500_000, 100_000                 # images for p from 0 to 1


def adapted(p: Tensor, signs: Tensor, images: int, speed: int = SPEED) -> Tensor:
    """The probability after `images` more images: up while D is surer of real pictures than `TARGET`.

    `signs`: mean of the signs of its logits for real pictures, -1..1. `speed`: images from 0 to 1.
    """
    return (p + (signs - TARGET).sign() * (images / speed)).clamp(min=0)


def augment(pictures: Tensor, p: float, rng: torch.Generator) -> Tensor:
    """Pictures [N,3,H,W] of -1..1, each operation applied to each picture with probability `p`.

    Twice differentiable. What comes into view from outside is a reflection.
    """
    if p <= 0:
        return pictures
    draw = Draw(len(pictures), p, rng)
    height, width = pictures.shape[2:]
    moved = transform(pictures, geometry(draw, height, width).to(pictures))
    matrix = colour(draw).to(pictures)                                             # [N,3,4]
    return torch.einsum("nij,njhw->nihw", matrix[:, :, :3], moved) + matrix[:, :, 3, None, None]


class Draw:
    """Random numbers [N] of one batch; where an operation is not applied, its neutral value."""

    def __init__(self, count: int, p: float, rng: torch.Generator) -> None:
        self.count, self.p, self.rng = count, p, rng

    def uniform(self) -> Tensor:
        """0..1."""
        return torch.rand(self.count, generator=self.rng)

    def normal(self) -> Tensor:
        return torch.randn(self.count, generator=self.rng)

    def sometimes(self, value: Tensor, neutral: float = 0.0, p: float | None = None) -> Tensor:
        chosen = self.uniform() < (self.p if p is None else p)
        return torch.where(chosen, value, torch.tensor(neutral))


def geometry(draw: Draw, height: int, width: int) -> Tensor:
    """Where every picture is looked up, [N,3,3], in pixels from its middle."""
    flip = scaling(1 - 2 * draw.sometimes((draw.uniform() * 2).floor()), torch.ones(draw.count))
    matrix = flip @ rotation(draw.sometimes((draw.uniform() * 4).floor()) * (math.pi / 2))
    across, down = (draw.sometimes((draw.uniform() * 2 - 1) * 0.125) for _ in range(2))
    matrix = matrix @ translation((across * width).round(), (down * height).round())
    size = draw.sometimes(2 ** (draw.normal() * 0.2), 1.0)
    matrix = matrix @ scaling(size, size)
    once = 1 - math.sqrt(max(0.0, 1 - draw.p))             # two turns, one of them with probability p
    matrix = matrix @ rotation(draw.sometimes((draw.uniform() * 2 - 1) * math.pi, p=once))
    stretch = draw.sometimes(2 ** (draw.normal() * 0.2), 1.0)
    matrix = matrix @ scaling(stretch, 1 / stretch)
    matrix = matrix @ rotation(draw.sometimes((draw.uniform() * 2 - 1) * math.pi, p=once))
    across, down = (draw.sometimes(draw.normal() * 0.125) for _ in range(2))
    return matrix @ translation(across * width, down * height)


def scaling(across: Tensor, down: Tensor) -> Tensor:
    """[N] each -> [N,3,3]."""
    return torch.diag_embed(torch.stack([across, down, torch.ones_like(across)], -1))


def translation(across: Tensor, down: Tensor) -> Tensor:
    """[N] each -> [N,3,3]."""
    matrix = torch.eye(3).repeat(len(across), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = across, down
    return matrix


def rotation(angle: Tensor) -> Tensor:
    """[N] radians -> [N,3,3]."""
    matrix = torch.eye(3).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0], matrix[:, 0, 1] = angle.sin(), -angle.sin()
    return matrix


def transform(pictures: Tensor, matrix: Tensor) -> Tensor:
    """[N,3,H,W] looked up at [N,3,3] times each place, in pixels from the middle.

    Bilinear in the picture at twice its size, as filtered by `SYM6`, which puts pixel i at 2i + SHIFT.
    """
    height, width = pictures.shape[2:]
    large = enlarged(pictures)                                                     # [N,3,2H,2W]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    rows, columns = (torch.arange(-EDGE, 2 * side + EDGE).to(pictures) for side in (height, width))
    y, x = torch.meshgrid((rows - SHIFT) / 2 - middle_y, (columns - SHIFT) / 2 - middle_x, indexing="ij")
    places = matrix @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)           # [N,3,P]
    across, down = (places[:, 0] + middle_x) * 2 + SHIFT, (places[:, 1] + middle_y) * 2 + SHIFT
    return reduced(look_up(large, across, down).unflatten(-1, x.shape))


def look_up(pictures: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """[N,C,H,W] at places [N,P] in pixels from the first one -> [N,C,P], bilinear, reflected outside.

    PyTorch's `grid_sample` cannot be differentiated twice.
    """
    height, width = pictures.shape[2:]
    across, down = reflect(across, width), reflect(down, height)
    left, top = across.floor().clamp(max=width - 2), down.floor().clamp(max=height - 2)
    x, y = (across - left)[:, None], (down - top)[:, None]                         # [N,1,P]
    corner = (top * width + left).long()[:, None].expand(-1, pictures.shape[1], -1)
    flat = pictures.flatten(2)
    upper, lower = (torch.lerp(flat.gather(2, corner + row), flat.gather(2, corner + row + 1), x)
                    for row in (0, width))
    return torch.lerp(upper, lower, y)


def reflect(places: Tensor, size: int) -> Tensor:
    """Any places -> 0..size-1, mirrored at both ends."""
    return (size - 1) - (places.remainder(2 * (size - 1)) - (size - 1)).abs()


def enlarged(pictures: Tensor) -> Tensor:
    """[N,C,H,W] -> [N,C,2H,2W]."""
    edge = TAPS // 4
    x = F.pad(pictures, (edge,) * 4, mode="reflect").flatten(0, 1)[:, None]
    taps = x.new_tensor(SYM6) * math.sqrt(2)
    crop = 2 * edge + EDGE
    x = F.conv_transpose2d(x, taps.view(1, 1, -1, 1), stride=(2, 1))[:, :, crop:-crop]
    x = F.conv_transpose2d(x, taps.view(1, 1, 1, -1), stride=(1, 2))[..., crop:-crop]
    return x.view(*pictures.shape[:2], *x.shape[2:])


def reduced(pictures: Tensor) -> Tensor:
    """[N,C,2H+2*EDGE,2W+2*EDGE] -> [N,C,H,W], undoing `enlarged`."""
    x = pictures.flatten(0, 1)[:, None]
    taps = x.new_tensor(SYM6) / math.sqrt(2)
    x = F.conv2d(F.conv2d(x, taps.view(1, 1, -1, 1), stride=(2, 1)), taps.view(1, 1, 1, -1), stride=(1, 2))
    return x.view(*pictures.shape[:2], *x.shape[2:])


def colour(draw: Draw) -> Tensor:
    """What colours are multiplied by, [N,3,4]: an affine map of red, green and blue."""
    grey = torch.full((3, 3), 1 / 3)                       # projects on the luma axis
    turn = torch.tensor([[0., -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)      # cross product with it
    one = torch.eye(3)
    brightness = draw.sometimes(draw.normal() * 0.2)
    contrast = draw.sometimes(2 ** (draw.normal() * 0.5), 1.0)
    flip = draw.sometimes((draw.uniform() * 2).floor())[:, None, None]
    angle = draw.sometimes((draw.uniform() * 2 - 1) * math.pi)[:, None, None]
    saturation = draw.sometimes(2 ** draw.normal(), 1.0)[:, None, None]
    hue = angle.cos() * one + (1 - angle.cos()) * grey + angle.sin() * turn
    matrix = (grey + (one - grey) * saturation) @ hue @ (one - 2 * flip * grey)
    offset = matrix.sum(2) * (contrast * brightness)[:, None]                      # brightness comes first
    return torch.cat([matrix * contrast[:, None, None], offset[..., None]], 2)
