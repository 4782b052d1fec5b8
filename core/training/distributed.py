"""Data parallel training with torchrun: every process draws its share of the batch, gradients are averaged.

Averaging is explicit, one flat all-reduce per optimiser step, instead of DistributedDataParallel: an
adversarial task may then call its networks in any order, and a step on n processes equals a step with n times
the batch.
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """The processes of one run. All methods are collective and do nothing in a run of one process."""

    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and draws the progress bar."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
        dist.all_reduce(flat)
        means = (flat / self.world).split([t.numel() for t in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def copy_from_main(self, modules: Iterable[nn.Module]) -> None:
        """Starts every process from the weights of the first one."""
        if self.world > 1:
            for module in modules:
                for tensor in module.state_dict().values():
                    dist.broadcast(tensor, 0)

    def agree(self, progress: float, stop: bool, device: torch.device) -> tuple[float, bool]:
        """The first process's `progress`, and whether anybody wants to stop: clocks and signals differ."""
        if self.world == 1:
            return progress, stop
        clock = progress if self.is_main else 0.0
        votes = torch.tensor([clock, float(stop)], device=device, dtype=torch.float64)
        dist.all_reduce(votes)
        return float(votes[0]), bool(votes[1] > 0)


def local_device(wanted: str | None) -> str | None:
    """`wanted`, or this process's own GPU when torchrun started one process per GPU, or None for the
    default."""
    local = os.environ.get("LOCAL_RANK")
    return f"cuda:{local}" if wanted is None and local is not None and torch.cuda.is_available() else wanted


@contextlib.contextmanager
def join(device: torch.device) -> Iterator[Group]:
    """The group torchrun started this process in (its RANK and WORLD_SIZE), or a group of one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), world)
        dist.barrier()
    finally:
        dist.destroy_process_group()
