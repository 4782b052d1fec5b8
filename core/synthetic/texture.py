"""Cloth, hair, shoes and hats: display-encoded colours [3,S] of surface samples. The face is in `face.py`.

Textures live in limb coordinates (u around, v along), so that they move with the limb; edges are as soft as
a pixel.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import angle_of, inside, smoothstep
from .identity import HAIR_STYLES, PATTERNS, Identity
from .palette import REGION
from .primitives import Group, Material
from .rng import hash32
from .skeleton import Frame
from .surface import Surface, Vector

#: Display-encoded colours [3,S] and region classes [S].
Painted = tuple[Tensor, Tensor]

_CELLS, _TEXELS = 32, 32
_SIZE = _CELLS * _TEXELS


@functools.cache
def _noise_table(device: torch.device) -> Tensor:
    """Smooth value noise 0..1, periodic: 32 x 32 cells of 32 x 32 texels, flat."""
    values = (hash32(torch.arange(_CELLS * _CELLS)) >> 8).float().view(_CELLS, _CELLS) / 2**24
    at = torch.arange(_SIZE) / _TEXELS
    cell = at.long()
    share = at - cell
    share = share * share * (3 - 2 * share)
    following = (cell + 1) % _CELLS
    rows = values[cell] * (1 - share)[:, None] + values[following] * share[:, None]
    return (rows[:, cell] * (1 - share) + rows[:, following] * share).flatten().to(device)


def noise(x: Tensor, y: Tensor, seed: Tensor) -> Tensor:
    """Value noise 0..1 with cells of size 1. `seed`: random int64 bits, broadcasts with x and y."""
    column = ((x * _TEXELS).floor().long() + seed) & (_SIZE - 1)
    row = ((y * _TEXELS).floor().long() + (seed >> 10)) & (_SIZE - 1)
    return _noise_table(x.device)[row * _SIZE + column]


def mix(colour: Tensor, other: Tensor | float, share: Tensor) -> Tensor:
    """[3,S] towards `other` ([3,S], [3,1] or a grey) by `share` [S]."""
    return colour + (other - colour) * share


@dataclass(frozen=True, eq=False)
class Look:
    """The figures' identities, gathered per sample, and their bones in view coordinates."""

    identity: Identity
    frames: dict[str, Frame]        # head, chest, pelvis, skirt, left_foot, right_foot

    def number(self, name: str, figure: Tensor) -> Tensor:
        return getattr(self.identity, name).index_select(0, figure)

    def colour(self, name: str, figure: Tensor, layer: int | None = None) -> Tensor:
        """[3,S]; `layer`: which of several colours."""
        value = getattr(self.identity, name)
        value = value if layer is None else value[:, layer]
        return value.t().contiguous().index_select(1, figure)

    def local(self, bone: str, surface: Surface) -> Vector:
        """Positions in a bone's frame, metres."""
        frame = self.frames[bone]
        turn = frame.turn.reshape(-1, 9).t().contiguous()
        origin = frame.origin.t().contiguous()
        px, py, pz = (p - o.index_select(0, surface.figure) for p,
                      o in zip(surface.position, origin, strict=True))
        rows = [row.index_select(0, surface.figure) for row in turn]
        return tuple(px * rows[k] + py * rows[3 + k] + pz * rows[6 + k] for k in range(3))


# ---------------------------------------------------------------- patterns: share of the second and third
# colour
def _band(x: Tensor, period: Tensor, duty: float, edge: Tensor) -> Tensor:
    return inside((((x / period) % 1) - .5).abs() * period - duty * .5 * period, edge)


