"""Hair, hats, accessories and the stool, as primitives."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from .identity import HAIR_STYLES, Identity
from .palette import REGION
from .poses import BodyPose
from .primitives import Builder, Group, Material, Part
from .skeleton import Skeleton

_HAIR = Part(REGION["hair"], Material.HAIR, Group.HAIR)
_HAT = Part(REGION["headwear"], Material.HAT, Group.HAT)
_ACCESSORY = Part(REGION["accessory"], Material.ACCESSORY, Group.ACCESSORY)
_SEAT = Part(REGION["background"], Material.SEAT, Group.SEAT)


def _is(identity: Identity, *styles: str) -> Tensor:
    """[N] bool: wears one of these hair styles."""
    return torch.stack([identity.hair_style == HAIR_STYLES.index(style) for style in styles]).any(0)


def add_hair(builder: Builder, identity: Identity, skeleton: Skeleton) -> None:
    hatless = identity.hat == 0
    _add_hair_cap(builder, identity, skeleton, hatless)
    _add_tuft(builder, identity, skeleton, hatless)
    _add_long_hair(builder, identity, skeleton)
    scale = identity.head
    tail, bun = _is(identity, "ponytail"), _is(identity, "bun")
    at, across = skeleton.on_head, skeleton.head.axis(0)
    knot = at(0, .030, -.150)
    builder.add(_HAIR, at(0, .055, -.105), knot, (.022, .034), across, active=tail)
    builder.add(_HAIR, knot, at(0, 0, -.150) + skeleton.neck.along(0, -.12, -.01), (.036, .018), across,
                active=tail)
    builder.sphere(_HAIR, at(0, .085, -.085), .048 * scale, skeleton.head.turn, active=bun & hatless)
    builder.sphere(_HAIR, at(0, 0, -.105), .042 * scale, skeleton.head.turn, active=bun & ~hatless)


def _add_hair_cap(builder: Builder, identity: Identity, skeleton: Skeleton, hatless: Tensor) -> None:
    """The scalp: an ellipsoid, cut by a slanted plane at the hairline."""
    volume, scale = identity.hair_volume, identity.head
    swell = torch.where(_is(identity, "buzz"), 1.015, 1.06 + .06 * volume * hatless)
    swell = torch.where(_is(identity, "afro"), torch.where(hatless, 1.42 + .15 * volume, 1.15), swell)
    hairline = torch.where(_is(identity, "afro"), .035, .012 + .022 * (1 - volume)) * scale
    slant = torch.where(_is(identity, "bob", "long"), .80, .86)
    builder.sphere(_HAIR, skeleton.on_head(0, .024, -.014), .100 * scale * swell, skeleton.head.turn,
                   scale=(.82, 1.04, .97), clip=(.18 * identity.hair_part, -1, slant, hairline))


def _add_tuft(builder: Builder, identity: Identity, skeleton: Skeleton, hatless: Tensor) -> None:
    head, part, scale = skeleton.head, identity.hair_part * identity.head, identity.head
    start = head.at(.030 * part, .098 * scale, .048 * scale)
    end = head.at(.016 * part, .098 * scale, -.04 * scale)
    builder.add(_HAIR, start, end, (.040 * scale * (.8 + .5 * identity.hair_volume), .036 * scale),
                head.axis(0), scale=(1.45, 1, .8), active=_is(identity, "tuft", "spiky") & hatless)
    for k in range(5):
        x, y = math.sin((k - 2) * .55), math.cos((k - 2) * .55)
        builder.add(_HAIR, skeleton.on_head(x * .05, .085 + .02 * y, .03),
                    skeleton.on_head(x * .085, .125 + .025 * y, .035), (.030 * scale, .008), head.axis(0),
                    active=_is(identity, "spiky") & hatless)


def _add_long_hair(builder: Builder, identity: Identity, skeleton: Skeleton) -> None:
    """Two curtains beside the face and a fall behind; it hangs along neck and chest, not along the head."""
    worn, scale, volume = _is(identity, "bob", "long"), identity.head, identity.hair_volume
    length = torch.where(_is(identity, "long"), .20 + .10 * volume, .075 + .02 * volume)[:, None]
    chest, neck, head = skeleton.chest, skeleton.neck, skeleton.head
    for sign in (1.0, -1.0):
        middle = skeleton.on_head(sign * .080, -.060, -.004)
        tip = (skeleton.on_head(sign * .082, -.04, -.006) + chest.along(sign * .010, 0, .012)
               + neck.along(0, -1, 0) * length)
        builder.add(_HAIR, skeleton.on_head(sign * .068, .035, -.004), middle, (.036 * scale, .034 * scale),
                    head.axis(2), scale=(1.1, 1, .75), active=worn)
        builder.add(_HAIR, middle, tip, (.034 * scale, .024), head.axis(2), scale=(1.1, 1, .8), active=worn)
    nape = head.origin + neck.along(0, -.085, -.062)
    tip = head.origin + neck.along(0, -.085, -.075) + chest.along(0, -1, -.25) * length
    builder.add(_HAIR, skeleton.on_head(0, 0, -.055), nape, (.085 * scale, .076 * scale), head.axis(0),
                scale=(.98, 1, .68), active=worn)
    builder.add(_HAIR, nape, tip, (.076 * scale, .060), head.axis(0), scale=(1.1, 1, .6), active=worn)


def add_hat(builder: Builder, identity: Identity, skeleton: Skeleton) -> None:
    """A brim that started at the brow would hide the eyes: it starts above the hairline."""
    cap, beanie, sun_hat = (identity.hat == k for k in (1, 2, 3))
    at, head, scale = skeleton.on_head, skeleton.head, identity.head
    builder.sphere(_HAT, at(0, .045, -.012), .1165 * scale, head.turn, scale=(.84, .92, .97),
                   clip=(0, -1, .25, 0), active=cap)
    builder.sphere(_HAT, at(0, .0750, .080), .082 * scale, head.turn, scale=(.82, .16, 1.06), active=cap)
    builder.sphere(_HAT, at(0, .040, -.014), .119 * scale, head.turn, scale=(.84, 1.03, .97),
                   clip=(0, -1, .45, 0), active=beanie)
    builder.sphere(_HAT, at(0, .150, -.02), .026, head.turn, active=beanie & (identity.hair_volume > .5))
    builder.add(_HAT, at(0, .062, -.012), at(0, .130, -.015), (.098 * scale, .082 * scale), head.axis(0),
                scale=(.90, 1, 1), active=sun_hat)
    builder.sphere(_HAT, at(0, .058, -.010), .205 * scale, head.turn, scale=(.95, .10, 1), active=sun_hat)


def add_accessories(builder: Builder, identity: Identity, skeleton: Skeleton) -> None:
    scarf, backpack, handbag = (identity.accessory == k for k in (1, 2, 3))
    chest, size = skeleton.chest, identity.height
    across = chest.axis(0)
    builder.add(_ACCESSORY, chest.at(0, .395 * size, 0), chest.at(0, .425 * size, .004), (.080, .068), across,
                scale=(1.12, .62, 1), active=scarf)
    builder.add(_ACCESSORY, chest.at(.045, .36 * size, .085), chest.at(.055, .18 * size, .105), (.034, .036),
                across, scale=(1.1, 1, .5), active=scarf)
    builder.add(_ACCESSORY, chest.at(0, .13, -.155), chest.at(0, .29, -.145), (.120, .105), across,
                scale=(1.05, 1, .62), active=backpack)
    grip, down = skeleton.hand["left"].at(0, -.09, 0), across.new_tensor([0.0, -1.0, 0.0])
    builder.add(_ACCESSORY, grip, grip + .16 * down, (.010, .010), skeleton.pelvis.axis(0), active=handbag)
    builder.add(_ACCESSORY, grip + .17 * down, grip + .25 * down, (.085, .100), skeleton.pelvis.axis(2),
                scale=(1.2, 1, .45), active=handbag)


def add_seat(builder: Builder, pose: BodyPose, skeleton: Skeleton) -> None:
    """A stool; background in the region map."""
    pelvis, seated = skeleton.pelvis, pose.degrees("seat") > .5
    up = pelvis.origin.new_tensor([0.0, 1.0, 0.0])
    middle = (skeleton.thigh["left"].origin + skeleton.thigh["right"].origin) * .5
    top = middle - .125 * up + pelvis.along(0, 0, .03)
    across = pelvis.axis(0)
    builder.add(_SEAT, top, top - .03 * up, (.19, .19), across, scale=(1, .30, 1), active=seated)
    builder.add(_SEAT, top, top * (1 - up), (.055, .075), across, active=seated)
