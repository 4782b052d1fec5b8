"""RT-DETR, RF-DETR and RF-DETR-Seg folders of the hub; transformers has the networks."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..checkpoints.system import StateDict, System
from ..checkpoints.transformers_model import build_model

TITLE = "DETR person finder"
_RT_MARK = "model.enc_score_head.weight"
_RF_MARKS = ("query_feat.weight", "refpoint_embed.weight", "class_embed.weight")
_MASKS_MARK = "segmentation_head.query_features_proj.weight"


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Tensors of RT-DETR, or of RF-DETR with or without its head for masks."""
    if _RT_MARK not in tree and not all(mark in tree for mark in _RF_MARKS):
        return None
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """Raises ValueError, also when the model knows no people; RuntimeError without a fitting transformers."""
    if _RT_MARK in state:
        classes, since = {"rt_detr": "RTDetrForObjectDetection"}, "4.42"
    else:
        kind = "InstanceSegmentation" if _MASKS_MARK in state else "ObjectDetection"
        classes, since = {"rf_detr": f"RfDetrFor{kind}"}, "5"
    net = build_model(TITLE, classes, since, state, metadata)
    person_label(net)
    return net


def person_label(net: Any) -> int:
    """The number of the class of people, which differs between data sets. ValueError when there is none."""
    for number, name in net.config.id2label.items():
        if name.lower() == "person":
            return int(number)
    raise ValueError("its config.json lists no class called person")


def is_rf_detr(net: Any) -> bool:
    """RF-DETR wants its pictures ImageNet-normalised, RT-DETR as they are."""
    return net.config.model_type == "rf_detr"


SYSTEM = System(name="detr", title=TITLE, role="detector", select=select, build=build)
