"""TriA-GAN files: recognising them, hyper-parameters from shapes, published keys to ours, strict loading.

Published files come from the trainer: a dict of generators, discriminators and optimisers. Only the averaged
generator counts. Metadata of our own files: `latent` = "normal" (default) or "identity" (z describes a
procedural person, see `core.synthetic.identity_vector`), `size` = "144x80" for networks without stored noise.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from ..equalised import binomial_filter
from .fast import FastGenerator
from .network import Config, Generator

TITLE = "TriA-GAN person inpainter"
GENERATORS = ("EMA_generator", "running_average_generator")
MARKS = ("style_net.fc0.weight", "from_rgb.weight", "encoder.layers.0.0.conv0.affine_beta.weight")
CENTRES = "style_net.w_centers"
LATENTS = ("normal", "identity")
# Channels of the first convolution -> (segmentation planes, keypoint planes, joint map planes).
INPUTS = {5 + 2 * segmentation + keypoints + 6 * joints: (segmentation, keypoints, joints)
          for keypoints in (0, 3, 17) for segmentation in (False, True) for joints in (False, True)}


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The averaged generator of a trainer file, or a flat state dict as it is; None when it is neither."""
    nested = next((tree[key] for key in GENERATORS if isinstance(tree.get(key), Mapping)), None)
    source = tree if nested is None else nested
    state = {key: value for key, value in source.items() if isinstance(value, Tensor)}
    if any(mark not in state for mark in MARKS):
        return None
    if isinstance(tree.get("w_centers"), Tensor):
        state.setdefault(CENTRES, tree["w_centers"])
    return _rename_to_rgb(state)


def _rename_to_rgb(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Older runs kept an output layer per level, `decoder.to_rgb.N`; the highest resolution is used."""
    highest = _count(state, r"decoder\.to_rgb\.(\d+)\.") - 1
    if highest < 0:
        return state
    return {key.replace(f"to_rgb.{highest}.", "to_rgb."): value for key, value in state.items()
            if not re.match(r"decoder\.to_rgb\.\d+\.", key) or key.startswith(f"decoder.to_rgb.{highest}.")}


def read_config(state: StateDict, metadata: Mapping[str, str] | None = None) -> Config:
    """Hyper-parameters from the shapes. Raises ValueError where they cannot be told."""
    try:
        return _read_config(state, metadata or {})
    except (KeyError, IndexError) as error:
        raise ValueError(f"The weights do not fit a {TITLE}: {error} is missing.") from error


def _read_config(state: StateDict, metadata: Mapping[str, str]) -> Config:
    levels, blocks, middle = (_count(state, pattern) for pattern in (
        r"encoder\.layers\.(\d+)\.", r"encoder\.layers\.0\.(\d+)\.", r"decoder\.middle_blocks\.(\d+)\."))
    channels = state["from_rgb.weight"].shape[1]
    if channels not in INPUTS:
        raise ValueError(f"The weights do not fit a {TITLE}: its first layer takes {channels} planes, "
                         f"known are {', '.join(map(str, sorted(INPUTS)))}.")
    segmentation, keypoints, joints = INPUTS[channels]
    noise = state.get(f"decoder.layers.{levels - 1}.0.conv0.noise_const")
    w, z = state["style_net.fc0.weight"].shape
    centres = state.get(CENTRES)
    return Config(
        dims=tuple(state[f"encoder.layers.{i}.0.conv0.weight"].shape[0] for i in reversed(range(levels))),
        height=noise.shape[0] if noise is not None else _metadata_size(metadata)[0],
        width=noise.shape[1] if noise is not None else _metadata_size(metadata)[1],
        blocks=blocks, middle_blocks=middle, z=z, w=w, noise=noise is not None,
        layer_scale="encoder.layers.0.0.layer_scale" in state, use_segmentation=segmentation,
        keypoint_channels=keypoints, use_joint_map=joints, w_centers=0 if centres is None else len(centres))


def _count(state: StateDict, pattern: str) -> int:
    """One more than the highest number at the group of `pattern`."""
    return 1 + max((int(match[1]) for match in map(re.compile(pattern).match, state) if match), default=-1)


def _metadata_size(metadata: Mapping[str, str]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", metadata.get("size", ""))
    if match is None:
        raise ValueError("The network stores no noise, so its picture size is unknown: give the file a "
                         "metadata entry size, such as 144x80 (height x width).")
    return int(match[1]), int(match[2])


def read_generator(state: StateDict, metadata: Mapping[str, str] | None = None) -> Generator:
    """State dict -> the plain generator in evaluation mode, sharing the tensors' memory.

    Raises ValueError with a readable difference when names or shapes do not fit.
    """
    config = read_config(state, metadata)
    with torch.inference_mode(False), torch.no_grad():
        with torch.device("meta"):
            generator = Generator(config)
        check_state({name: value.shape for name, value in generator.state_dict().items()}, state, TITLE)
        for name in ("encoder.downsample.resample_filter", "decoder.upsample.resample_filter"):
            if not torch.allclose(state[name].float().cpu(), binomial_filter()):
                raise ValueError(f"The weights do not fit a {TITLE}: {name} is not made of 1, 3, 3, 1.")
        generator.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return generator.eval().requires_grad_(False)


def build(state: StateDict, metadata: Mapping[str, str]) -> FastGenerator:
    """The network as users run it. `metadata["latent"]` says what its z means."""
    latent = metadata.get("latent", "normal")
    if latent not in LATENTS:
        raise ValueError(f"The file says its latent is {latent!r}; known are {' and '.join(LATENTS)}.")
    with torch.inference_mode(False):
        return FastGenerator(read_generator(state, metadata))


SYSTEM = System(name="triagan", title=TITLE, role="inpainter", select=select, build=build)
