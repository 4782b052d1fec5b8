"""Deformable GAN files: recognising them, hyper-parameters from shapes, published names to ours, strict
loading.

Published are Keras files of generators: with moved skips or the baseline, for 128x64 or 256x256, with or
without a background of the target. Which one a file holds is told by its layers. Metadata of our own files:
`size` = "128x64" (height x width; see `infer.frame_size`) and what OPTIONS lists.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from .fast import FastGenerator
from .network import AVERAGE, MAXIMUM, Config, Generator

TITLE = "Deformable GAN pose transfer"
# Entry of the metadata -> what it may say, as published first: how moved parts become one map; whether each
# part moves for itself or the person as a whole; the form of the poses' heat maps.
OPTIONS = {"fusion": (MAXIMUM, AVERAGE), "warp": ("mask", "full"), "heatmaps": ("stepped", "smooth")}
_GENERATOR = ("appearance.0.weight", "decoder.picture.weight")
_DISCRIMINATOR = ("conv.weight", "blocks.0.conv.weight", "blocks.0.norm.weight")
_CONV, _UP, _NORM = "conv2d", "conv2d_transpose", "instance_normalization"
_LAYER = re.compile(rf"({_UP}|{_CONV}|{_NORM})(?:_\d+)?")
_PARAMETERS = {"kernel:0": "weight", "bias:0": "bias", "gamma:0": "weight", "beta:0": "bias"}
_MOST_LEVELS = 9


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """A flat state dict in our own key names, of a generator or a discriminator, or None."""
    tensors = {key: value for key, value in tree.items() if isinstance(value, Tensor)}
    if any(all(mark in tensors for mark in marks) for marks in (_GENERATOR, _DISCRIMINATOR)):
        return tensors
    layers = _layers(tensors)
    return from_keras(tensors, published_layers(tensors)) if layers[_CONV] and layers[_NORM] else None


def _layers(tensors: StateDict) -> dict[str, list[str]]:
    """The layers of a Keras file by kind, each kind in the order of the file."""
    found: dict[str, dict[str, None]] = {kind: {} for kind in (_CONV, _UP, _NORM)}
    for key in tensors:
        layer, _, parameter = key.rpartition("/")
        match = _LAYER.fullmatch(layer)
        if match and parameter in _PARAMETERS:
            found[match[1]][layer] = None
    return {kind: list(layers) for kind, layers in found.items()}


def published_layers(tensors: StateDict) -> dict[str, str]:
    """Our module -> the published layer; empty for layers of no published network.

    Keras numbers its layers as they are made, after all it has made before, so a number says nothing. What
    counts is the order in the file: by depth, and where there are two encoders, appearance before pose.
    """
    found = _layers(tensors)
    streams, rest = divmod(len(found[_CONV]) - 1, len(found[_UP]) + 1)
    if not found[_UP]:
        modules = _discriminator_modules(len(found[_CONV]))
    elif streams in (1, 2) and not rest:
        modules = _generator_modules(len(found[_UP]) + 1, ("appearance", "pose")[:streams])
    else:
        return {}
    return {module: layer for kind, names in modules.items()
            for module, layer in zip(names, found[kind], strict=False)}


def _generator_modules(levels: int, encoders: tuple[str, ...]) -> dict[str, list[str]]:
    """Kind of layer -> our modules of that kind in the published order."""
    def downs(part: str, first: int, last: int) -> list[str]:
        return [f"{encoder}.{level}.{part}" for level in range(first, last) for encoder in encoders]

    blocks = [f"decoder.blocks.{number}" for number in range(levels - 1)]
    return {_CONV: [f"{encoder}.0" for encoder in encoders] + downs("conv", 1, levels) + ["decoder.picture"],
            _NORM: downs("norm", 1, levels - 1) + [f"{block}.norm" for block in blocks],
            _UP: [f"{block}.conv" for block in blocks]}


def _discriminator_modules(convs: int) -> dict[str, list[str]]:
    return {_CONV: ["conv"] + [f"blocks.{number}.conv" for number in range(convs - 1)],
            _NORM: [f"blocks.{number}.norm" for number in range(convs - 2)]}


def from_keras(tensors: StateDict, layers: Mapping[str, str]) -> dict[str, Tensor]:
    """Keras' names and layouts to ours. `layers`: our module -> the layer.

    Kernels [height,width,in,out] become [out,in,height,width]; of transposed convolutions [height,width,out,
    in] becomes [in,out,height,width]. What has no place keeps its name, for the strict check to find.
    """
    modules = {layer: module for module, layer in layers.items()}
    state = {}
    for key, value in tensors.items():
        layer, _, parameter = key.rpartition("/")
        known = layer in modules and parameter in _PARAMETERS
        name = f"{modules[layer]}.{_PARAMETERS[parameter]}" if known else key
        state[name] = value.permute(3, 2, 0, 1) if known and value.ndim == 4 else value
    return state


def option(metadata: Mapping[str, str], name: str) -> str:
    """What the file says of an entry of OPTIONS. Raises ValueError for what nobody knows."""
    known = OPTIONS[name]
    value = metadata.get(name, known[0])
    if value not in known:
        raise ValueError(f"The file says its {name} is {value!r}; known are {' and '.join(known)}.")
    return value


def read_config(state: StateDict, metadata: Mapping[str, str] | None = None) -> Config:
    """Hyper-parameters from the shapes. Raises ValueError where they cannot be told."""
    if _GENERATOR[0] not in state:
        raise ValueError(f"The weights do not fit a {TITLE}: its {sum(map(len, _layers(state).values()))} "
                         "layers are those of no published generator (31 or 37, the baseline 21 or 25).")
    levels = 1 + sum(re.fullmatch(r"appearance\.\d+\.conv\.weight", key) is not None for key in state)
    if not 3 <= levels <= _MOST_LEVELS:
        raise ValueError(f"The weights do not fit a {TITLE}: they have {levels} levels, expected are 3 to "
                         f"{_MOST_LEVELS}.")
    widths = [_shape(state, f"appearance.{level}{'.conv' if level else ''}.weight")[0]
              for level in range(levels)]
    joints, background = _inputs(state)
    outputs = _shape(state, "decoder.picture.weight")[0]
    if joints < 1 or outputs not in (3, 4):
        raise ValueError(f"The weights do not fit a {TITLE}: they draw {outputs} planes of {joints} joints, "
                         "a generator draws 3 or 4.")
    return Config(tuple(widths), "pose.0.weight" in state, option(metadata or {}, "fusion"), joints,
                  background, outputs)


def _inputs(state: StateDict) -> tuple[int, bool]:
    """The number of joints, and whether the target's background is given, by what the encoders take."""
    planes = _shape(state, "appearance.0.weight")[1]
    if "pose.0.weight" in state:                          # a picture and its joints; joints and background
        return planes - 3, _shape(state, "pose.0.weight")[1] != planes - 3
    background = planes % 2 == 0                          # a picture, twice the joints, perhaps a background
    return (planes - (6 if background else 3)) // 2, background


