"""Things in front of the people: a box, a pole, a plant, a table. Flat, and background to the region map."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import inside
from .palette import cloth_colour, to_linear
from .rng import Draws


@dataclass(frozen=True, eq=False)
class Occluders:
    """`picture`: [K] the pictures that have one; `colour`: [K,3,H,W] linear; `cover`: [K,H,W] 0..1."""

    picture: Tensor
    colour: Tensor
    cover: Tensor


class _Canvas:
    """Paints shapes over each other. Coordinates are pixels; `box` [K,4] bounds the main figures."""

    def __init__(self, ids: Tensor, seed: int, box: Tensor, height: int, width: int) -> None:
        self.draws = Draws(ids, seed, "occluder")
        device = ids.device
        self.y = (torch.arange(height, device=device) + .5)[None, :, None]        # [1,H,1]
        self.x = (torch.arange(width, device=device) + .5)[None, None]            # [1,1,W]
        self.left, self.top, self.right, self.bottom = (side[:, None, None] for side in box.unbind(1))
        self.unit = (self.bottom - self.top).clamp(min=height * .3)               # the figure's height
        self.height, self.width = height, width
        self.colour = box.new_zeros(len(ids), 3, height, width)
        self.cover = box.new_zeros(len(ids), height, width)

    def number(self, name: str, low: float, high: float) -> Tensor:
        return self.draws.uniform(name, low, high)[:, None, None]

    def across(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """A column, 0 = the figure's left edge, 1 = its right edge."""
        return self.left + (self.right - self.left) * self.number(name, low, high)

    def cloth(self, name: str) -> Tensor:
        return to_linear(cloth_colour(self.draws, name, .3))[..., None, None]

    def add(self, distance: Tensor, colour: Tensor, mask: Tensor) -> None:
        """`distance`: [K,H,W] pixels, negative inside; `colour`: [K,3,...]; `mask`: [K] who gets it."""
        cover = inside(distance, .7) * mask[:, None, None]
        self.colour = self.colour + (colour - self.colour) * cover[:, None]
        self.cover = self.cover + (1 - self.cover) * cover


def draw_occluders(ids: Tensor, seed: int, boxes: Tensor, height: int, width: int,
                   probability: float) -> Occluders:
    """`boxes`: [B,4] left, top, right, bottom of the main figures in pixels."""
    draws = Draws(ids, seed, "occluder")
    picture = draws.chance("present", probability).nonzero()[:, 0]
    limit = boxes.new_tensor([width, height, width, height])
    canvas = _Canvas(ids[picture], seed, boxes[picture].clamp(min=0).minimum(limit), height, width)
    kind = canvas.draws.choice("kind", (1.2, 1, 1, 1))
    for k, paint in enumerate((_box, _pole, _plant, _table)):
        paint(canvas, kind == k)
    return Occluders(picture, canvas.colour, canvas.cover)


def _rectangle(canvas: _Canvas, x: Tensor, half_width: Tensor, top: Tensor, bottom: Tensor | float) -> Tensor:
    return torch.maximum((canvas.x - x).abs() - half_width, torch.maximum(top - canvas.y, canvas.y - bottom))


def _box(canvas: _Canvas, mask: Tensor) -> None:
    """A chest or a wall end with a lighter upper face."""
    x, half = canvas.across("box x", -.1, 1.1), canvas.unit * canvas.number("box width", .12, .28)
    top, depth = canvas.top + canvas.unit * canvas.number("box top", .55, .85), canvas.unit * .035
    colour = canvas.cloth("box") * .8 + .03
    shade = 1 - .25 * ((canvas.y - top) / canvas.unit).clamp(0, 1)[:, None]
    canvas.add(_rectangle(canvas, x, half, top, canvas.height), colour * shade, mask)
    canvas.add(_rectangle(canvas, x, half - (top - canvas.y).clamp(min=0) * .6, top - depth, top),
               colour * 1.25 + .03, mask)
    board = canvas.number("board", .25, .6) * canvas.unit
    canvas.add((canvas.y - top - board).abs() - canvas.unit * .006 + 1e3 * ((canvas.x - x).abs() > half),
               colour * .45, mask)


def _pole(canvas: _Canvas, mask: Tensor) -> None:
    """A lamp post through the whole picture, shaded as a cylinder."""
    x, half = canvas.across("pole x"), canvas.unit * canvas.number("pole width", .012, .035)
    round_ = ((canvas.x - x) / half).clamp(-1, 1)
    shade = .55 + .6 * (1 - (round_ + .35) ** 2).clamp(min=0)
    distance = (canvas.x - x).abs() - half + 0 * canvas.y
    canvas.add(distance, canvas.cloth("pole") * .7 * shade[:, None], mask)


def _plant(canvas: _Canvas, mask: Tensor) -> None:
    """Long leaves that fan out of a pot below the picture or at its lower edge."""
    x = canvas.across("plant x", -.1, 1.1)
    root = canvas.bottom + canvas.unit * canvas.number("plant root", -.05, .12)
    green = torch.stack([canvas.draws.uniform(f"green/{k}", *limits) for k, limits in
                         enumerate(((.04, .20), (.18, .42), (.04, .14)))], -1)[..., None, None]
    for k in range(9):
        angle = canvas.number(f"leaf {k}/angle", -1.1, 1.1)
        length = canvas.unit * canvas.number(f"leaf {k}/length", .22, .46)
        dx, dy = canvas.x - x, root - canvas.y
        along = dx * angle.sin() + dy * angle.cos()
        share = (along / length).clamp(0, 1)
        off = (dx * angle.cos() - dy * angle.sin() - .18 * length * angle * share * share).abs()
        distance = torch.maximum(off - length * .11 * (4 * share * (1 - share)).sqrt(),
                                 torch.maximum(-along, along - length))
        rib = .8 + .3 * inside(off - length * .012, .7)
        canvas.add(distance, green * canvas.number(f"leaf {k}/value", .7, 1.4)[:, None] * rib[:, None], mask)
    half = canvas.unit * .07 - (canvas.y - root).clamp(min=0) * .2
    canvas.add(_rectangle(canvas, x, half, root, canvas.height), canvas.cloth("pot") * .7, mask)


def _table(canvas: _Canvas, mask: Tensor) -> None:
    x, half = canvas.across("table x", .1, .9), canvas.unit * canvas.number("table width", .22, .45)
    top, thick = canvas.top + canvas.unit * canvas.number("table top", .52, .72), canvas.unit * .022
    colour = canvas.cloth("table") * .7 + .05
    for side in (-1.0, 1.0):
        leg = x + side * half * .85
        canvas.add(_rectangle(canvas, leg, canvas.unit * .014, top, canvas.height), colour * .55, mask)
    canvas.add(_rectangle(canvas, x, half - (top - canvas.y).clamp(min=0) * .8, top - thick * 1.8, top),
               colour * 1.2, mask)
    canvas.add(_rectangle(canvas, x, half, top, top + thick), colour * .75, mask)
