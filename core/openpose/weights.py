"""The published OpenPose body file (`body_pose_model.pth`): a flat dict of float32 tensors."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .network import HEATS, BodyNet

TITLE = "OpenPose body network (COCO, 18 joints)"
_TRUNK_END, _HEATS = "conv4_4_CPM.weight", "Mconv7_stage6_L2.weight"


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The bare layer names of the file, or those of the port's modules, which have a group in front."""
    state = {name.partition(".")[2] if name.startswith("model") else name: tensor
             for name, tensor in tree.items() if isinstance(tensor, Tensor)}
    return state if _TRUNK_END in state else None


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """Raises ValueError, for OpenPose's other body models too."""
    if _HEATS not in state or state[_HEATS].shape[0] != HEATS:
        raise ValueError("it is an OpenPose network for another set of joints, such as BODY_25 or MPI; "
                         "the one for COCO's 18 joints is needed (body_pose_model.pth)")
    with torch.device("meta"):
        net = BodyNet()
    check_state({name: tensor.shape for name, tensor in net.state_dict().items()}, state, TITLE)
    net.load_state_dict(state, assign=True)
    return net.to(memory_format=torch.channels_last)       # type: ignore[call-overload]


SYSTEM = System(name="openpose", title=TITLE, role="detector", select=select, build=build)
