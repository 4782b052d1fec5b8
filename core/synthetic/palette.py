"""Curated colours, display-encoded RGB 0..1. Random RGB would give neither skin nor cloth."""
from __future__ import annotations

import torch
from torch import Tensor

from .rng import Draws

REGION_NAMES = ("background", "hair", "head", "headwear", "top", "sleeves", "arms", "trousers", "skirt",
                "legs", "shoes", "accessory")
REGION = {name: index for index, name in enumerate(REGION_NAMES)}
REGION_PALETTE = torch.tensor([[30, 30, 34], [120, 70, 40], [255, 205, 170], [255, 215, 0], [200, 40, 60],
                               [255, 110, 130], [250, 170, 120], [40, 70, 200], [130, 60, 200],
                               [90, 220, 170], [110, 110, 110], [0, 200, 220]], dtype=torch.uint8)

# The lightest skin stays below .95, or it burns out in the light.
SKIN = ((.94, .78, .68), (.92, .74, .62), (.89, .70, .56), (.84, .64, .49), (.76, .55, .40), (.67, .46, .32),
        (.55, .37, .25), (.44, .29, .20), (.34, .22, .16))
HAIR = ((.10, .08, .08), (.16, .11, .09), (.26, .17, .11), (.38, .25, .15), (.52, .35, .20), (.72, .54, .30),
        (.85, .70, .45), (.55, .22, .10), (.62, .62, .63), (.25, .20, .30))
EYES = ((.25, .16, .10), (.36, .24, .12), (.25, .42, .55), (.30, .45, .28), (.40, .45, .50), (.12, .09, .07))
SOLES = ((.95, .95, .93), (.95, .95, .93), (.2, .2, .2), (.55, .42, .3))
NEUTRAL_CLOTH = ((.95, .95, .94), (.88, .86, .82), (.70, .70, .72), (.42, .43, .46), (.16, .17, .19),
                 (.10, .10, .12), (.15, .20, .34), (.24, .34, .52), (.80, .72, .58), (.45, .36, .28),
                 (.33, .38, .28))
VIVID_CLOTH = ((.80, .16, .18), (.90, .42, .16), (.95, .76, .22), (.30, .62, .32), (.12, .50, .48),
               (.16, .42, .72), (.28, .26, .62), (.56, .24, .56), (.86, .36, .52), (.95, .64, .62),
               (.52, .74, .86), (.62, .80, .62), (.74, .62, .84), (.60, .12, .22))


def cloth_colour(draws: Draws, name: str, vivid: float) -> Tensor:
    """[N,3]; `vivid`: share of vivid colours, the rest is neutral."""
    neutral = draws.pick(f"{name}/neutral", NEUTRAL_CLOTH)
    bright = draws.pick(f"{name}/vivid", VIVID_CLOTH)
    colour = torch.where(draws.chance(f"{name}/is vivid", vivid)[:, None], bright, neutral)
    return (colour * draws.uniform(f"{name}/value", .9, 1.08)[:, None]).clamp(.03, .97)


def cloth_colours(draws: Draws, name: str, vivid: tuple[float, ...]) -> Tensor:
    """[N,K,3]: one colour per entry of `vivid`."""
    return torch.stack([cloth_colour(draws, f"{name}/{k}", share) for k, share in enumerate(vivid)], 1)


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[N] each, hue in turns -> [N,3]."""
    def channel(offset: float) -> Tensor:
        k = (offset + hue * 6) % 6
        return value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)
    return torch.stack([channel(5), channel(3), channel(1)], -1)


def to_linear(colour: Tensor) -> Tensor:
    """Display-encoded -> linear light (sRGB, cubic fit, error .002)."""
    c = colour.clamp(0, 1)
    return c * (c * (c * 0.305306 + 0.682171) + 0.012523)


def to_display(linear: Tensor) -> Tensor:
    """Linear light 0..1 -> display-encoded (sRGB, root fit, error .002)."""
    root = linear.clamp(0, 1).sqrt()
    fourth = root.sqrt()
    encoded = .662002687 * root + .684122060 * fourth - .323583601 * fourth.sqrt() - .022541147 * linear
    return encoded.clamp(0, 1)
