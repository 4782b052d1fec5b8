"""The dragging loop, as published: look at the features, find the handles, pull, fix, one step of Adam.

    source = drag_source(net.module, ws)                  # core/stylegan/windows.py, in Runtime.use
    result = drag(source, handles=[(120, 100)], targets=[(150, 100)])
    ws = source.latent(result.rows)

Order and numbers are those of the published program: handles are found before they are pulled, and nothing
is changed any more once all have arrived. `Session` is the loop opened up, for those who stop and go on.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..runtime import Interrupted
from .fast import CroppedMap
from .inputs import Points, as_pairs, check_free, check_inside, fixed_area, locate, pair_up
from .result import ARRIVED, DIVERGED, EXHAUSTED, STOPPED, DragResult, DragStep
from .source import Box, Draggable, FixedArea, canvas_size
from .terms import Point, motion_loss, nearest

W, W_PLUS = "w", "w+"
SPACES = (W_PLUS, W)
REFERENCE_SIDE = 512                                      # of the canvas for which radii are given
NEAR = 2                                                  # pixels from the target, at least: arrived
CLOSE = 1                                                 # pixels from the target: not pulled any more
PREVIEW_SECONDS = 0.25                                    # between two pictures, at least
PREVIEW_REST = 3                                          # times as long as a picture takes: no new one

OnStep = Callable[[DragStep, Tensor | None], object]


@dataclass(frozen=True)
class DragSettings:
    """How to drag. Raises ValueError for settings that make no sense.

    `steps`: updates at most. `learning_rate`: step size of Adam. `space`: "w+" changes every editable row of
    the latent by itself; "w" starts from the first and keeps all equal. `motion_radius`, `tracking_radius`:
    r1 and r2 of the paper, in pixels of a canvas of 512; at least one pixel is used. `mask_weight`: lambda.
    """

    steps: int = 300
    learning_rate: float = 0.001
    space: str = W_PLUS
    motion_radius: float = 3
    tracking_radius: float = 12
    mask_weight: float = 20

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(f"space should be {W_PLUS} or {W}; got {self.space!r}.")
        for name, least in (("steps", 1), ("motion_radius", 0), ("tracking_radius", 0), ("mask_weight", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be {least} or more; got {getattr(self, name)}.")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate should be above 0; got {self.learning_rate}.")


class FeatureMap(Protocol):
    """`plain.WholeMap` or `fast.CroppedMap`; `change` compares `features` with those of another time."""

    features: Tensor

    def patch(self, index: int, box: Box) -> Tensor: ...

    def change(self, first: Tensor) -> Tensor: ...


Look = Callable[[Draggable, Tensor, Sequence[Box], FixedArea | None], FeatureMap]


class Adam:
    """For one tensor, with the usual decays 0.9 and 0.999. torch.optim's takes a second to get started."""

    def __init__(self, parameter: Tensor, learning_rate: float) -> None:
        self.parameter, self.learning_rate, self.steps = parameter, learning_rate, 0
        self.mean, self.square = torch.zeros_like(parameter), torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        self.steps += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        size = self.square.sqrt().div_(math.sqrt(1 - 0.999**self.steps)).add_(1e-8)
        self.parameter.addcdiv_(self.mean, size, value=-self.learning_rate / (1 - 0.9**self.steps))


