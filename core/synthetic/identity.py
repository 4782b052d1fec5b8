"""Who a person is: proportions, skin, hair, face, clothes, accessories. No pose, no light.

Every field says how it enters the identity vector, with fixed constants, so that the vector of a person does
not depend on any data set.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .palette import EYES, HAIR, SKIN, SOLES, cloth_colour, cloth_colours, hsv_to_rgb
from .rng import Draws

HAIR_STYLES = ("buzz", "short", "tuft", "bob", "long", "ponytail", "bun", "afro", "spiky")
HATS = ("none", "cap", "beanie", "sun hat")
SLEEVES = ("none", "short", "long")
BOTTOMS = ("trousers", "shorts", "skirt", "dress")
PATTERNS = ("plain", "hoops", "stripes", "plaid", "dots", "block", "logo", "gradient", "camouflage",
            "diamonds")
LOGOS = ("disc", "star", "heart", "box", "ring", "bars")
COLLARS = ("crew", "v-neck", "shirt")
ACCESSORIES = ("none", "scarf", "backpack", "handbag")


def _number(mean: float, deviation: float) -> Any:
    return field(metadata={"mean": mean, "deviation": deviation})


def _colour(mean: tuple[float, float, float], deviation: float) -> Any:
    return field(metadata={"mean": mean, "deviation": deviation})


def _flag(probability: float) -> Any:
    return _number(probability, round((probability * (1 - probability)) ** .5, 3))


def _unseen() -> Any:
    """Not in the vector."""
    return field(metadata={})


def _category(names: tuple[str, ...]) -> Any:
    return field(metadata={"names": names})


@dataclass(frozen=True, eq=False)
class Identity:
    """N people. Numbers, flags and categories are [N], colours [N,3] or [N,K,3], display-encoded RGB 0..1.

    Lengths are factors of the standard figure unless the name says otherwise. Three-colour fields: main,
    second, accent.
    """

    feminine: Tensor = _number(.5, .5)
    height: Tensor = _number(1.0, .058)
    weight: Tensor = _number(1.0, .095)
    shoulders: Tensor = _number(1.005, .083)
    hips: Tensor = _number(1.01, .071)
    waist: Tensor = _number(.97, .078)
    legs: Tensor = _number(1.0, .029)
    head: Tensor = _number(1.15, .034)
    bust: Tensor = _number(.39, .40)
    skin: Tensor = _colour((.70, .53, .41), .19)
    hair: Tensor = _colour((.445, .335, .26), .21)
    hair_style: Tensor = _category(HAIR_STYLES)
    hair_volume: Tensor = _number(.5, .29)
    hair_part: Tensor = _number(0, .58)
    eyes: Tensor = _colour((.28, .30, .27), .14)
    eye_size: Tensor = _number(1.02, .058)
    lips: Tensor = _colour((.63, .28, .23), .125)
    smile: Tensor = _number(.35, .375)
    brows: Tensor = _number(.855, .215)
    beard: Tensor = _number(.115, .28)
    glasses: Tensor = _flag(.15)
    hat: Tensor = _category(HATS)
    hat_colour: Tensor = _colour((.54, .47, .48), .26)
    sleeves: Tensor = _category(SLEEVES)
    sleeve_length: Tensor = _number(.675, .10)
    bottom: Tensor = _category(BOTTOMS)
    bottom_length: Tensor = _number(.5, .29)
    looseness: Tensor = _number(.5, .29)
    flare: Tensor = _number(.5, .29)
    hem: Tensor = _number(.5, .29)
    top_colours: Tensor = _colour((.54, .47, .48), .26)
    top_pattern: Tensor = _category(PATTERNS)
    top_scale: Tensor = _number(1.05, .20)
    logo: Tensor = _category(LOGOS)
    logo_size: Tensor = _number(.0675, .010)
    jacket: Tensor = _flag(.09)
    buttons: Tensor = _flag(.25)
    collar: Tensor = _category(COLLARS)
    bottom_colours: Tensor = _colour((.525, .47, .48), .26)
    bottom_pattern: Tensor = _category(PATTERNS)
    bottom_scale: Tensor = _number(1.0, .18)
    side_stripe: Tensor = _flag(.15)
    belt: Tensor = _flag(.35)
    shoe_colours: Tensor = _colour((.58, .52, .52), .28)
    boots: Tensor = _flag(.22)
    socks: Tensor = _flag(.4)
    sock_colour: Tensor = _colour((.515, .47, .48), .26)
    accessory: Tensor = _category(ACCESSORIES)
    accessory_colour: Tensor = _colour((.54, .47, .48), .26)
    texture: Tensor = _unseen()     # seeds the noise in hair and cloth

    def select(self, index: Tensor | slice) -> Identity:
        return Identity(**{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)})

    @staticmethod
    def concatenate(identities: list[Identity]) -> Identity:
        names = [f.name for f in dataclasses.fields(Identity)]
        return Identity(**{name: torch.cat([getattr(i, name) for i in identities]) for name in names})


def identity_vector(identity: Identity) -> Tensor:
    """[N,D] float32, clamped to +-4: what a network is told about a person.

    In field order: numbers, flags and colours as (x - mean) / deviation, categories one-hot times 1.5.
    """
    columns = []
    for f in dataclasses.fields(identity):
        value = getattr(identity, f.name)
        if "names" in f.metadata:
            columns.append(torch.nn.functional.one_hot(value, len(f.metadata["names"])).float() * 1.5)
        elif "mean" in f.metadata:
            mean = torch.tensor(f.metadata["mean"], device=value.device)
            scaled = (value.float() - mean) / f.metadata["deviation"]
            columns.append(scaled.reshape(len(value), -1))
    return torch.cat(columns, 1).clamp(-4, 4)


def sample_identity(ids: Tensor, seed: int = 0) -> Identity:
    """One random person per id: [N] integers."""
    draws = Draws(ids, seed, "identity")
    feminine = draws.chance("feminine", .5).float()
    parts = {"feminine": feminine, "texture": draws.bits("texture")}
    parts |= _body(draws, feminine)
    parts |= _head(draws, feminine, parts["skin"])
    parts |= _top(draws, feminine)
    parts |= _bottom(draws, parts)
    parts |= _extras(draws)
    return Identity(**parts)


def _body(draws: Draws, feminine: Tensor) -> dict[str, Tensor]:
    return {
        "height": draws.normal("height", 1.0, .055) - .04 * (feminine - .5),
        "weight": draws.normal("weight", 1.0, .10).clamp(.84, 1.30),
        "shoulders": draws.normal("shoulders", 1.0, .05) * (1.07 - .13 * feminine),
        "hips": draws.normal("hips", 1.0, .05) * (.96 + .10 * feminine),
        "waist": draws.normal("waist", 1.0, .05) * (1.03 - .12 * feminine),
        "legs": draws.normal("legs", 1.0, .03),
        "head": draws.normal("head", 1.15, .034),
        "bust": feminine * draws.uniform("bust", .55, 1.0),
        "skin": (draws.pick("skin", SKIN) * draws.uniform("skin value", .95, 1.04)[:, None]).clamp(0, 1),
    }


def _head(draws: Draws, feminine: Tensor, skin: Tensor) -> dict[str, Tensor]:
    masculine_style = draws.choice("masculine hair style", (1.2, 4, 4, .4, .4, .3, .3, .8, 1.2))
    feminine_style = draws.choice("feminine hair style", (.1, .7, .5, 3, 4, 3, 2, 1, .1))
    dyed = hsv_to_rgb(draws.uniform("dye hue"), draws.uniform("dye saturation", .4, .7),
                      draws.uniform("dye value", .5, .9))
    natural = draws.pick("hair", HAIR) * draws.uniform("hair value", .85, 1.15)[:, None]
    lipstick = (draws.chance("lipstick", .35) & (feminine > .5))[:, None]
    bearded = draws.chance("bearded", .30) & (feminine < .5)
    lipstick_red, bare_lips = skin.new_tensor([.75, .16, .22]), skin * skin.new_tensor([.86, .58, .56])
    return {
        "hair": torch.where(draws.chance("dyed", .07)[:, None], dyed, natural).clamp(.04, 1),
        "hair_style": torch.where(feminine > .5, feminine_style, masculine_style),
        "hair_volume": draws.uniform("hair volume"),
        "hair_part": draws.uniform("hair part", -1, 1),
        "eyes": draws.pick("eyes", EYES),
        "eye_size": draws.uniform("eye size", .92, 1.12),
        "lips": torch.where(lipstick, lipstick_red, bare_lips),
        "smile": draws.uniform("smile", -.3, 1.0),
        "brows": draws.uniform("brows", .6, 1.2) * (1.1 - .3 * feminine),
        "beard": bearded.float() * draws.uniform("beard", .5, 1.0),
        "glasses": draws.chance("glasses", .15).float(),
        "hat": draws.choice("hat", (7.4, 1, .9, .7)),
        "hat_colour": cloth_colour(draws, "hat colour", .5),
    }


def _top(draws: Draws, feminine: Tensor) -> dict[str, Tensor]:
    sleeves = draws.choice("sleeves", (1.2, 4, 4.6))
    bottom = torch.where(feminine > .5, draws.choice("feminine bottom", (4, 1.6, 2.4, 2.4)),
                         draws.choice("masculine bottom", (6.5, 3, 0, 0)))
    return {
        "sleeves": sleeves, "bottom": bottom,
        "sleeve_length": draws.uniform("sleeve length", .50, .85),
        "looseness": draws.uniform("looseness"),
        "hem": draws.uniform("hem"),
        "top_colours": cloth_colours(draws, "top colours", (.6, .5, .7)),
        "top_pattern": draws.choice("top pattern", (2.0, 2.0, 1.0, 1.4, 1.4, 1.4, 2.2, .8, .8, .9)),
        "top_scale": draws.uniform("top scale", .7, 1.4),
        "logo": draws.choice("logo", (1,) * len(LOGOS)),
        "logo_size": draws.uniform("logo size", .05, .085),
        "jacket": (draws.chance("jacket", .22) & (sleeves == 2) & (bottom != 3)).float(),
        "buttons": draws.chance("buttons", .25).float(),
        "collar": draws.choice("collar", (3, 2, 2)),
    }


def _bottom(draws: Draws, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """A dress continues its top's cloth."""
    dress, skirt = parts["bottom"] == 3, parts["bottom"] >= 2
    pattern = torch.where(skirt, draws.choice("skirt pattern", (2.5, 1.2, .8, 1.5, 1.5, .6, 0, 1, .3, 1)),
                          draws.choice("trouser pattern", (6, .3, .5, .8, .3, 0, 0, .5, .6, .3)))
    dress_pattern = torch.where(parts["top_pattern"] == PATTERNS.index("logo"), 0, parts["top_pattern"])
    colours = cloth_colours(draws, "bottom colours", (.38, .5, .5))
    return {
        "bottom_length": draws.uniform("bottom length"), "flare": draws.uniform("flare"),
        "bottom_colours": torch.where(dress[:, None, None], parts["top_colours"], colours),
        "bottom_pattern": torch.where(dress, dress_pattern, pattern),
        "bottom_scale": torch.where(dress, parts["top_scale"], draws.uniform("bottom scale", .7, 1.3)),
        "side_stripe": draws.chance("side stripe", .15).float(),
        "belt": draws.chance("belt", .35).float(),
    }


def _extras(draws: Draws) -> dict[str, Tensor]:
    shoes = [cloth_colour(draws, "shoes", .45), draws.pick("soles", SOLES),
             cloth_colour(draws, "shoe accent", .7)]
    return {
        "shoe_colours": torch.stack(shoes, 1),
        "boots": draws.chance("boots", .22).float(),
        "socks": draws.chance("socks", .4).float(),
        "sock_colour": cloth_colour(draws, "socks", .4),
        "accessory": draws.choice("accessory", (7.2, 1, 1, .8)),
        "accessory_colour": cloth_colour(draws, "accessory", .65),
    }
