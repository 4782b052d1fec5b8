"""Saving and continuing a run, and the weights it gives to the world."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import check_state, read
from ..files import atomic_write
from .ema import Ema
from .task import Task


@dataclass
class Position:
    """How far a run is. Sampler and random numbers are functions of it, so nothing else needs saving."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0


def save_state(path: Path, task: Task, ema: Ema, position: Position) -> None:
    """Everything that continuing needs, whole or not at all.

    Raises FloatingPointError, and leaves the last file, when a weight or running statistic is not finite.
    """
    modules = {name: module.state_dict() for name, module in task.modules.items()}
    for name, state in modules.items():
        broken = [key for key, t in state.items() if t.is_floating_point() and not torch.isfinite(t).all()]
        if broken:
            raise FloatingPointError(f"{name}.{broken[0]} is not finite.")
    content = {
        "position": asdict(position),
        "modules": modules,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in task.optimizers.items()},
        "ema": {name: module.state_dict() for name, module in ema.averaged.items()},
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def load_state(path: Path, task: Task, ema: Ema, device: torch.device) -> Position:
    """Fills task and averages; raises ValueError when the file belongs to other networks."""
    content = torch.load(path, map_location=device, weights_only=True)
    try:
        for name, state in content["modules"].items():
            task.modules[name].load_state_dict(state)
        for name, state in content["optimizers"].items():
            task.optimizers[name].load_state_dict(state)
        for name, state in content["ema"].items():
            ema.averaged[name].load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not fit the networks of this run: {error}. Repeat the options the run "
                         "was started with, or choose another --out.") from error
    return Position(**content["position"])


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A float16 safetensors file; whole numbers keep their type."""
    from safetensors.torch import save_file

    half = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    with atomic_write(path) as temporary:
        save_file({name: t.cpu().contiguous().clone() for name, t in half.items()}, temporary, dict(metadata))


def save_card(path: Path, card: Mapping[str, Any]) -> None:
    """What the file beside the weights says about them."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def start_from(path: Path, net: nn.Module) -> None:
    """Fills a network with another run's weights. Raises ValueError when they are of another network."""
    state = {key: value.float() for key, value in read(path).tree.items()}
    shapes = {key: value.shape for key, value in net.state_dict().items()
              if not key.endswith("num_batches_tracked")}
    check_state(shapes, state, f"network like that of {path}")
    net.load_state_dict(state, strict=False)
