"""What a drag did, step by step."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ARRIVED, EXHAUSTED, STOPPED, DIVERGED = "arrived", "steps used up", "stopped", "diverged"


@dataclass(frozen=True, eq=False)
class DragStep:
    """One look at the picture, before the update that follows.

    `rows`: [E,W], the part of the latent that changes, on the CPU. `handles`: [N,2] x, y, whole pixels of
    the picture, where the handles were found. `active`: how many still pull. `motion`, `fixed`: the two terms
    of the loss, `fixed` before its weight; `loss`: what is minimised. `arrived`: all handles are near enough.
    """

    rows: Tensor
    handles: Tensor
    active: int
    motion: float
    fixed: float
    loss: float
    arrived: bool


@dataclass(frozen=True, eq=False)
class DragResult:
    """A journey: `steps`, at least one; the last is the result, and the `rows` of each are a latent to go
    back to. `handles`, `targets`: [N,2] x, y as asked for. `outcome`: "arrived", "steps used up", "stopped"
    by the user, or "diverged". `remarks`: sentences about the inputs.
    """

    steps: tuple[DragStep, ...]
    handles: Tensor
    targets: Tensor
    outcome: str
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> Tensor:
        """[E,W]: the last good latent."""
        return self.steps[-1].rows

    @property
    def distances(self) -> Tensor:
        """[N]: pixels between handles and targets at the end."""
        return _distances(self.steps[-1].handles, self.targets)

    def history(self) -> Tensor:
        """[T,E,W]: all latents, the first before any change."""
        return torch.stack([step.rows for step in self.steps])

    def sample(self, count: int) -> list[int]:
        """Numbers of at most `count` steps, but two, from the first to the last and evenly between."""
        return torch.linspace(0, len(self.steps) - 1, max(2, count)).round().long().unique().tolist()

    def report(self) -> str:
        """Lines for people: the outcome, every handle, the loss."""
        first, last = self.steps[0], self.steps[-1]
        loss = (f"loss {first.loss:.4g} -> {last.loss:.4g} (motion {last.motion:.4g}, "
                f"fixed area {last.fixed:.4g})")
        return "\n".join([*tell(f"{self.outcome} after {len(self.steps) - 1} steps", self.handles,
                                last.handles, self.targets, [""] * len(self.handles)), loss, *self.remarks])


def tell(outcome: str, handles: Tensor, found: Tensor, targets: Tensor, names: Sequence[str]) -> list[str]:
    """Lines for people: the outcome, and where every handle [N,2] was and is, and how far from its target.

    `names`: what each handle is called behind its number.
    """
    before, after = _distances(handles, targets), _distances(found, targets)
    lines = [f"{outcome}; mean distance {before.mean():.1f} -> {after.mean():.1f} pixels"]
    ways = zip(handles.tolist(), found.tolist(), targets.tolist(), after.tolist(), names, strict=True)
    return lines + [f"handle {number}{name}: ({x:.0f}, {y:.0f}) -> ({now_x:.0f}, {now_y:.0f}), "
                    f"{far:.1f} from its target ({to_x:.0f}, {to_y:.0f})"
                    for number, ((x, y), (now_x, now_y), (to_x, to_y), far, name) in enumerate(ways, 1)]


def _distances(points: Tensor, targets: Tensor) -> Tensor:
    return (points - targets).norm(dim=1)
