"""A toy system, so that these tests need no real network, and classes that pickle as NVIDIA's do."""
from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from anyone.core.checkpoints import System, check_state
from torch import nn


def _select(tree):
    state = tree.get("EMA", tree.get("G_ema", tree))
    return dict(state) if isinstance(state, dict) and "linear.weight" in state else None


def _build(state, metadata):
    outputs, inputs = state["linear.weight"].shape
    module = nn.Sequential()
    module.add_module("linear", nn.Linear(inputs, outputs))
    check_state({name: value.shape for name, value in module.state_dict().items()}, state, "toy painter")
    module.load_state_dict(state)
    return module.eval()


TOY = System("toy", "toy painter", "inpainter", _select, _build)


@pytest.fixture
def toy_system(monkeypatch):
    """The only system there is: `linear.weight` and `linear.bias`, alone or under `EMA` or `G_ema`."""
    recognise = importlib.import_module("anyone.core.checkpoints.recognise")
    monkeypatch.setattr(recognise, "systems", lambda: (TOY,))
    return TOY


@pytest.fixture
def toy_state():
    generator = torch.Generator().manual_seed(3)
    return {"linear.weight": torch.randn(2, 3, generator=generator),
            "linear.bias": torch.randn(2, generator=generator)}


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the source text of the file would run here")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """A network of the PyTorch programs: tensors, buffers that are not saved, networks inside, arguments."""

    def __init__(self, parameters=(), buffers=(), hidden=(), inside=(), **arguments):
        self.attributes = {
            "training": False, "_parameters": dict(parameters), "_buffers": {**dict(buffers), **dict(hidden)},
            "_non_persistent_buffers_set": set(dict(hidden)), "_modules": dict(inside),
            "_init_args": (), "_init_kwargs": arguments, "name": "x"}

    def __reduce__(self):
        return _reconstruct_persistent_obj, ({
            "type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "Generator",
            "state": self.attributes},)


class Network:
    """A network of the TensorFlow programs."""

    __module__ = "dnnlib.tflib.network"

    def __init__(self, variables=(), components=(), **arguments):
        self.version, self.name, self.build_module_src, self.build_func_name = 4, "G", "raise SystemExit", "f"
        self.variables, self.components, self.static_kwargs = list(variables), dict(components), arguments


class EasyDict(dict):
    __module__ = "dnnlib.util"


@pytest.fixture
def nvidia(monkeypatch):
    """`Persistent`, `Network` and `EasyDict`, to be pickled under the names that NVIDIA's programs use."""
    for thing in (_reconstruct_persistent_obj, Network, EasyDict):
        for package in (thing.__module__.partition(".")[0], thing.__module__):
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setattr(sys.modules[thing.__module__], thing.__name__, thing, raising=False)
    return SimpleNamespace(Persistent=Persistent, Network=Network, EasyDict=EasyDict)
