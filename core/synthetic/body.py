"""Identity + skeleton -> the primitives of trunk, limbs and their clothes.

Covered skin is not drawn: it would poke through cloth.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .geometry import length as length_of
from .identity import Identity
from .outfit import add_accessories, add_hair, add_hat, add_seat
from .palette import REGION
from .poses import BodyPose
from .primitives import Builder, Group, Material, Part, Primitives
from .skeleton import FOREARM, SHIN, SIDES, THIGH, UPPER_ARM, Skeleton, skirt_frame

_TOP = Part(REGION["top"], Material.TOP, Group.TOP)
_SLEEVE = Part(REGION["sleeves"], Material.TOP, Group.TOP)
_TROUSERS = Part(REGION["trousers"], Material.BOTTOM, Group.BOTTOM)
_SKIRT = Part(REGION["skirt"], Material.BOTTOM, Group.BOTTOM)
_FACE = Part(REGION["head"], Material.FACE, Group.HEAD)
_HEAD = Part(REGION["head"], Material.SKIN, Group.HEAD)


def build_figure(identity: Identity, pose: BodyPose, skeleton: Skeleton) -> Primitives:
    builder = Builder(identity.height)
    build = _Build(identity)
    _add_trunk(builder, identity, skeleton, build)
    _add_hem(builder, identity, skeleton, build)
    for side, sign in SIDES:
        _add_sleeve(builder, identity, skeleton, build, side)
        _add_arm(builder, identity, skeleton, build, side)
        _add_hand(builder, identity, skeleton, side, sign)
    _add_hips(builder, identity, skeleton, build)
    for side, _ in SIDES:
        _add_trouser_leg(builder, identity, skeleton, build, side)
        _add_leg(builder, identity, skeleton, build, side)
        _add_shoe(builder, identity, skeleton, side)
    _add_skirt(builder, identity, skeleton, build)
    _add_head(builder, identity, skeleton)
    add_hair(builder, identity, skeleton)
    add_hat(builder, identity, skeleton)
    add_accessories(builder, identity, skeleton)
    add_seat(builder, pose, skeleton)
    return builder.build()


class _Build:
    """Widths that follow from weight and proportions, [N] each."""

    def __init__(self, identity: Identity) -> None:
        weight = identity.weight
        self.fat = (weight - 1).clamp(min=0)
        self.chest = identity.shoulders * (.9 + .1 * weight)
        self.waist = identity.waist * weight
        self.hips = identity.hips * weight
        self.arm = .94 + .06 * weight - .08 * identity.feminine + .35 * self.fat
        self.leg = .93 + .07 * weight + .35 * self.fat
        self.trouser = 1.04 + .34 * identity.looseness * (1 - .3 * identity.feminine)


def _add_trunk(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build) -> None:
    chest, size = skeleton.chest, identity.height
    across = chest.axis(0)
    builder.add(_TOP, chest.at(0, .115 * size, .004), chest.at(0, .262 * size, .002),
                (.132 * build.waist, .150 * build.chest), across, scale=(1, 1, .70))
    neck = skeleton.neck.origin
    shoulder = {side: skeleton.upper_arm[side].origin for side, _ in SIDES}
    drop = chest.along(0, -.020, .002)
    builder.add(_TOP, shoulder["left"] * .80 + neck * .20 + drop, shoulder["right"] * .80 + neck * .20 + drop,
                (.056 * build.chest, .056 * build.chest), chest.axis(2))
    for side, _ in SIDES:
        slope = shoulder[side] * .86 + neck * .14 + chest.along(0, -.004, 0)
        builder.add(_TOP, chest.at(0, .400 * size, -.014), slope, (.048, .040 * build.chest), across)
    builder.add(_TOP, skeleton.pelvis.at(0, .03, 0), chest.at(0, .10 * size, .004),
                (.147 * (.45 * build.waist + .55 * build.hips), .130 * build.waist), skeleton.pelvis.axis(0),
                scale=(1, 1, .74), clip=(0, -1, 0, .02))
    belly = (build.fat * 2.2).clamp(0, 1)
    builder.add(_TOP, chest.at(0, .03, .030), chest.at(0, .10, .03),
                (.105 * build.waist * (.85 + .2 * belly), .09 * build.waist), across, scale=(1, 1, .98),
                active=belly > .15)
    for sign in (1.0, -1.0):
        builder.add(_TOP, chest.at(sign * .062, .250 * size, .062 + .012 * identity.bust),
                    chest.at(sign * .058, .262 * size, .058), (.050 * (.8 + .3 * identity.bust), .046),
                    across, scale=(1.12, 1, .80), active=identity.bust > .1)


def _add_hem(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build) -> None:
    """An untucked shirt: at the hem a finger wider than hips and trousers; more would look like an apron."""
    worn = (identity.hem > .45) & (identity.bottom != 3)
    waist, hem = .143 * build.waist, .088 * identity.hips + .097 * build.leg + .010
    hem = torch.maximum(hem, waist + .01)
    pelvis, across = skeleton.pelvis, skeleton.pelvis.axis(0)
    start, hips = skeleton.chest.at(0, .10 * identity.height, 0), pelvis.at(0, -.01, 0)
    builder.add(_TOP, start, hips, (waist, hem), across, scale=(1, 1, .76),
                clip=(0, 1, 0, length_of(hips - start) + .02), active=worn)
    builder.add(_TOP, hips, pelvis.at(0, -.055 - .05 * identity.hem, 0), (hem, hem), across,
                scale=(1, 1, .76), clip=(0, -1, 0, .02), hollow=True, active=worn)


def _add_sleeve(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build, side: str) -> None:
    upper, fore, hand = (bones[side] for bones in (skeleton.upper_arm, skeleton.forearm, skeleton.hand))
    loose = 1.10 + .18 * identity.looseness + .10 * identity.jacket
    # close at the shoulder, or it turns into a puff sleeve
    snug = 1.08 + .08 * identity.looseness + .08 * identity.jacket
    long, short = identity.sleeves == 2, identity.sleeves == 1
    builder.add(_SLEEVE, upper.origin, fore.origin, (.051 * build.arm * snug, .042 * build.arm * loose),
                upper.axis(0), along=(.45, .175), active=long)
    builder.add(_SLEEVE, fore.origin, hand.origin,
                (.042 * build.arm * loose, .034 * build.arm * (loose + .12)), fore.axis(0),
                along=(.175, -.07), clip=(0, 1, 0, .955 * FOREARM * identity.height), hollow=True,
                active=long)
    builder.add(_SLEEVE, upper.origin, fore.origin,
                (.051 * build.arm * snug, .052 * build.arm * (1.14 + .3 * identity.looseness)), upper.axis(0),
                along=(.45, .175), clip=(0, 1, 0, identity.sleeve_length * UPPER_ARM * identity.height),
                hollow=True, active=short)


def _add_arm(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build, side: str) -> None:
    skin = Part(REGION["arms"], Material.SKIN, Group.LEFT_ARM if side == "left" else Group.RIGHT_ARM)
    shoulder, elbow, wrist = (bones[side].origin
                              for bones in (skeleton.upper_arm, skeleton.forearm, skeleton.hand))
    upper, fore = skeleton.upper_arm[side].axis(0), skeleton.forearm[side].axis(0)
    bare, thick = identity.sleeves < 2, elbow * .7 + wrist * .3
    builder.add(skin, shoulder, elbow, (.050 * build.arm, .039 * build.arm), upper, along=(.45, .175),
                active=bare)
    builder.add(skin, elbow, thick, (.039 * build.arm, .0405 * build.arm), fore, along=(.175, .1),
                active=bare)
    builder.add(skin, thick, wrist, (.0405 * build.arm, .027 * build.arm), fore, along=(.1, -.07))


def _add_hand(builder: Builder, identity: Identity, skeleton: Skeleton, side: str, sign: float) -> None:
    """Palm, fingers, thumb."""
    skin = Part(REGION["arms"], Material.SKIN, Group.LEFT_ARM if side == "left" else Group.RIGHT_ARM)
    hand, size = skeleton.hand[side], .95 - .1 * identity.feminine
    flat = hand.axis(2)
    builder.add(skin, hand.at(0, -.012, 0), hand.at(0, -.070, .004), (.028 * size, .040 * size), flat,
                scale=(1, 1, .52))
    builder.add(skin, hand.at(0, -.075, .006), hand.at(-sign * .018, -.150, .010), (.036 * size, .022 * size),
                flat, scale=(1, 1, .55))
    builder.add(skin, hand.at(0, -.030, .026), hand.at(-sign * .012, -.085, .056), (.016, .012), flat)


def _add_hips(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build) -> None:
    region = torch.where(identity.bottom >= 2, REGION["skirt"], REGION["trousers"])
    part = Part(region, Material.HIPS, Group.BOTTOM)
    pelvis, left, right = skeleton.pelvis, skeleton.thigh["left"].origin, skeleton.thigh["right"].origin
    lift = pelvis.along(0, .012, -.006)
    radius = .112 * build.leg * identity.hips
    builder.add(part, left * .72 + right * .28 + lift, right * .72 + left * .28 + lift, (radius, radius),
                pelvis.axis(2), scale=(.92, 1, 1))
    builder.add(part, pelvis.at(0, -.01, 0), pelvis.at(0, .065, 0),
                (.150 * (.35 * build.waist + .65 * build.hips), .136 * build.waist), pelvis.axis(0),
                scale=(1, 1, .73), clip=(0, 1, 0, .085))


def _add_trouser_leg(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build,
                     side: str) -> None:
    thigh, shin, foot = (bones[side] for bones in (skeleton.thigh, skeleton.shin, skeleton.foot))
    length, loose = identity.height * identity.legs, identity.looseness
    hem = .062 * (.85 + .5 * identity.flare * loose + .12 * loose)
    trousers, shorts = identity.bottom == 0, identity.bottom == 1
    builder.add(_TROUSERS, thigh.origin, shin.origin,
                (.094 * build.leg * (.92 + .08 * build.trouser), .059 * build.leg * build.trouser),
                thigh.axis(0), along=(0, -.42), active=trousers)
    builder.add(_TROUSERS, shin.origin, foot.origin,
                (.060 * build.leg * build.trouser, hem * build.leg * .95), shin.axis(0), along=(-.42, -.82),
                clip=(0, 1, 0, (.90 + .06 * identity.bottom_length) * SHIN * length), hollow=True,
                active=trousers)
    builder.add(_TROUSERS, thigh.origin, shin.origin,
                (.097 * build.leg, .080 * build.leg * (.95 + .3 * loose)), thigh.axis(0), along=(0, -.42),
                clip=(0, 1, 0, (.42 + .50 * identity.bottom_length) * THIGH * length), hollow=True,
                active=shorts)


def _add_leg(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build, side: str) -> None:
    skin = Part(REGION["legs"], Material.SKIN, Group.LEFT_LEG if side == "left" else Group.RIGHT_LEG)
    hip, knee, ankle = (bones[side].origin for bones in (skeleton.thigh, skeleton.shin, skeleton.foot))
    thigh, shin = skeleton.thigh[side].axis(0), skeleton.shin[side]
    calf = knee * .72 + ankle * .28 + shin.along(0, 0, -.012)
    bare = identity.bottom >= 1
    builder.add(skin, hip * .62 + knee * .38, knee, (.0765 * build.leg, .054 * build.leg), thigh,
                along=(-.16, -.42), active=bare)
    builder.add(skin, knee, calf, (.053 * build.leg, .056 * build.leg), shin.axis(0), along=(-.42, -.53),
                active=bare)
    builder.add(skin, calf, ankle, (.056 * build.leg, .034), shin.axis(0), along=(-.53, -.82), active=bare)
    builder.add(skin, knee * .25 + ankle * .75, ankle, (.040, .034), shin.axis(0), along=(-.72, -.82),
                active=~bare)


def _add_shoe(builder: Builder, identity: Identity, skeleton: Skeleton, side: str) -> None:
    group = Group.LEFT_SHOE if side == "left" else Group.RIGHT_SHOE
    shoe, shaft = (Part(REGION["shoes"], material, group) for material in (Material.SHOE, Material.BOOT))
    foot, shin = skeleton.foot[side], skeleton.shin[side]
    builder.add(shoe, foot.at(0, -.040, -.030), foot.at(0, -.048, .118), (.041, .036), foot.axis(0))
    builder.add(shoe, foot.at(0, 0, -.006), foot.at(0, -.035, .050), (.043, .036), foot.axis(0))
    builder.add(shaft, foot.origin, foot.origin * .62 + shin.origin * .38, (.044, .057), shin.axis(0),
                clip=(0, 1, 0, .36 * SHIN * identity.height * identity.legs), hollow=True,
                active=(identity.boots > .5) & (identity.bottom > 0))


def _add_skirt(builder: Builder, identity: Identity, skeleton: Skeleton, build: _Build) -> None:
    """One cone per thigh and a sheet of cloth that spans from knee to knee, however far apart they are.

    The flare goes as a thigh rises: on a lap the cloth lies close.
    """
    pelvis, worn = skeleton.pelvis, identity.bottom >= 2
    length = (.50 + .62 * identity.bottom_length).clamp(max=1.0)
    knee = {side: skeleton.shin[side].origin for side, _ in SIDES}
    hanging = {side: skeleton.thigh[side].axis(1)[:, 1].clamp(min=0) for side, _ in SIDES}
    for side, _ in SIDES:
        hip, hang = skeleton.thigh[side].origin, hanging[side]
        inwards = (pelvis.origin - hip) * hang[:, None]
        start = hip + inwards * .45 + pelvis.along(0, .03 * hang, 0)
        end = knee[side] + inwards * .35
        hem = .100 * build.leg + (.075 * identity.flare + .02) * hang
        builder.add(_SKIRT, start, end, (.112 * build.leg, hem), pelvis.axis(0), scale=(1, 1, .95),
                    clip=(0, 1, 0, length * THIGH * identity.height * identity.legs), hollow=True,
                    active=worn)
    half = length_of(knee["left"] - knee["right"]) * .5
    hang = (hanging["left"] + hanging["right"]) * .5
    hem = (.090 + .025 * hang) * build.leg + .07 * identity.flare * hang
    widen = ((half + .55 * hem) / hem).clamp(min=1.12)
    sheet = skirt_frame(skeleton)
    builder.add(_SKIRT, pelvis.at(0, .03, 0), (knee["left"] + knee["right"]) * .5,
                (torch.minimum(.125 * build.leg, .17 / widen), hem), sheet.axis(0), scale=(widen, 1, .92),
                clip=(0, 1, 0, length * .43 * identity.height), hollow=True, active=worn)


def _add_head(builder: Builder, identity: Identity, skeleton: Skeleton) -> None:
    head, scale, fem = skeleton.head, identity.head, identity.feminine
    across = head.axis(0)

    def at(x: float, y: float, z: float) -> Tensor:
        return skeleton.on_head(x, y, z)

    builder.add(_HEAD, skeleton.chest.at(0, .375 * identity.height, -.012), skeleton.head_base.at(0, .03, 0),
                (.054 * (1.02 - .14 * fem), .049 * (1.04 - .14 * fem)), skeleton.chest.axis(0))
    builder.sphere(_FACE, at(0, .022, -.012), .100 * scale, head.turn, scale=(.80, 1.03, .96))
    builder.add(_FACE, at(0, -.015, .022), at(0, -.082, .040),
                (.069 * scale, .034 * scale * (1.06 - .12 * fem)), across, scale=(.98, 1, .96))
    builder.add(_FACE, at(0, .012, .086), at(0, -.024, .097), (.009 * scale, .0155 * scale), across)
    for sign in (1.0, -1.0):
        builder.add(_HEAD, at(sign * .079, .008, -.006), at(sign * .076, -.020, -.002),
                    (.020 * scale, .014 * scale), head.axis(2), scale=(1, 1, .5))
