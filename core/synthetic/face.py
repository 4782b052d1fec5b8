"""The painted face: blush, beard, eyes, brows, nostrils, mouth, glasses, in head coordinates.

Jaw, nose and ears are geometry.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .geometry import inside, smoothstep
from .surface import Surface
from .texture import Look, Painted, mix

_EYE_X, _EYE_Y = .036, .012


def paint_face(look: Look, surface: Surface) -> Painted:
    """[3,S]. Lengths are in units of a head of scale 1."""
    figure = surface.figure
    scale = look.number("head", figure)
    x, y, z = (part / scale for part in look.local("head", surface))
    face = _Face(look, figure, x, y, z, surface.footprint * .62)
    colour = _complexion(face)
    for paint in (_beard, _eyes, _brows, _nostrils, _mouth, _glasses):
        colour = paint(face, colour)
    return colour, surface.region


class _Face:
    """Samples of faces: coordinates (`side` is |x|), and the identity's numbers."""

    def __init__(self, look: Look, figure: Tensor, x: Tensor, y: Tensor, z: Tensor, edge: Tensor) -> None:
        self.x, self.y, self.z, self.side = x, y, z, x.abs()
        self.front = (z > .015).float()
        self._look, self._figure, self._edge = look, figure, edge
        self.skin = look.colour("skin", figure)
        self.hair = look.colour("hair", figure)

    def number(self, name: str) -> Tensor:
        return self._look.number(name, self._figure)

    def colour(self, name: str) -> Tensor:
        return self._look.colour(name, self._figure)

    def within(self, distance: Tensor) -> Tensor:
        """[S] 0..1, softened by the pixel's footprint; nothing on the back of the head."""
        return inside(distance, self._edge) * self.front


def _complexion(face: _Face) -> Tensor:
    blush = (-((face.side - .046) ** 2 + (face.y + .030) ** 2) / .00045).exp() * face.front
    depth = (face.side - _EYE_X) ** 2 / .0009 + (face.y - _EYE_Y - .006) ** 2 / .00045
    socket = (-depth).exp() * face.front
    return face.skin * (1 - blush * face.x.new_tensor([[.02], [.14], [.12]])) * (1 - .16 * socket)


def _beard(face: _Face, colour: Tensor) -> Tensor:
    around_mouth = (-(face.x ** 2 / .0005 + (face.y + .052) ** 2 / .00006)).exp()
    area = smoothstep(0, .014, -.030 - face.y + .35 * (face.side - .03).clamp(min=0))
    share = (face.number("beard") * area * (1 - .9 * around_mouth) * (face.z > -.02)).clamp(0, .85)
    return mix(colour, face.hair * .8 + face.skin * .12, share)


def _eyes(face: _Face, colour: Tensor) -> Tensor:
    """Lid line, white, iris, pupil, highlight."""
    size = face.number("eye_size")
    wide, tall = .0178 * size, .0112 * size
    x, y = face.side - _EYE_X, face.y - _EYE_Y

    def ellipse(grow_x: float, grow_y: float, rise: float) -> Tensor:
        return (((x / (wide * grow_x)) ** 2 + ((y - rise) / (tall * grow_y)) ** 2).sqrt() - 1) * tall

    white = ellipse(1, 1, 0)
    iris = (x * x + (y - .0008) ** 2).sqrt() - .0112 * size
    colour = mix(colour, face.skin * .45, face.within(ellipse(1.13, 1.25, .0025)) * .9)
    colour = mix(colour, .95, face.within(white))
    colour = mix(colour, face.colour("eyes"), face.within(torch.maximum(iris, white)))
    colour = mix(colour, .03, face.within(torch.maximum(iris + .0048 * size, white)))
    glint = face.x - face.x.sign() * _EYE_X - .003
    return mix(colour, 1.0, face.within((glint * glint + (y - .0035) ** 2).sqrt() - .0026 * size))


def _brows(face: _Face, colour: Tensor) -> Tensor:
    arch = .0385 + .006 * (1 - ((face.side - .038) / .022) ** 2)
    thick = .0036 * face.number("brows")
    distance = torch.maximum((face.y - arch).abs() - thick, (face.side - .037).abs() - .021)
    return mix(colour, face.hair * .75, face.within(distance) * .92)


def _nostrils(face: _Face, colour: Tensor) -> Tensor:
    distance = (((face.side - .0075) / 1.3) ** 2 + (face.y + .0365) ** 2).sqrt() - .0032
    return mix(colour, face.skin * .62, face.within(distance) * .7)


def _mouth(face: _Face, colour: Tensor) -> Tensor:
    """A broad smile shows the teeth."""
    smile, lips = face.number("smile"), face.colour("lips")
    line = face.y + .0565 - smile * (face.x / .03) ** 2 * .0085
    half = .026 + .004 * smile
    taper = (1 - (face.side / half) ** 2).clamp(min=0)
    colour = mix(colour, lips, face.within(torch.maximum(line.abs() - .0068 * taper, face.side - half)))
    opened = smile > .55
    gap = torch.maximum(line.abs() - torch.where(opened, .0034, .0011) * taper, face.side - half * .86)
    return mix(colour, torch.where(opened, .96, lips * .5), face.within(gap))


def _glasses(face: _Face, colour: Tensor) -> Tensor:
    rim = ((((face.side - _EYE_X) / 1.15) ** 2 + (face.y - .011) ** 2).sqrt() - .0235).abs() - .0022
    bar = (face.y - .016).abs() - .0022
    frame = torch.minimum(rim, torch.maximum(bar, face.side - .013))
    frame = torch.minimum(frame, torch.maximum(bar, .060 - face.side))
    return mix(colour, .06, face.within(frame) * face.number("glasses"))
