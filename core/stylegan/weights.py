"""StyleGAN2 files: recognising them, hyper-parameters from shapes, published keys to ours, strict loading.

Known are NVIDIA's pickles of the PyTorch and the TensorFlow programs, rosinality's `.pt` files, and flat
state dicts in NVIDIA's names. Only the averaged generator counts; trainers may ask for the discriminator,
too. What the tensors do not tell is in the metadata: `arguments` and `discriminator_arguments`, JSON texts of
the constructors' arguments, as in NVIDIA's files.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count, takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.strict import check_state
from ..checkpoints.system import StateDict, System
from ..equalised import binomial_filter
from ..mapping import LatentMapping
from . import layouts
from .discriminator import Discriminator, DiscriminatorConfig
from .fast import FastGenerator
from .layers import PLAIN, RESNET, SKIP
from .network import Config, Generator

TITLE, JUDGE = "StyleGAN2 generator", "StyleGAN2 discriminator"
W_AVG = "mapping.w_avg"
_AVERAGED, _JUDGES = ("G_ema", "g_ema"), ("D", "d")       # names in trainers' files
_MARKS = ("synthesis.b4.const", "synthesis.b4.conv1.affine.weight", "mapping.fc0.weight")
_PORT_MARKS = ("input.input", "conv1.conv.modulation.weight", "style.1.weight")
_FIRST_MARKS = ("synthesis/4x4/Const/const", "synthesis/4x4/Conv/mod_weight", "mapping/Dense0/weight")
_FILTER = "resample_filter"
_CLAMP = 256.0                                            # of NVIDIA's later program where it lists none
_GROUP = 4                                                # of pictures compared by the discriminator
_SAMPLES = 4096                                           # for the mean latent of files without one


def select(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The averaged generator of a file, or a flat state dict, in our names; None when it is neither."""
    tensors = _inside(tree, _AVERAGED)
    if all(mark in tensors for mark in _MARKS):
        return tensors
    if all(mark in tensors for mark in _FIRST_MARKS):
        return layouts.from_first(tensors)
    if all(mark in tensors for mark in _PORT_MARKS):
        mean = tree.get("latent_avg")
        return layouts.from_port(tensors | ({"latent_avg": mean} if isinstance(mean, Tensor) else {}))
    return None


