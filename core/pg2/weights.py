"""PG2 files: recognising them, hyper-parameters from shapes, published names to ours, strict loading.

Published is a TensorFlow checkpoint whose layers are numbered as they were made: `Pose_AE/G/Conv_7/weights`
is the eighth convolution of stage 1, `UAEnoFC/G/..` is stage 2. What else a training checkpoint holds is
ignored.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .fast import FastPG2
from .network import COORDINATES, ENCODED, MAPS, PG2, Config

TITLE = "PG2 pose transfer"
_STAGES = {"Pose_AE": "g1", "UAEnoFC": "g2"}
_PUBLISHED = re.compile(r"(Pose_AE|UAEnoFC)/G/(Conv|fully_connected)(?:_(\d{1,2}))?/(weights|biases)")
_PARAMETERS = {"weights": "weight", "biases": "bias"}
_MOST_LEVELS = 9                                          # pictures of 2048 rows
_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}                      # height, width, in, out; in, out -> PyTorch's


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """A flat state dict in our own key names, or None."""
    tensors = {key: value for key, value in tree.items() if isinstance(value, Tensor)}
    if all(f"{stage}.first.weight" in tensors for stage in _STAGES.values()):
        return tensors
    if all(f"{scope}/G/Conv/weights" in tensors for scope in _STAGES):
        return _from_published(tensors)
    return None


def _from_published(tensors: StateDict) -> dict[str, Tensor]:
    """A layer with a higher number than there are places keeps its name, for the strict check to find."""
    found = {key: match for key in tensors if (match := _PUBLISHED.fullmatch(key))}
    layers = {(scope, "fully_connected"): ["encode", "decode"] for scope in _STAGES}
    for scope, per_level, changes in (("Pose_AE", 6, True), ("UAEnoFC", 5, False)):
        count = sum(match[1] == scope and match[2] == "Conv" for match in found.values()) // 2
        layers[scope, "Conv"] = list(_conv_names(count // per_level, changes))
    state = {}
    for key, match in found.items():
        scope, kind, number, values = match.groups()
        names, place = layers[scope, kind], int(number or 0)
        name = f"{_STAGES[scope]}.{names[place]}.{_PARAMETERS[values]}" if place < len(names) else key
        axes = _AXES.get(tensors[key].ndim)
        state[name] = tensors[key].permute(axes) if axes else tensors[key]
    return state


def _conv_names(levels: int, decoder_changes: bool) -> Iterator[str]:
    """Our names of a stage's convolutions in the published order."""
    yield "first"
    for part, changes in (("encoder", True), ("decoder", decoder_changes)):
        for level in range(levels):
            yield f"{part}.{level}.conv1"
            yield f"{part}.{level}.conv2"
            if changes and level < levels - 1:
                yield f"{part}.{level}.change"
    yield "last"


def read_config(state: StateDict) -> Config:
    """Hyper-parameters from the shapes. Raises ValueError where they cannot be told."""
    levels = sum(re.fullmatch(r"g1\.encoder\.\d+\.conv1\.weight", key) is not None for key in state)
    if not 3 <= levels <= _MOST_LEVELS:
        raise ValueError(f"The weights do not fit a {TITLE}: stage 1 has {levels} levels, expected are 3 to "
                         f"{_MOST_LEVELS}.")
    channels, planes, *_ = _shape(state, "g1.first.weight", 4)
    code, _ = _shape(state, "g1.encode.weight", 2)
    values, _ = _shape(state, "g1.decode.weight", 2)
    outputs, *_ = _shape(state, "g1.last.weight", 4)
    _, inside_last, *_ = _shape(state, f"g2.decoder.{levels - 3}.conv1.weight", 4)
    columns, rest = divmod(values, 8 * channels)
    if rest:
        raise ValueError(f"The weights do not fit a {TITLE}: g1.decode makes {values} values, expected is a "
                         f"multiple of {8 * channels}.")
    scale = 1 << levels - 1
    pose, joints = _read_pose(state, planes)
    return Config(height=8 * scale, width=columns * scale, channels=channels, code=code, joints=joints,
                  first_skip=inside_last > channels, outputs=outputs, pose=pose)


def _read_pose(state: StateDict, planes: int) -> tuple[str, int]:
    """How G1 learns of the pose, and of how many joints. `planes`: what its first layer takes."""
    if "g1.pose.first.weight" in state:
        return ENCODED, _shape(state, "g1.pose.first.weight", 4)[1]
    if "g1.pose.0.weight" in state:
        return COORDINATES, _shape(state, "g1.pose.0.weight", 2)[1] // 3
    return MAPS, planes - 3


def _shape(state: StateDict, name: str, rank: int) -> torch.Size:
    if name not in state or state[name].ndim != rank or 0 in state[name].shape:
        raise ValueError(f"The weights do not fit a {TITLE}: {name} is missing or of an impossible shape.")
    return state[name].shape


def read_net(state: StateDict) -> PG2:
    """State dict -> both stages, plain, in evaluation mode. Raises ValueError with a readable difference when
    names or shapes do not fit."""
    with torch.inference_mode(False), torch.no_grad():
        with torch.device("meta"):
            net = PG2(read_config(state))
        check_state({name: value.shape for name, value in net.state_dict().items()}, state, TITLE)
        net.load_state_dict({name: value.float().contiguous() for name, value in state.items()}, assign=True)
    return net.eval().requires_grad_(False)


def build(state: StateDict, metadata: Mapping[str, str] | None = None) -> FastPG2:
    """State dict -> the fast form; raises ValueError as `read_net` does."""
    with torch.inference_mode(False):
        return FastPG2(read_net(state))


SYSTEM = System(name="pg2", title=TITLE, role="transfer", select=select, build=build)