def _shape(state: StateDict, name: str) -> torch.Size:
    if name not in state or state[name].ndim != 4 or 0 in state[name].shape:
        raise ValueError(f"The weights do not fit a {TITLE}: {name} is missing or of an impossible shape.")
    return state[name].shape


def read_generator(state: StateDict, metadata: Mapping[str, str] | None = None) -> Generator:
    """State dict -> the plain generator in evaluation mode; it holds its `config`.

    Raises ValueError for a discriminator, for odd metadata, and with a readable difference when names or
    shapes do not fit.
    """
    if _DISCRIMINATOR[0] in state:
        raise ValueError(f"It holds the discriminator of a {TITLE}, which only training needs; choose the "
                         "generator's file.")
    config = read_config(state, metadata)
    for name in OPTIONS:
        option(metadata or {}, name)
    with torch.inference_mode(False), torch.no_grad():
        with torch.device("meta"):
            net = Generator(config)
        check_state({name: value.shape for name, value in net.state_dict().items()}, state, TITLE)
        net.load_state_dict({name: value.float().contiguous() for name, value in state.items()}, assign=True)
    return net.eval().requires_grad_(False)


def build(state: StateDict, metadata: Mapping[str, str] | None = None) -> FastGenerator:
    """State dict -> the fast generator; raises ValueError as `read_generator` does."""
    with torch.inference_mode(False):
        return FastGenerator(read_generator(state, metadata))


SYSTEM = System(name="deformable", title=TITLE, role="transfer", select=select, build=build)
