"""Generators tuned to one picture, kept as the difference to the generator they were made of.

The difference is added to the loaded generator while somebody draws with it and taken away afterwards, so
that one copy serves everybody.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..checkpoints.read import read
from ..checkpoints.system import LoadedNet
from ..files import atomic_write
from .fast import FastGenerator, tap_energy
from .latents import identity_of

_KIND = "stylegan delta"


@dataclass(frozen=True, eq=False)
class Delta:
    """What tuning changed.

    `changes`: names of the plain generator's parameters -> what to add to them, float16, only those that
    changed. `generator`, `identity`: of the generator they are to be added to, as those of `Latent`.
    """

    changes: Mapping[str, Tensor]
    generator: str
    identity: str

    def __repr__(self) -> str:
        size = sum(change.numel() * change.element_size() for change in self.changes.values())
        return f"<Delta of {self.generator}, {len(self.changes)} tensors, {size / 1e6:.1f} MB>"


@dataclass(frozen=True, eq=False)
class TunedNet:
    """A loaded generator and what is to be added to it. Raises ValueError when they do not fit."""

    net: LoadedNet
    delta: Delta

    def __post_init__(self) -> None:
        module = self.net.module
        if not isinstance(module, FastGenerator):
            raise ValueError(f"{self.net.name} is a {self.net.system.title}; only StyleGAN2 generators can "
                             "be tuned.")
        own = dict(module.generator.named_parameters())
        strange = [name for name, change in self.delta.changes.items()
                   if name not in own or own[name].shape != change.shape]
        if strange or self.delta.identity != identity_of(module.mapping):
            raise ValueError(f"The tuning was made for {self.delta.generator} and does not fit "
                             f"{self.net.name}; load the generator that was tuned.")

    @property
    def name(self) -> str:
        return f"{self.net.name}, tuned"


@contextlib.contextmanager
def borrowed(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Parameters and buffers that may be changed and trained meanwhile; afterwards they are what they were,
    bit by bit."""
    before = [(tensor, tensor.data) for tensor in tensors]
    try:
        for tensor, values in before:
            tensor.data = values.clone()
        yield
    finally:
        for tensor, values in before:
            tensor.data, tensor.grad = values, None
            tensor.requires_grad_(False)


@contextlib.contextmanager
def applied(module: FastGenerator, delta: Delta) -> Iterator[None]:
    """The generator as tuned, in both its forms. Only what changed is there twice meanwhile."""
    own = dict(module.generator.named_parameters())
    energies = {name: layer for name, layer in module.convs()
                if any(own[key] is layer.weight for key in delta.changes)}
    buffers = {name: module.get_buffer(name) for name in energies}
    with borrowed([*(own[key] for key in delta.changes), *buffers.values()]):
        for key, change in delta.changes.items():
            own[key].add_(change.to(own[key]))
        for name, layer in energies.items():
            buffers[name].copy_(tap_energy(layer))
        yield


def difference(tuned: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The `changes` of a `Delta`, on the CPU."""
    changes = {name: (value.detach() - before[name]).half().cpu() for name, value in tuned.items()}
    return {name: change for name, change in changes.items() if change.any()}


def save_delta(delta: Delta, path: Path) -> None:
    """Writes a safetensors file."""
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({name: change.contiguous() for name, change in delta.changes.items()}, temporary,
                  {"kind": _KIND, "generator": delta.generator, "identity": delta.identity})


def load_delta(path: Path) -> Delta:
    """The opposite of `save_delta`. Raises FileNotFoundError or ValueError with one sentence."""
    contents = read(path)
    if contents.metadata.get("kind") != _KIND:
        raise ValueError(f"{path.name} holds no tuning of a generator; choose a file that this pack saved as "
                         "such.")
    changes = {name: value.clone() for name, value in contents.tree.items()}
    broken = [name for name, value in changes.items()
              if not value.is_floating_point() or not value.isfinite().all()]
    if broken:
        raise ValueError(f"{path.name} cannot be used: {broken[0]} holds NaN, infinite or whole numbers.")
    return Delta(changes, contents.metadata.get("generator", "an unknown generator"),
                 contents.metadata.get("identity", ""))
