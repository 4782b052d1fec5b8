"""SEAN files: recognising them, hyper-parameters from shapes, published keys to ours, strict loading.

Published are a generator with its encoder (`latest_net_G.pth`), a discriminator (`latest_net_D.pth`), and
SPADE's generators, which are read as SEAN without styles. Metadata of our own files: `size` = "256x256"
(height x width of the pictures, which no tensor tells), `upsampling` = "normal" or "more", `regions` = the
names of the labels with commas between.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from ..regions import FACE_REGIONS, PERSON_REGIONS
from .fast import FastGenerator
from .network import MIDDLE, Config, Discriminator, Generator

TITLE = "SEAN region styler"
UPSAMPLINGS = ("normal", "more")
UNKNOWN = "unknown"                                       # the region of what is none of the others
_MARKS = {
    "sean": ("fc.weight", "conv_img.weight", "head_0.ace_0.Spade.mlp_shared.0.weight"),
    "spade": ("fc.weight", "conv_img.weight", "head_0.norm_0.mlp_shared.0.weight"),
    "discriminator": ("discriminator_0.model0.0.weight", "discriminator_1.model3.0.weight"),
}
_UNUSED = re.compile(r".*\.Spade\.param_free_norm\..*|.*\.num_batches_tracked")


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """A flat state dict in our own key names, or None."""
    inside = tree.get("state_dict")
    state = {key.removeprefix("module."): value
             for key, value in (inside if isinstance(inside, Mapping) else tree).items()
             if isinstance(key, str) and isinstance(value, Tensor)}
    kind = next((kind for kind, marks in _MARKS.items() if all(mark in state for mark in marks)), None)
    if kind == "spade":
        state = _from_spade(state)
    return None if kind is None else _used(state)


def _from_spade(state: StateDict) -> dict[str, Tensor]:
    """A SPADE block is a SEAN block without styles whose noise has no strength."""
    renamed = {re.sub(r"\.norm_(\w)\.(?=mlp)", r".ace_\1.Spade.", key).replace(".norm_", ".ace_"): value
               for key, value in state.items()}
    means = {key: value for key, value in renamed.items() if key.endswith(".param_free_norm.running_mean")}
    return renamed | {key.replace("param_free_norm.running_mean", "noise_var"): torch.zeros(value.shape)
                      for key, value in means.items()}


def _used(state: StateDict) -> dict[str, Tensor]:
    """Without what the published files hold but never use: doubled statistics, counters, the blending of
    blocks without styles, and linear layers of labels there are none of."""
    labels = state["fc.weight"].shape[1] if "fc.weight" in state else 0

    def used(key: str) -> bool:
        block, _, name = key.rpartition(".")
        if name.startswith("blending_"):
            return f"{block}.conv_gamma.weight" in state
        layer = re.search(r"\.fc_mu(\d+)\.", key)
        return int(layer[1]) < labels if layer else not _UNUSED.fullmatch(key)

    return {key: value for key, value in state.items() if used(key)}


def read_config(state: StateDict, metadata: Mapping[str, str] | None = None) -> Config:
    """Hyper-parameters from the shapes. Raises ValueError where they cannot be told."""
    try:
        return _read_config(state, metadata or {})
    except (KeyError, IndexError) as error:
        raise ValueError(f"The weights do not fit a {TITLE}: {error} is missing.") from error


def _read_config(state: StateDict, metadata: Mapping[str, str]) -> Config:
    ups = [f"up_{i}" for i in range(sum(key.endswith(".conv_s.weight_orig") for key in state))]
    styled = tuple(f"{stage}.ace_0.conv_gamma.weight" in state for stage in (*MIDDLE, *ups))
    first, encoder = state.get("head_0.ace_0.conv_gamma.weight"), state.get("Zencoder.model.1.weight")
    upsampling = metadata.get("upsampling", "more" if len(ups) > 4 else "normal")
    if upsampling not in UPSAMPLINGS:
        raise ValueError(f"The file says its upsampling is {upsampling!r}; "
                         f"known are {' and '.join(UPSAMPLINGS)}.")
    more = upsampling == "more"
    return Config(
        labels=state["fc.weight"].shape[1],
        dims=(len(state["fc.weight"]), *(len(state[f"{stage}.conv_1.weight_orig"]) for stage in ups)),
        style=0 if first is None else first.shape[1],
        hidden=len(state["head_0.ace_0.Spade.mlp_shared.0.weight"]), styled=styled,
        encoder=0 if encoder is None else len(encoder), more=more,
        start=_start(metadata.get("size"), 2 ** (1 + more + len(ups))))


def _start(size: str | None, enlargement: int) -> tuple[int, int]:
    """The size that the network starts from; 8x8 as published when the file does not tell."""
    if size is None:
        return 8, 8
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if match is None or any(int(side) % enlargement or not int(side) for side in match.groups()):
        raise ValueError(f"The file says its size is {size!r}; it should be height x width, both multiples "
                         f"of {enlargement}.")
    return int(match[1]) // enlargement, int(match[2]) // enlargement


def region_names(metadata: Mapping[str, str], labels: int) -> tuple[str, ...]:
    """Names of the labels: the file's own, else those of the usual sets of that size, else numbers.

    Raises ValueError when the file names another number of regions than the network has.
    """
    if "regions" not in metadata:
        usual = {len(names): names for names in (FACE_REGIONS, PERSON_REGIONS)}
        return usual.get(labels, tuple(f"region {label}" for label in range(labels)))
    names = tuple(metadata["regions"].split(","))
    if len(names) != labels:
        raise ValueError(f"The file names {len(names)} regions, but its network has {labels}.")
    return names


def read_generator(state: StateDict, metadata: Mapping[str, str] | None = None) -> Generator:
    """State dict -> the plain generator in evaluation mode, sharing the tensors' memory.

    Raises ValueError with a readable difference when names or shapes do not fit.
    """
    config = read_config(state, metadata)
    with torch.device("meta"):
        generator = Generator(config)
    return _filled(generator, state)


def read_discriminator(state: StateDict) -> Discriminator:
    """State dict -> the discriminator in evaluation mode; only training needs it."""
    width, inputs = state["discriminator_0.model0.0.weight"].shape[:2]
    with torch.device("meta"):
        discriminator = Discriminator(inputs - 3, width)
    return _filled(discriminator, state)


def _filled(net: Any, state: StateDict) -> Any:
    with torch.inference_mode(False), torch.no_grad():
        shapes = {name: value.shape for name, value in net.state_dict().items()}
        counters = {name: torch.tensor(0) for name in shapes if name.endswith("num_batches_tracked")}
        state = counters | {name: value.float() for name, value in state.items()}
        check_state(shapes, state, TITLE)
        net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def build(state: StateDict, metadata: Mapping[str, str]) -> nn.Module:
    """The network as users run it; of a discriminator's file, the discriminator."""
    if "fc.weight" not in state:
        return read_discriminator(state)
    region_names(metadata, state["fc.weight"].shape[1])
    with torch.inference_mode(False):
        return FastGenerator(read_generator(state, metadata))


SYSTEM = System(name="sean", title=TITLE, role="styler", select=select, build=build)
