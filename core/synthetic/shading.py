"""Colours of surface samples: paint by material; light, shadow and ambient occlusion in linear light."""
from __future__ import annotations

import torch
from torch import Tensor

from .camera import Camera
from .face import paint_face
from .geometry import rotate
from .light import Light, ShadowMap
from .palette import to_linear
from .primitives import Material
from .surface import Surface, Vector
from .texture import (
    Look,
    paint_accessory,
    paint_bottom,
    paint_hair,
    paint_hat,
    paint_seat,
    paint_shoes,
    paint_skin,
    paint_top,
)

_PAINTERS = {
    Material.SKIN: paint_skin, Material.FACE: paint_face, Material.HAIR: paint_hair, Material.TOP: paint_top,
    Material.BOTTOM: paint_bottom, Material.SHOE: paint_shoes, Material.HAT: paint_hat,
    Material.ACCESSORY: paint_accessory, Material.SEAT: paint_seat,
}
#: Materials painted like another one.
_ALSO = {Material.BOTTOM: Material.HIPS, Material.SHOE: Material.BOOT}
_GLOSS = {Material.HAIR: .35, Material.SHOE: .18, Material.BOOT: .18}
#: Ambient occlusion: directions on the screen, and how far to look in metres.
_AROUND = ((1, 0, .035), (.707, .707, .085), (0, 1, .035), (-.707, .707, .085),
           (-1, 0, .035), (-.707, -.707, .085), (0, -1, .035), (.707, -.707, .085))


def paint(look: Look, surface: Surface) -> tuple[Tensor, Tensor]:
    """Display-encoded colours [3,S] and final region classes [S]."""
    colour = surface.depth.new_empty(3, len(surface.depth))
    region = surface.region.clone()
    for material, painter in _PAINTERS.items():
        alike = (surface.material == material) | (surface.material == _ALSO.get(material, material))
        index = alike.nonzero()[:, 0]
        if len(index):
            painted, classes = painter(look, surface.subset(index))
            colour.index_copy_(1, index, painted)
            region.index_copy_(0, index, classes)
    return colour, region


def _dot(a: Vector, b: Vector) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _per_picture(values: Tensor, picture: Tensor) -> Tensor:
    """[B,3] -> [3,S]."""
    return values.t().contiguous().index_select(1, picture)


def shade(look: Look, surface: Surface, camera: Camera, light: Light, shadows: ShadowMap,
          depth: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Linear RGB [3,S] and region classes [S]. `depth`: the depth buffer [B*H*W]."""
    colour, region = paint(look, surface)
    colour, picture = to_linear(colour), surface.picture
    skin = (surface.material <= Material.FACE).float()
    to_light = tuple(_per_picture(rotate(camera.turn, light.direction), picture))
    facing = _dot(surface.normal, to_light)
    wrap = .12 + .22 * skin
    diffuse = ((facing + wrap) / (1 + wrap)).clamp(min=0)
    diffuse = diffuse * _shadow(surface, diffuse, camera, shadows)
    up = tuple(_per_picture(camera.turn[:, :, 1], picture))
    upward = _dot(surface.normal, up)
    sky, ground = _per_picture(light.sky, picture), _per_picture(light.ground, picture)
    open_sky = _occlusion(surface, camera, depth, height, width) * _near_floor(surface, camera, up, upward)
    ambient = (ground + (sky - ground) * (.5 + .5 * upward)) * open_sky
    key = _per_picture(light.key, picture)
    tint = torch.where(skin > .5, skin.new_tensor([[1.04], [.98], [.95]]), 1.0)
    view = _towards_eye(surface)
    grazing = 1 - _dot(surface.normal, view).clamp(0, 1)
    colour = colour * tint * (key * diffuse + ambient) + sky * (.10 * grazing * grazing * grazing * open_sky)
    colour = _add_highlights(colour, surface, view, to_light, key, diffuse)
    return colour * torch.where(surface.inner, .45, 1.0), region


def _towards_eye(surface: Surface) -> Vector:
    x, y, z = surface.position
    scale = -(x * x + y * y + z * z).rsqrt()
    return x * scale, y * scale, z * scale


def _add_highlights(colour: Tensor, surface: Surface, view: Vector, to_light: Vector, key: Tensor,
                    lit: Tensor) -> Tensor:
    """Blinn highlights on hair and shoes; only where light falls."""
    gloss = torch.zeros(len(Material), device=lit.device)
    for material, amount in _GLOSS.items():
        gloss[material] = amount
    strength = gloss[surface.material]
    index = ((strength > 0) & (lit > 0)).nonzero()[:, 0]
    half = tuple((a + b).index_select(0, index) for a, b in zip(view, to_light, strict=True))
    cosine = _dot(tuple(n.index_select(0, index) for n in surface.normal), half) * _dot(half, half).rsqrt()
    eighth = cosine.clamp(min=0) ** 2
    eighth = (eighth * eighth) ** 2
    shine = eighth * eighth * eighth * strength.index_select(0, index) * .35
    shine = shine * (lit.index_select(0, index) * 2).clamp(max=1)
    return colour.index_add_(1, index, key.index_select(1, index) * shine)


def _shadow(surface: Surface, diffuse: Tensor, camera: Camera, shadows: ShadowMap) -> Tensor:
    """[S] share of light. Looked up 2.5 cm off the surface, or legs get stripes."""
    index = (diffuse > 0).nonzero()[:, 0]
    picture = surface.picture.index_select(0, index)
    off = [(p + .025 * n).index_select(0, index) for p,
           n in zip(surface.position, surface.normal, strict=True)]
    turn = camera.turn.reshape(-1, 9).t().contiguous()
    rows = [row.index_select(0, picture) for row in turn]
    eye = _per_picture(camera.eye, picture)
    world = torch.stack([off[0] * rows[k] + off[1] * rows[3 + k] + off[2] * rows[6 + k] + eye[k]
                         for k in range(3)])
    lit = torch.zeros_like(diffuse)
    return lit.index_copy_(0, index, shadows.lit(world, picture, .04))


def _near_floor(surface: Surface, camera: Camera, up: Vector, upward: Tensor) -> Tensor:
    above = _dot(surface.position, up) + camera.eye[:, 1].index_select(0, surface.picture)
    return 1 - .45 * (above.clamp(min=0) * -10).exp() * (upward < .3)


def _occlusion(surface: Surface, camera: Camera, depth: Tensor, height: int, width: int) -> Tensor:
    """[S] .25..1: how open the surroundings are, from eight depth samples."""
    picture, normal = surface.picture, surface.normal
    px, py, pz = surface.position
    focal = camera.focal.index_select(0, picture)
    cx, cy = camera.centre[:, 0].index_select(0, picture), camera.centre[:, 1].index_select(0, picture)
    inverse, reach = 1 / focal, focal / pz
    x, y, first = px * reach + cx, py * reach + cy, picture * (height * width)
    occluded = torch.zeros_like(pz)
    for dx, dy, radius in _AROUND:
        column = (x + dx * radius * reach).long().clamp(0, width - 1)
        row = (y + dy * radius * reach).long().clamp(0, height - 1)
        z = depth.index_select(0, first + row * width + column)
        scale = z * inverse
        to = ((column + .5 - cx) * scale - px, (row + .5 - cy) * scale - py, z - pz)
        distance = (_dot(to, to) + 1e-12).sqrt() + 1e-6
        occluded += (_dot(to, normal) / distance - .12).clamp(0, 1) * (1 - distance / .30).clamp(min=0)
    return (1 - .22 * occluded).clamp(.25, 1)