def select_discriminator(tree: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The discriminator of a file, or a flat state dict, in our names; None when it is neither."""
    tensors = _inside(tree, _JUDGES)
    if "b4.out.weight" in tensors:
        return tensors
    if "4x4/Dense0/weight" in tensors:
        return layouts.discriminator_from_first(tensors)
    if "final_linear.1.weight" in tensors:
        return layouts.discriminator_from_port(tensors)
    return None


def _inside(tree: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Tensor]:
    nested = next((tree[name] for name in names if isinstance(tree.get(name), Mapping)), tree)
    return {key: value for key, value in nested.items() if isinstance(value, Tensor)}


def read_config(state: StateDict, metadata: Mapping[str, str] | None = None) -> Config:
    """Hyper-parameters from the shapes. Raises ValueError where they cannot be told."""
    shapes = _Shapes(state, TITLE)
    labels, embed = shapes.label()
    channels = shapes.widths(4, (f"synthesis.b{4 << index}.conv1.weight" for index in count()))
    _, height, width = shapes["synthesis.b4.const", 3]
    return Config(
        channels=channels, start=(height, width), z=shapes["mapping.fc0.weight", 2][1] - embed,
        labels=labels, embed=embed, mapping=shapes.mapping(),
        image_channels=shapes[f"synthesis.b{2 << len(channels)}.torgb.weight", 4][0],
        architecture=(SKIP if "synthesis.b4.torgb.weight" in state else
                      RESNET if "synthesis.b8.skip.weight" in state else PLAIN),
        noise="synthesis.b4.conv1.noise_strength" in state, conv_clamp=_conv_clamp(metadata or {}))


def read_discriminator_config(state: StateDict,
                              metadata: Mapping[str, str] | None = None) -> DiscriminatorConfig:
    """The same for a discriminator."""
    shapes, arguments = _Shapes(state, JUDGE), _arguments(metadata or {}, "discriminator_arguments")
    labels, embed = shapes.label()
    channels = (shapes["b4.conv.weight", 4][0],
                *shapes.widths(4, (f"b{8 << index}.conv0.weight" for index in count())))
    group = _option(arguments, "epilogue_kwargs", "mbstd_group_size")
    return DiscriminatorConfig(
        channels=channels, start=(4, shapes["b4.fc.weight", 2][1] // (4 * channels[0])),
        labels=labels, embed=embed, mapping=shapes.mapping() if labels else (),
        image_channels=shapes[f"b{2 << len(channels)}.fromrgb.weight", 4][1],
        architecture=(SKIP if "b4.fromrgb.weight" in state else
                      RESNET if "b8.skip.weight" in state else PLAIN),
        group=int(group or _GROUP), conv_clamp=_option(arguments, "", "conv_clamp"))


class _Shapes:
    """Shapes of a state dict by name and rank; ValueError for those that are not there."""

    def __init__(self, state: StateDict, title: str) -> None:
        self.state, self.title = state, title

    def __getitem__(self, key: tuple[str, int]) -> torch.Size:
        name, rank = key
        shape = self.state[name].shape if name in self.state else torch.Size()
        if len(shape) != rank or 0 in shape:
            raise ValueError(f"The weights do not fit a {self.title}: {name} is missing or of an impossible "
                             "shape.")
        return shape

    def widths(self, rank: int, names: Iterator[str]) -> tuple[int, ...]:
        """Outputs of a row of layers, at least one, up to the first name that is not there."""
        first = self[next(names), rank][0]
        return first, *(self[name, rank][0] for name in takewhile(self.state.__contains__, names))

    def label(self) -> tuple[int, int]:
        """Number of classes and width of their embedding, 0 without classes."""
        if "mapping.embed.weight" not in self.state:
            return 0, 0
        embed, labels = self["mapping.embed.weight", 2]
        return labels, embed

    def mapping(self) -> tuple[int, ...]:
        """Outputs of the mapping layers."""
        return self.widths(2, (f"mapping.fc{index}.weight" for index in count()))


def _arguments(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(key, "{}"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"The metadata entry {key} is no JSON object.")
    return found


def _option(arguments: Mapping[str, Any], group: str, name: str) -> float | None:
    """A positive number among the arguments, or among those of a part of the network."""
    inner = arguments.get(group)
    value = (inner if isinstance(inner, dict) else arguments).get(name)
    return value if isinstance(value, (int, float)) and value > 0 else None


def _conv_clamp(metadata: Mapping[str, str]) -> float | None:
    """NVIDIA's later program lists the synthesis network's arguments beside the others, without defaults."""
    arguments = _arguments(metadata, "arguments")
    later = "img_resolution" in arguments and "synthesis_kwargs" not in arguments
    if later and "conv_clamp" not in arguments:
        return _CLAMP
    return _option(arguments, "synthesis_kwargs", "conv_clamp")


def read_generator(state: StateDict, metadata: Mapping[str, str] | None = None) -> Generator:
    """State dict -> the plain generator in evaluation mode, sharing the tensors' memory.

    Raises ValueError with a readable difference when names or shapes do not fit.
    """
    config = read_config(state, metadata)
    with torch.device("meta"):
        generator = Generator(config)
    fill(generator, {W_AVG: torch.zeros(config.w)} | dict(state), TITLE)
    if W_AVG not in state:
        generator.mapping.w_avg.copy_(mean_latent(generator.mapping))
    return generator


def read_discriminator(state: StateDict, metadata: Mapping[str, str] | None = None) -> Discriminator:
    """The same for a discriminator."""
    with torch.device("meta"):
        discriminator = Discriminator(read_discriminator_config(state, metadata))
    fill(discriminator, state, JUDGE)
    return discriminator


@torch.no_grad()
def mean_latent(mapping: LatentMapping, seed: int = 0) -> Tensor:
    """The mean w [W] of some thousand z."""
    z = torch.randn(_SAMPLES, mapping.z, generator=torch.Generator().manual_seed(seed))
    return mapping.map(z).mean(0)


def fill(module: nn.Module, state: StateDict, title: str) -> None:
    """Gives a module on the meta device its tensors. Files repeat the one filter in every layer."""
    for name, value in state.items():
        if name.endswith(_FILTER) and not is_binomial(value):
            raise ValueError(f"The weights do not fit a {title}: {name} is not made of 1, 3, 3, 1.")
    own = {name: value.float() for name, value in state.items() if not name.endswith(_FILTER)}
    check_state({name: value.shape for name, value in module.state_dict().items()}, own, title)
    module.load_state_dict(own, assign=True)
    module.eval().requires_grad_(False)


def is_binomial(value: Tensor) -> bool:
    return value.shape == (4, 4) and torch.allclose(value.float().cpu(), binomial_filter())


def build(state: StateDict, metadata: Mapping[str, str]) -> FastGenerator:
    """The network as users run it; its `generator` is the plain form."""
    with torch.inference_mode(False), torch.no_grad():
        return FastGenerator(read_generator(state, metadata))


SYSTEM = System(name="stylegan", title=TITLE, role="generator", select=select, build=build)
