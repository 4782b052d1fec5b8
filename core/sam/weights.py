"""SAM 2 and 2.1 folders of the hub (`facebook/sam2.1-hiera-*`); transformers has the network."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..checkpoints.system import StateDict, System
from ..checkpoints.transformers_model import build_model

TITLE = "SAM 2 mask refiner"
_MARKS = ("mask_decoder.iou_token.weight", "mask_decoder.obj_score_token.weight", "no_memory_embedding")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    if not all(mark in tree for mark in _MARKS):
        return None
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """The part for single pictures, also of the files for video. ValueError or RuntimeError."""
    return build_model(TITLE, {"sam2": "Sam2Model", "sam2_video": "Sam2Model"}, "4.56", state, metadata)


SYSTEM = System(name="sam", title=TITLE, role="refiner", select=select, build=build)
