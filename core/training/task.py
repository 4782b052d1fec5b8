"""What a system adds to the trainer: its networks, its optimisers and one step."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .distributed import Group

Batch = dict[str, Tensor]
DECAY_FROM = 0.6                                          # part of the budget with the full learning rate
PATIENCE = 20                                             # steps in a row that may fail to be finite


class Task:
    """One system's part of a training run; see `core/<system>/train.py`.

    `modules` are trained and saved, `optimizers` saved with them, `averaged` names the modules that get an
    exponential moving average. A `batch` holds the pool's fields on the device (see `Pool`), pictures 0..1.
    """

    name: str
    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    averaged: tuple[str, ...]

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        """One optimisation step; each loss goes through `context.descend`. Returns scalars for the log."""
        raise NotImplementedError

    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Held-out pictures -> a sheet [rows,columns,3,H,W], 0..1."""
        raise NotImplementedError

    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        """Scores on all held-out pictures, computed once the budget is spent; they go into the card."""
        return {}

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        """What the published file holds: tensors and metadata. By default the first averaged module."""
        return dict(averaged[self.averaged[0]].state_dict()), {}


@dataclass
class Guard:
    """Counts steps with gradients that were not finite; gives up after `PATIENCE` in a row."""

    failed: bool = False                                  # in the step at hand
    in_a_row: int = 0
    skipped: int = 0

    def close_step(self) -> None:
        self.in_a_row = self.in_a_row + 1 if self.failed else 0
        self.skipped += self.failed
        self.failed = False
        if self.in_a_row >= PATIENCE:
            raise FloatingPointError(f"The loss was not finite {PATIENCE} steps in a row.")


@dataclass(frozen=True)
class StepContext:
    """Where the run stands, for one step. `progress`: 0..1 of the budget. `images`: seen before this step,
    over all processes. `generator`: a CPU generator that depends on seed, step and process only."""

    step: int
    images: int
    progress: float
    device: torch.device
    generator: torch.Generator
    bf16: bool = False
    group: Group = field(default_factory=Group)
    guard: Guard = field(default_factory=Guard)

    def autocast(self) -> AbstractContextManager:
        """bfloat16 where the run asked for it. Keep losses, warps and statistics outside (`.float()`)."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def every(self, steps: int) -> bool:
        """For lazy regularisers: true on one step in `steps`; scale the term by `steps`."""
        return self.step % steps == 0

    @property
    def decay(self) -> float:
        """Factor of the learning rate: 1, then falling to 0 over the last 40 % of the budget."""
        return min(1.0, max(0.0, (1 - self.progress) / (1 - DECAY_FROM)))

    def descend(self, optimizer: Optimizer, loss: Tensor, *, lr: float | None = None,
                max_norm: float = float("inf")) -> bool:
        """One optimiser step down `loss`, gradients averaged over the processes and cut to `max_norm`.

        Only the optimiser's own parameters receive gradients: a generator step leaves the discriminator
        alone. `lr`: full learning rate, None = the one the optimiser was made with; `decay` is applied to it.
        False when the gradients were not finite and nothing was changed.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)
        self.group.average([p.grad for p in parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(parameters, max_norm)
        if not norm.isfinite():
            self.guard.failed = True
            return False
        for group in optimizer.param_groups:
            group["lr"] = self.decay * (group.setdefault("initial_lr", group["lr"]) if lr is None else lr)
        optimizer.step()
        return True
