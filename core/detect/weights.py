"""The embedded detector's files: our own safetensors, as `core/training` exports them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .network import OUTPUTS, ConvNorm, Detector

TITLE = "Anyone person detector"
MARKS = ("stem.0.conv.weight", "encoder.2.0.conv.weight", "reduce.0.conv.weight", "head.weight")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The tree itself when it has our names and the head our outputs."""
    if not all(isinstance(tree.get(name), Tensor) for name in MARKS):
        return None
    if tree["head.weight"].ndim != 4 or tree["head.weight"].shape[0] != sum(OUTPUTS):
        return None
    return {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}


def widths(state: StateDict) -> tuple[int, ...]:
    """Channels per level, from the first convolution of each."""
    first = ["stem.0.conv.weight", *(f"encoder.{i}.0.conv.weight" for i in range(3))]
    missing = [name for name in first if name not in state]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return tuple(state[name].shape[0] for name in first)


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """The filled network, batch norms folded into the convolutions."""
    with torch.device("meta"):
        net = Detector(widths(state))
    check_state({name: t.shape for name, t in net.state_dict().items()}, state, TITLE)
    net.load_state_dict(state, assign=True)
    return fold(net.eval())


def fold(net: Detector) -> Detector:
    """Each batch norm of a net in evaluation mode goes into the convolution before it; the same function,
    faster."""
    for module in net.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return net.to(memory_format=torch.channels_last)       # type: ignore[call-overload]


SYSTEM = System(name="detect", title=TITLE, role="detector", select=select, build=build)
