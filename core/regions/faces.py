"""The 19 face regions of CelebAMask-HQ, which SEAN paints, and face parsers' own orders of them."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .regions import PERSON_REGIONS, Colour

# Left and right are the person's. ear_r is an ear-ring, eye_g are glasses, neck_l is a necklace.
FACE_REGIONS = ("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
                "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth")
FACE_PALETTE: tuple[Colour, ...] = (
    (0, 0, 0), (204, 0, 0), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204), (0, 255, 255),
    (51, 255, 255), (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0), (0, 0, 153), (0, 0, 204),
    (255, 51, 153), (0, 204, 204), (0, 51, 0), (255, 153, 51), (0, 204, 0))
_ELSEWHERE = {"background": "background", "hair": "hair", "hat": "headwear", "cloth": "top",
              "eye_g": "accessory", "ear_r": "accessory", "neck_l": "accessory"}


def face_ids(names: Sequence[str]) -> Tensor:
    """[len(names)] uint8: the number in FACE_REGIONS of each of a parser's names.

    Always by name: parsers disagree about the order. Raises ValueError for a name that is none of the 19.
    """
    plain = [name.removesuffix(".png") for name in names]
    unknown = [name for name in plain if name not in FACE_REGIONS]
    if unknown:
        raise ValueError(f"The parser names a region {unknown[0]!r}, which is none of the 19 face regions "
                         f"({', '.join(FACE_REGIONS)}).")
    return torch.tensor([FACE_REGIONS.index(name) for name in plain], dtype=torch.uint8)


def face_to_person(faces: Tensor, person: Tensor) -> Tensor:
    """Face labels [H,W] laid over person labels [H,W], both uint8 -> person labels; where the face is
    background the person stays."""
    table = torch.tensor([PERSON_REGIONS.index(_ELSEWHERE.get(name, "head")) for name in FACE_REGIONS],
                         dtype=torch.uint8)
    return torch.where(faces > 0, table[faces.long()], person)