def _hoops(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    return _band(v, .085 * scale, .42, edge), torch.zeros_like(u)


def _stripes(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    return _band(u, .0595 * scale, .40, edge), torch.zeros_like(u)


def _plaid(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    period = .085 * scale
    lines = torch.maximum(_band(v + period * .5, period, .10, edge),
                          _band(u + period * .5, period, .10, edge))
    return .5 * _band(v, period, .45, edge) + .5 * _band(u, period, .45, edge), .8 * lines


def _dots(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    period = .055 * scale
    row = (u / period).floor()
    x, y = (u / period) % 1 - .5, (v / period + .5 * (row % 2)) % 1 - .5
    return inside(((x * x + y * y).sqrt() - .27) * period, edge), torch.zeros_like(u)


def _block(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    return inside(.30 + .05 * (scale - 1) - v, edge), inside((v - .285).abs() - .014, edge)


def _gradient(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    return ((v + .12) / .6).clamp(0, 1), torch.zeros_like(u)


def _camouflage(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    coarse, fine = .055 * scale, .025 * scale
    n = noise(u / coarse, v / coarse, seed) * .65 + noise(u / fine + 20, v / fine, seed) * .35
    return smoothstep(.48, .54, n), smoothstep(.60, .66, n)


def _diamonds(u: Tensor, v: Tensor, scale: Tensor, edge: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    period = .07 * scale
    a, b = (((u + v) / period) % 1 - .5).abs() - .25, (((u - v) / period) % 1 - .5).abs() - .25
    return inside(-a * b * period * 8, edge), torch.zeros_like(u)


_PATTERN = {"hoops": _hoops, "stripes": _stripes, "plaid": _plaid, "dots": _dots, "block": _block,
            "gradient": _gradient, "camouflage": _camouflage, "diamonds": _diamonds}


def patterned(kind: Tensor, colours: tuple[Tensor, ...], u: Tensor, v: Tensor, scale: Tensor,
              footprint: Tensor, seed: Tensor) -> Tensor:
    """[3,S] cloth. `kind`: [S] index into PATTERNS; `u`, `v`, `footprint`: metres."""
    second, third = torch.zeros_like(u), torch.zeros_like(u)
    for name, draw in _PATTERN.items():
        index = (kind == PATTERNS.index(name)).nonzero()[:, 0]
        if len(index):
            args = (x.index_select(0, index) for x in (u, v, scale, footprint * .6, seed))
            second[index], third[index] = draw(*args)
    return mix(mix(colours[0], colours[1], second), colours[2], third)


# ---------------------------------------------------------------- materials
def paint_hair(look: Look, surface: Surface) -> Painted:
    """Strands run down from the crown; an afro is curly."""
    figure = surface.figure
    x, y, z = look.local("head", surface)
    seed = look.number("texture", figure)
    around = angle_of(x, z + .02)
    strands = .40 * noise(around * 14, y * 9, seed) + .25 * noise(around * 34 + 20, y * 14, seed) - .325
    curls = .55 * (noise(x * 90, y * 90, seed) - .5)
    afro = look.number("hair_style", figure) == HAIR_STYLES.index("afro")
    return look.colour("hair", figure) * (1 + torch.where(afro, curls, strands)), surface.region


def _woven(look: Look, figure: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Brightness of a fabric's fine structure and folds."""
    seed = look.number("texture", figure)
    return 1 + .06 * (noise(u * 60, v * 60, seed) - .5) + .12 * (noise(u * 14 + 20, v * 9, seed) - .5)


def paint_top(look: Look, surface: Surface) -> Painted:
    """Shirt, sleeves and jacket, and the regions [S]: bare skin in the neckline, straps of the backpack.

    On the trunk the texture is wrapped around the chest, across all the shapes it is made of.
    """
    figure, sleeve = surface.figure, surface.region == REGION["sleeves"]
    pattern = look.number("top_pattern", figure)
    block = sleeve & (pattern == PATTERNS.index("block"))
    pattern = torch.where(block | (sleeve & (pattern == PATTERNS.index("logo"))), 0, pattern)
    first, second, third = (look.colour("top_colours", figure, k) for k in range(3))
    trunk = (~sleeve).nonzero()[:, 0]
    chest = surface.subset(trunk)
    x, y, z = look.local("chest", chest)
    u, v = surface.u.clone(), surface.v.clone()
    u[trunk], v[trunk] = .14 * angle_of(x, z), y + .08
    cloth = patterned(pattern, (torch.where(block, second, first), second, third), u, v,
                      look.number("top_scale", figure), surface.footprint, look.number("texture", figure))
    cloth, region = cloth * _woven(look, figure, u, v), surface.region.clone()
    painted, painted_region = _chest_details(look, chest, (x, y, z), cloth.index_select(1, trunk))
    return cloth.index_copy_(1, trunk, painted), region.index_copy_(0, trunk, painted_region)


def _chest_details(look: Look, surface: Surface, position: Vector, cloth: Tensor) -> tuple[Tensor, Tensor]:
    """`position`: in the chest's frame."""
    figure = surface.figure
    x, y, z = position
    y = y / look.number("height", figure)
    front, edge = (z > 0).float(), surface.footprint * .7
    first, second, third = (look.colour("top_colours", figure, k) for k in range(3))
    skin = look.colour("skin", figure)
    jacket, collar = look.number("jacket", figure), look.number("collar", figure)
    cloth = _logo(look, figure, cloth, second, third, x, y, front, edge)
    cloth = _jacket(look, figure, cloth, first, third, x, y, front * jacket, edge)
    plain = front * (1 - jacket) * look.number("buttons", figure) * (look.number("top_pattern", figure) != 6)
    cloth = mix(cloth, cloth * .72, inside(x.abs() - .0035, edge) * plain)
    rise = ((y / .062) % 1 - .5) * .062
    button = .93 * (1 - .75 * (first.mean(0) > .75).float())
    cloth = mix(cloth, button.expand_as(cloth), inside((x * x + rise * rise).sqrt() - .0075, edge) * plain)

    crew = (x * x * .8 + (y - .425) ** 2).sqrt() - .070
    round_neck = collar == 0
    cloth = mix(cloth, second, inside(crew - .012, edge) * round_neck)
    v_neck = inside((x.abs() * 1.55 - (y - .285)) * .55, edge) * front * ((collar == 1)
                                                                          & (jacket < .5)) * (y > .27)
    cloth = mix(cloth, skin, v_neck)
    cloth = mix(cloth, skin, inside(crew, edge) * round_neck)
    opening = inside(x.abs() * 1.3 - (.385 - y).clamp(min=0) * .6, edge) * front
    ring = inside(((x * x * .9 + (y - .420) ** 2).sqrt() - .088).abs() - .017, edge)
    cloth = mix(cloth, (first * .45 + .5).clamp(0, 1), ring * (1 - opening) * ((collar == 2) & (jacket < .5)))

    strap = (look.number("accessory", figure) == 2) * front * inside((x.abs() - .105).abs() - .017,
                                                                     edge) * (y > .10)
    cloth = mix(cloth, look.colour("accessory_colour", figure) * .8, strap)
    bare = (v_neck > .5) | ((crew < -.004) & round_neck)
    region = torch.where(bare, REGION["head"], surface.region)
    return cloth, torch.where(strap > .5, REGION["accessory"], region)


def _logo(look: Look, figure: Tensor, cloth: Tensor, second: Tensor, third: Tensor, x: Tensor, y: Tensor,
          front: Tensor, edge: Tensor) -> Tensor:
    worn = front * (look.number("top_pattern", figure) == PATTERNS.index("logo"))
    kind, size = look.number("logo", figure), look.number("logo_size", figure)
    lx, ly = x / size, (y - .225) / size
    radius, ax = (lx * lx + ly * ly).sqrt(), lx.abs()
    star = radius * (1 + .38 * (5 * angle_of(lx, ly)).cos()) - .80
    lobes = ((ax - .45) ** 2 + (ly - .25) ** 2).sqrt() - .52
    heart = torch.minimum(lobes, ax + (ly + .05).abs() * .95 - .95 + 2 * (ly > .3))
    box = torch.maximum(ax, ly.abs() * 1.6) - .85
    bars = torch.maximum(ax - .9, ((ly.abs() - .35).abs()) - .2)
    shapes = torch.stack([radius - .8, star, heart, box, (radius - .68).abs() - .2, bars])
    distance = shapes.gather(0, kind[None])[0]
    cloth = mix(cloth, third, inside(distance * size, edge) * worn)
    return mix(cloth, second, inside((radius - .38) * size, edge) * worn * (kind == 0))


def _jacket(look: Look, figure: Tensor, cloth: Tensor, first: Tensor, third: Tensor, x: Tensor, y: Tensor,
            worn: Tensor, edge: Tensor) -> Tensor:
    """Open in front over an inner shirt."""
    gape = .05 * y.clamp(0, .4)
    shirt = torch.where(first.mean(0) > .55, first * .35, .93)
    shirt = torch.where(look.number("logo", figure) > 3, third, shirt)
    cloth = mix(cloth, shirt, inside(x.abs() - (.030 + gape), edge) * worn)
    return mix(cloth, first * .55, inside((x.abs() - (.034 + gape)).abs() - .006, edge) * worn)


def paint_bottom(look: Look, surface: Surface) -> Painted:
    """Trousers, shorts, skirts and dresses with belt, side stripe and faded denim."""
    figure = surface.figure
    kind, pattern = look.number("bottom", figure), look.number("bottom_pattern", figure)
    colours = tuple(look.colour("bottom_colours", figure, k) for k in range(3))
    x, y, z = look.local("pelvis", surface)
    u, v = _bottom_coordinates(look, surface, x, y, z)
    cloth = patterned(pattern, colours, u, v, look.number("bottom_scale", figure), surface.footprint,
                      look.number("texture", figure)) * _woven(look, figure, u, v)
    edge = surface.footprint * .7
    belt = look.number("belt", figure) * (kind < 3)
    cloth = mix(cloth, cloth.new_tensor([[.16], [.11], [.08]]), inside((y - .050).abs() - .016, edge) * belt)
    buckle = inside(torch.maximum(x.abs() - .016, (y - .05).abs() - .013), edge)
    cloth = mix(cloth, cloth.new_tensor([[.85], [.75], [.45]]), buckle * belt * (z > 0))
    leg = (surface.material == Material.BOTTOM) & (kind < 2)
    stripe = inside((surface.angle.abs() - math.pi / 2).abs() * surface.girth - .013, edge)
    cloth = mix(cloth, colours[1], stripe * (look.number("side_stripe", figure) * leg * (surface.v < -.03)))
    fade = .16 * (-(((surface.v + .20) / .14) ** 2)).exp() * surface.front * (pattern == 0) * leg
    return cloth * (1 + fade), surface.region


def _bottom_coordinates(look: Look, surface: Surface, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor,
                                                                                                Tensor]:
    """Texture wrapped around each trouser leg, around the hips (x, y, z in the pelvis' frame), around a
    skirt.
    """
    skirt, hips = surface.region == REGION["skirt"], surface.material == Material.HIPS
    sx, sy, sz = look.local("skirt", surface)
    u = torch.where(hips, .15 * angle_of(x, z), surface.u)
    v = torch.where(hips, y, surface.v)
    return torch.where(skirt, .16 * angle_of(sx, sz), u), torch.where(skirt, sy, v)


def paint_shoes(look: Look, surface: Surface) -> Painted:
    figure, edge = surface.figure, surface.footprint * .7
    first, second, third = (look.colour("shoe_colours", figure, k) for k in range(3))
    left, right = look.local("left_foot", surface), look.local("right_foot", surface)
    is_left = surface.group == Group.LEFT_SHOE
    y, z = (torch.where(is_left, left[k], right[k]) for k in (1, 2))
    shoe = (surface.material == Material.SHOE).float()
    colour = mix(first, second, inside(y + .068, edge) * shoe)
    low_shoe = shoe * (look.number("boots", figure) < .5)
    colour = mix(colour, third, inside((z - .045 - .25 * (y + .05)).abs() - .012, edge) * low_shoe)
    laces = inside((z - .075).abs() - .020, edge) * shoe * (y > -.035) * .6
    return mix(colour, second * .5 + .5, laces), surface.region


def paint_hat(look: Look, surface: Surface) -> Painted:
    figure = surface.figure
    scale = look.number("head", figure)
    x, y, z = (part / scale for part in look.local("head", surface))
    hat, colour = look.number("hat", figure), look.colour("hat_colour", figure)
    cap, beanie, sun_hat = (hat == k for k in (1, 2, 3))
    colour = torch.where(beanie & (y < .072 + .25 * z), colour * .78 + .05, colour)
    ribs = .10 * (angle_of(x, z) * 44).sin() * beanie * (surface.footprint < .006)
    ribbon = sun_hat & (y < .088) & (y > .066)
    colour = torch.where(ribbon, look.colour("top_colours", figure, 2) * .9, colour * (1 + ribs))
    return torch.where(cap & (y < .060), colour * .82, colour), surface.region


def paint_accessory(look: Look, surface: Surface) -> Painted:
    """Scarves are striped; bags are plain."""
    figure = surface.figure
    main = look.colour("accessory_colour", figure)
    kind = torch.where(look.number("accessory", figure) == 1, PATTERNS.index("hoops"), 0)
    cloth = patterned(kind, (main, main * .4 + .5, main), surface.u, surface.v * .2,
                      look.number("top_scale", figure), surface.footprint, look.number("texture", figure))
    return cloth, surface.region


def paint_seat(look: Look, surface: Surface) -> Painted:
    wood = surface.depth.new_tensor([[.50], [.40], [.30]])
    return wood * (.8 + .4 * look.number("hair_part", surface.figure).abs()), surface.region


def paint_skin(look: Look, surface: Surface) -> Painted:
    """Arms, legs, neck and ears; socks belong to the shoes' region."""
    figure = surface.figure
    sock = ((surface.region == REGION["legs"]) & (surface.v < -.735) & (look.number("socks", figure) > .5)
            & (look.number("boots", figure) < .5))
    colour = torch.where(sock, look.colour("sock_colour", figure), look.colour("skin", figure))
    return colour, torch.where(sock, REGION["shoes"], surface.region)
