"""Pickled networks of NVIDIA's StyleGANs: inert records -> state dicts and arguments.

PyTorch's pickles hold "persistent" objects: the source text of a class (never looked at), its name, its
constructor's arguments and its attributes. TensorFlow's hold a tuple of three networks: arrays and arguments.
"""
from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from mmap import mmap
from typing import Any

from torch import Tensor

from .numpy_records import to_tensor
from .pickle_machine import Record

_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_NETWORK = "dnnlib.tflib.network.Network"
_MARKS = (b"torch_utils.persistence", b"dnnlib.tflib.network")
_ALLOWED = frozenset({
    _PERSISTENT, _NETWORK, "dnnlib.util.EasyDict", "collections.OrderedDict", "builtins.set",
    "_codecs.encode", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state", "torch.storage._load_from_bytes",
    "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct",
})
_THREE = ("G", "D", "G_ema")                              # what TensorFlow's tuple holds, in PyTorch's names
_ARGUMENTS = {"G_ema": "arguments", "D": "discriminator_arguments"}
_LARGEST_STATE = 4                                        # bytes of tensors per byte of the file
_MOST_PARTS = 1 << 16                                     # modules and tensors of one network
_LONGEST_NAME = 256
_DEEPEST = 16                                             # containers within arguments


def allowed_names(pickled: bytes | mmap, more: Collection[str] = ()) -> Collection[str] | None:
    """The only names that a pickle of NVIDIA's may ask for, with `more`; None for any other pickle."""
    return _ALLOWED.union(more) if any(pickled.find(mark) >= 0 for mark in _MARKS) else None


def networks(value: Any, size: int) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The tree and the metadata of a pickled `value` that holds networks; None for any other.

    Tree: a flat state dict for every network ("G", "D", "G_ema", ...), everything else as it is; a network
    that is alone is "G_ema". PyTorch's tensors are named "mapping.fc0.weight", TensorFlow's
    "mapping/Dense0/weight". Metadata: the "arguments" of the averaged generator and
    "discriminator_arguments", as JSON texts with the file's own names. `size` of the file in bytes. Raises
    ValueError for networks that make no sense or claim more tensors than the file has.
    """
    named = _named(value)
    found = {name: part for name, part in named.items() if _is_network(part)}
    try:
        return _unfold(named, found, size) if found else None
    except (AttributeError, IndexError, KeyError, TypeError) as error:    # anything may stand there
        raise ValueError("its networks are incomplete or damaged") from error


def _unfold(named: Mapping[str, Any], found: Mapping[str, Record], size: int) -> tuple[dict, dict]:
    texts = {key: json.dumps(_plain(_arguments(found[name]), _Budget(_MOST_PARTS)))
             for name, key in _ARGUMENTS.items() if name in found}
    room = _Budget(_LARGEST_STATE * size)
    return {**named, **{name: _state_dict(network, room) for name, network in found.items()}}, texts


class _Budget:
    """Records may contain each other over and over, or themselves: what is made of them is counted."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise ValueError("its networks claim more parts than the file has")


def _named(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if isinstance(name, str)}
    if isinstance(value, tuple) and len(value) == len(_THREE):
        return dict(zip(_THREE, value, strict=True))
    return {"G_ema": value}


def _is_network(value: Any) -> bool:
    return isinstance(value, Record) and value.path in (_PERSISTENT, _NETWORK)


def _state_dict(network: Record, room: _Budget) -> dict[str, Tensor]:
    """A network's tensors by their full names, its own first, then those of the networks inside."""
    parts = _Budget(_MOST_PARTS)
    state: dict[str, Tensor] = {}
    waiting = [("", network)]
    while waiting:
        prefix, module = waiting.pop()
        own, inside, separator = _parts(module)
        parts.spend(1 + len(own) + len(inside))
        if len(prefix) > _LONGEST_NAME:
            raise ValueError("its networks are nested too deep")
        for name, value in own.items():
            tensor = value if isinstance(value, Tensor) else to_tensor(value)
            if tensor is not None:
                room.spend(tensor.numel() * tensor.element_size())
                state[f"{prefix}{name}"] = tensor
        waiting += [(f"{prefix}{name}{separator}", child)
                    for name, child in reversed(inside.items()) if _is_network(child)]
    return state


def _parts(network: Record) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The variables of a network itself, the networks inside it, and what separates their names."""
    attributes = _attributes(network)
    if network.path == _NETWORK:
        own = {name: value for name, value in attributes["variables"] if isinstance(name, str)}
        return own, _fields(attributes["components"]), "/"
    hidden = attributes.get("_non_persistent_buffers_set")
    hidden = hidden if isinstance(hidden, set) else ()
    buffers = {name: value for name, value in _fields(attributes["_buffers"]).items() if name not in hidden}
    return _fields(attributes["_parameters"]) | buffers, _fields(attributes["_modules"]), "."


def _attributes(network: Record) -> dict[str, Any]:
    return _fields(network.state if network.path == _NETWORK else _fields(*network.args)["state"])


def _arguments(network: Record) -> dict[str, Any]:
    return _fields(_attributes(network)["static_kwargs" if network.path == _NETWORK else "_init_kwargs"])


def _fields(value: Any) -> dict[str, Any]:
    """The entries of a dict, or of a record of a class derived from it."""
    entries = value.entries if isinstance(value, Record) else value
    return {name: entry for name, entry in entries.items() if isinstance(name, str)}


def _plain(value: Any, budget: _Budget, depth: int = 0) -> Any:
    """What JSON can hold of arguments; None for the rest."""
    budget.spend(1)
    if depth > _DEEPEST:
        raise ValueError("its arguments are nested too deep")
    if isinstance(value, (list, tuple)):
        return [_plain(item, budget, depth + 1) for item in value]
    if isinstance(value, (dict, Record)):
        fields = _fields(value)
        budget.spend(sum(map(len, fields)))
        return {name: _plain(entry, budget, depth + 1) for name, entry in fields.items()}
    if isinstance(value, str):
        budget.spend(len(value))
    return value if value is None or isinstance(value, (bool, int, float, str)) else None
