"""Dragging a generated person: from a latent and points to latents and pictures.

    dragged = drag_latent(net, latent, handles=[(120, 100)], targets=[(150, 100)], runtime=runtime)
    dragged.frames[-1], dragged.history.taken([-1]), dragged.journey.report()
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..drag import DragResult, DragSettings, DragStep, drag
from ..drag.draw import draw_drag
from ..drag.inputs import Points, as_pairs, check_inside
from ..runtime import Runtime
from .drag import BLOCK
from .infer import GeneratorNet, check_latent, generator_of, lend, memory_of, render
from .latents import Latent
from .network import Config
from .windows import drag_source

SETTINGS = DragSettings(steps=200, learning_rate=0.002)    # the larger of the published rates
FRAMES = 24                                               # of a journey, at most
MAPS = 12                                                 # that each block keeps for the gradient, about


@dataclass(frozen=True, eq=False)
class DraggedLatent:
    """`history`: latents from the first to the last of the journey, and `frames`: [T,H,W,3], what each looks
    like. `journey`: all steps and the report.
    """

    history: Latent
    frames: Tensor
    journey: DragResult


def drag_latent(net: GeneratorNet, latent: Latent, handles: Points, targets: Points, *,
                mask: Tensor | None = None, block: int | None = None, settings: DragSettings = SETTINGS,
                frames: int = FRAMES, keep: bool = True, runtime: Runtime) -> DraggedLatent:
    """Pulls what a latent's picture shows at `handles` to `targets`, each [N,2] x, y in pixels.

    `latent`: a single one. `mask`: [H,W], 1 = may change. `block`: of the features that are compared; by
    default the published one, or the last of a smaller generator. `frames`: how many to return at most, two
    or more. `keep`: an interrupt ends the journey there; otherwise it goes to the caller.

    Raises ValueError for a latent of another generator, a block it lacks, handles outside the picture, and as
    `drag.drag` does.
    """
    check_latent(net, latent)
    config = generator_of(net).config
    check_inside("Handle", as_pairs(handles), config.size(-1))
    block = min(BLOCK, len(config.channels) - 1) if block is None else block
    ends = torch.tensor(as_pairs(targets))
    progress = runtime.progress(settings.steps + 1, "dragging a person")

    def show(step: DragStep, picture: Tensor | None) -> None:
        progress.update(preview=None if picture is None else draw_drag(picture, step.handles, ends))

    with lend(net, runtime, _memory(config, block)) as (module, _):
        source = drag_source(module, latent.w_plus, block)
        journey = drag(source, handles, targets, mask=mask, settings=settings, on_step=show,
                       interrupts=runtime.interrupts if keep else ())
        seen = [source.latent(journey.steps[number].rows) for number in journey.sample(frames)]
    history = latent.edited(torch.cat(seen))
    return DraggedLatent(history, render(net, history, runtime=runtime), journey)


def _memory(config: Config, block: int) -> int:
    """Bytes for one step that draws its picture, at most."""
    maps = sum(channels * math.prod(config.size(number))
               for number, channels in enumerate(config.channels[:block + 1]))
    return memory_of(config) + MAPS * maps * 4
