"""The published face parser (`79999_iter.pth`, also `parsing_bisenet.pth`): a flat dict of tensors."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .network import BiSeNet

TITLE = "BiSeNet face parser"
_MARKS = ("cp.resnet.conv1.weight", "ffm.convblk.conv.weight", "conv_out.conv_out.weight")
_TRAINING_HEADS = ("conv_out16.", "conv_out32.")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The tree without the heads that only training needs."""
    if not all(isinstance(tree.get(name), Tensor) for name in _MARKS):
        return None
    return {name: tensor for name, tensor in tree.items()
            if isinstance(tensor, Tensor) and not name.startswith(_TRAINING_HEADS)}


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    with torch.device("meta"):
        net = BiSeNet()
    check_state({name: tensor.shape for name, tensor in net.state_dict().items()}, state, TITLE)
    net.load_state_dict(state, assign=True)
    return net.to(memory_format=torch.channels_last)       # type: ignore[call-overload]


SYSTEM = System(name="bisenet", title=TITLE, role="parser", select=select, build=build)