class Session:
    """A drag in progress: `observe` and `update` by turns.

    `handles`, `targets`: [N,2] x, y in pixels of the picture, handles rounded. `mask`: [H,W] of the picture,
    1 = may change; without both 0 and 1 in it, it has no effect. `look`: the form of the arithmetic.
    Raises ValueError for a mask of another size.
    """

    def __init__(self, source: Draggable, handles: Points, targets: Points, settings: DragSettings,
                 mask: Tensor | None = None, look: Look = CroppedMap) -> None:
        self.source, self.settings, self.look = source, settings, look
        self.canvas = canvas_size(source)
        scale = max(self.canvas) / REFERENCE_SIDE
        self.motion_radius = max(1, round(settings.motion_radius * scale))         # 0 is an empty disc
        self.tracking_radius = max(1, round(settings.tracking_radius * scale))
        self.near = max(NEAR, NEAR * scale)
        self.handles: list[Point] = [locate(x, y, source) for x, y in as_pairs(handles)]
        self.targets = [(y + source.margin[0], x + source.margin[1]) for x, y in as_pairs(targets)]
        self.fixed = fixed_area(mask, source)
        start = source.start.detach().clone()
        self.parameter = (start if settings.space == W_PLUS else start[0].clone()).requires_grad_()
        self.adam = Adam(self.parameter, settings.learning_rate)
        self.references: list[Tensor] = []                # [C], features of each handle at the start
        self.first: Tensor | None = None                  # the features at the start, of the fixed area
        self.loss: Tensor | None = None

    def rows(self) -> Tensor:
        """[E,W]: the part of the latent that changes."""
        return self.parameter.expand_as(self.source.start)

    @torch.enable_grad()
    def observe(self) -> DragStep:
        """Finds the handles in the present picture and computes what `update` needs."""
        margin = self.motion_radius + 2
        regions = [_around(handle, self.tracking_radius + margin).within(self.canvas)
                   for handle in self.handles]
        features = self.look(self.source, self.rows(), regions, self.fixed)
        if not self.references:
            self.references = [features.patch(index, _around(handle, 0)).detach()[:, 0, 0]
                               for index, handle in enumerate(self.handles)]
            self.first = features.features.detach() if self.fixed else None
        self.handles = self._track(features)
        return self._measure(features)

    def _track(self, features: FeatureMap) -> list[Point]:
        boxes = [_around(handle, self.tracking_radius).within(self.canvas) for handle in self.handles]
        indices = torch.stack([nearest(features.patch(index, box), reference) for index, (box, reference)
                               in enumerate(zip(boxes, self.references, strict=True))])
        return [(box.top + index // box.size[1], box.left + index % box.size[1])
                for box, index in zip(boxes, indices.tolist(), strict=True)]

    def _measure(self, features: FeatureMap) -> DragStep:
        ways = [(target[0] - handle[0], target[1] - handle[1])
                for handle, target in zip(self.handles, self.targets, strict=True)]
        active = [index for index, way in enumerate(ways) if math.hypot(*way) > CLOSE]
        motion = sum((self._pull(features, index, ways[index]) for index in active),
                     self.parameter.new_zeros(()))
        fixed = torch.zeros_like(motion) if self.first is None else features.change(self.first)
        self.loss = motion + self.settings.mask_weight * fixed
        pulling, changed, loss = torch.stack([motion, fixed, self.loss]).tolist()
        rows, arrived = self.rows().detach(), all(math.hypot(*way) <= self.near for way in ways)
        return DragStep(rows.to("cpu", copy=True), self._found(), len(active), pulling, changed, loss,
                        arrived)

    def _pull(self, features: FeatureMap, index: int, way: tuple[float, float]) -> Tensor:
        distance, handle = math.hypot(*way) + 1e-7, self.handles[index]
        box = _around(handle, self.motion_radius + 2).within(self.canvas)
        return motion_loss(features.patch(index, box), (box.top, box.left), handle,
                           (way[0] / distance, way[1] / distance), self.motion_radius, self.canvas)

    def _found(self) -> Tensor:
        """[N,2] x, y in the picture."""
        rows, columns = self.source.margin
        return torch.tensor([(x - columns, y - rows) for y, x in self.handles], dtype=torch.float32)

    def update(self) -> Tensor:
        """One step down the loss of the last look; returns the gradient."""
        assert self.loss is not None, "observe first"
        if self.loss.requires_grad:
            gradient, = torch.autograd.grad(self.loss, self.parameter)
        else:                                             # far beside the picture handles pull at nothing
            gradient = torch.zeros_like(self.parameter)
        self.loss = None
        self.adam.step(gradient)
        return gradient


def _around(point: Point, radius: int) -> Box:
    return Box(point[0], point[1], point[0] + 1, point[1] + 1).grown(radius)


def drag(source: Draggable, handles: Points, targets: Points, *, mask: Tensor | None = None,
         settings: DragSettings | None = None, on_step: OnStep | None = None,
         interrupts: tuple[type[BaseException], ...] = (Interrupted,), look: Look = CroppedMap) -> DragResult:
    """Pulls what is at `handles` to `targets`; arguments as `Session`'s.

    `on_step`: called after every look with the step and, at most four times a second, its picture [H,W,3]
    0..1. `interrupts`: what it raises when the user stops; the journey so far is the result then. The same
    holds where numbers overflow. Handles beyond the number of targets are left out, as published. To go on
    from any step, start from a source with its latent.

    Raises ValueError for points that are missing, outside the canvas or, handles, where the mask forbids
    movement; and when the picture to start from has no finite features.
    """
    settings = settings or DragSettings()
    handles, targets, remarks = pair_up(as_pairs(handles), as_pairs(targets))
    for what, points in (("Handle", handles), ("Target", targets)):
        check_inside(what, points, source.size, source.margin)
    with torch.inference_mode(False):
        session = Session(source, handles, targets, settings, mask, look)
        check_free(session.handles, session.fixed)
        if mask is not None and session.fixed is None:
            remarks += ("The mask has no part that may change or none that may not, so it was ignored.",)
        steps: list[DragStep] = []
        try:
            outcome = _run(session, steps, _Viewer(source, on_step) if on_step else None)
        except interrupts:
            outcome = STOPPED
    return DragResult(tuple(steps), torch.tensor(handles), torch.tensor(targets), outcome, remarks)


def _run(session: Session, steps: list[DragStep], viewer: _Viewer | None) -> str:
    """Appends to `steps`, so that an exception leaves those done so far."""
    for count in range(session.settings.steps + 1):
        step = session.observe()
        if not math.isfinite(step.loss):
            if not steps:
                raise ValueError("The generator's features are not finite numbers for this latent; "
                                 "start from another one.")
            return DIVERGED
        steps.append(step)
        if viewer is not None:
            viewer.show(step)
        if step.arrived:
            return ARRIVED
        if count < session.settings.steps:
            session.update()
    return EXHAUSTED


class _Viewer:
    """Shows steps, with pictures where they take no more than a quarter of the time."""

    def __init__(self, source: Draggable, on_step: OnStep) -> None:
        self.source, self.on_step, self.next = source, on_step, 0.0

    def show(self, step: DragStep) -> None:
        picture, start = None, time.monotonic()
        if start >= self.next:
            picture = self.source.picture(step.rows)
            end = time.monotonic()
            self.next = end + max(PREVIEW_SECONDS, PREVIEW_REST * (end - start))
        self.on_step(step, picture)
