"""A toy system, so that these tests need no real network."""
from __future__ import annotations

import importlib

import pytest
import torch
from anyone.core.checkpoints import System, check_state
from torch import nn


def _select(tree):
    state = tree.get("EMA", tree)
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
    """The only system there is; its weights are `linear.weight` and `linear.bias`, alone or under `EMA`."""
    recognise = importlib.import_module("anyone.core.checkpoints.recognise")
    monkeypatch.setattr(recognise, "systems", lambda: (TOY,))
    return TOY


@pytest.fixture
def toy_state():
    generator = torch.Generator().manual_seed(3)
    return {"linear.weight": torch.randn(2, 3, generator=generator),
            "linear.bias": torch.randn(2, generator=generator)}
