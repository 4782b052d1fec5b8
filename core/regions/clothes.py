"""The 18 ATR labels of clothes parsers, and what they are among the twelve person regions."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .regions import PERSON_REGIONS

# ATR's name in lower case -> person region. Upper-clothes, dress and belt depend on where they are, too: see
# `core.people.person_regions`.
_PERSON_OF_ATR = {
    "background": "background", "hat": "headwear", "hair": "hair", "sunglasses": "accessory",
    "upper-clothes": "top", "skirt": "skirt", "pants": "trousers", "dress": "top", "belt": "accessory",
    "left-shoe": "shoes", "right-shoe": "shoes", "face": "head", "left-leg": "legs", "right-leg": "legs",
    "left-arm": "arms", "right-arm": "arms", "bag": "accessory", "scarf": "accessory"}
ATR_LABELS = tuple(_PERSON_OF_ATR)


def atr_ids(names: Sequence[str]) -> Tensor:
    """[len(names)] uint8: the number in ATR_LABELS of each of a parser's names. ValueError for others."""
    plain = [name.lower() for name in names]
    unknown = [name for name in plain if name not in ATR_LABELS]
    if unknown:
        raise ValueError(f"The parser names a region {unknown[0]!r}, which is none of the 18 ATR labels "
                         f"({', '.join(ATR_LABELS)}).")
    return torch.tensor([ATR_LABELS.index(name) for name in plain], dtype=torch.uint8)


def atr_to_person(labels: Tensor) -> Tensor:
    """ATR labels -> person regions, uint8 of the same shape, each label by itself."""
    numbers = [PERSON_REGIONS.index(region) for region in _PERSON_OF_ATR.values()]
    table = torch.tensor(numbers, dtype=torch.uint8)
    return table[labels.long()]
