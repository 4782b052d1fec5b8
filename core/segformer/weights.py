"""SegFormer folders of the hub that parse faces or clothes; transformers has the network."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..checkpoints.system import StateDict, System
from ..checkpoints.transformers_model import build_model
from ..regions import ATR_LABELS, atr_ids, face_ids

TITLE = "SegFormer parser"
_MARKS = ("segformer.encoder.patch_embeddings.0.proj.weight", "decode_head.linear_fuse.weight",
          "decode_head.classifier.weight")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    if not all(mark in tree for mark in _MARKS):
        return None
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """Raises ValueError, also when it parses something else; RuntimeError without a fitting transformers."""
    net = build_model(TITLE, {"segformer": "SegformerForSemanticSegmentation"}, "4.12", state, metadata)
    label_ids(net)
    return net


def label_ids(net: nn.Module) -> Tensor:
    """[C] uint8: what each output is, a number of ATR_LABELS or, from a face parser, of FACE_REGIONS."""
    names = region_names(net)
    return atr_ids(names) if parses_clothes(net) else face_ids(names)


def parses_clothes(net: Any) -> bool:
    """Whether it knows ATR's clothes rather than the parts of a face."""
    return sum(name.lower() in ATR_LABELS for name in region_names(net)) > len(region_names(net)) / 2


def region_names(net: Any) -> list[str]:
    return [name for _, name in sorted(net.config.id2label.items())]


SYSTEM = System(name="segformer", title=TITLE, role="parser", select=select, build=build)
