"""The Inception graph of 2015 as PyTorch users have it (`pt_inception-2015-12-05-6726825d.pth`): a flat dict
of tensors under torchvision's names."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .network import Inception

TITLE = "Inception v3 of 2015"
_MARKS = ("Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The tree; files of an older PyTorch lack counters, which nothing but training needs."""
    if not all(isinstance(tree.get(name), Tensor) for name in _MARKS):
        return None
    tensors = {name: tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}
    counters = {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
                for name in tensors if name.endswith(".running_mean")}
    return counters | tensors


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    with torch.device("meta"):
        net = Inception()
    check_state({name: tensor.shape for name, tensor in net.state_dict().items()}, state, TITLE)
    net.load_state_dict(state, assign=True)
    return net


SYSTEM = System(name="inception", title=TITLE, role="classifier", select=select, build=build)
