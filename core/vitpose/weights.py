"""ViTPose and ViTPose+ folders of the hub (`usyd-community/vitpose-*`); transformers has the network."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..checkpoints.system import StateDict, System
from ..checkpoints.transformers_model import build_model
from ..pose import COCO_JOINTS

TITLE = "ViTPose pose estimator"
_HEAD = "head.conv.weight"
_MARKS = ("backbone.embeddings.position_embeddings",
          "backbone.embeddings.patch_embeddings.projection.weight", _HEAD)


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    if not all(isinstance(tree.get(name), Tensor) for name in _MARKS):
        return None
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """Raises ValueError, also for other sets of joints; RuntimeError without a fitting transformers."""
    if state[_HEAD].shape[0] != len(COCO_JOINTS):
        raise ValueError(f"it finds {state[_HEAD].shape[0]} joints; a ViTPose for COCO's "
                         f"{len(COCO_JOINTS)} is needed")
    return build_model(TITLE, {"vitpose": "VitPoseForPoseEstimation"}, "4.48", state, metadata)


SYSTEM = System(name="vitpose", title=TITLE, role="estimator", select=select, build=build)
