"""Dragging, judged from outside: joints of drawn people are pulled to new places, and a detector says where
they are then. After the experiment of arXiv 2305.10973 with the landmarks of faces."""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checkpoints import LoadedNet, load_as
from ..detect import detect_people
from ..drag import DragSettings
from ..perceptual import DETECTOR
from ..pose import JOINTS
from ..runtime import Runtime
from ..stylegan.infer import PSI, GeneratorNet, generator_of, render, sample_latents
from ..stylegan.journey import SETTINGS, drag_latent

LIMBS = [number for number, name in enumerate(JOINTS)
         if name.endswith(("elbow", "wrist", "knee", "ankle"))]
NEAREST, FARTHEST = 0.08, 0.15                            # new places, in heights of the picture
TRIES = 3                                                 # people drawn for each joint to drag, at most


@dataclass(frozen=True)
class Dragged:
    """One joint. `before`, `handle`, `joint`: pixels to its new place, from the joint at first, from the
    tracked handle at the end, and from the joint as it is detected then, NaN when it is not. `steps` and
    `seconds`: what dragging took."""

    before: float
    handle: float
    joint: float
    steps: int
    seconds: float

    @property
    def came_along(self) -> bool:
        """Half of the way at least."""
        return self.joint <= self.before / 2


def score_dragging(net: GeneratorNet, *, count: int = 100, seed: int = 0, psi: float = PSI,
                   learning_rate: float = SETTINGS.learning_rate, runtime: Runtime) -> dict[str, float]:
    """Drags an elbow, wrist, knee or ankle of each of `count` people, where the embedded detector finds one;
    people are drawn from the seeds `seed` on.

    `drag_people`: share of people drawn in whom it finds any. `drag_before`, `drag_handle`, `drag_joint`,
    `drag_steps`, `drag_seconds`: means of what `Dragged` holds; joints lost on the way are left out.
    `drag_lost`: share of those. `drag_half_way`: share of all joints that came half of the way at least.
    """
    detector, quiet = load_as(DETECTOR, "detector", runtime), Runtime(runtime.device)
    progress = runtime.progress(count, "Dragging joints")
    settings = replace(SETTINGS, learning_rate=learning_rate)
    drags: list[Dragged] = []
    drawn = 0
    while len(drags) < count and drawn < TRIES * count:
        dragged = drag_limb(net, detector, seed + drawn, psi, settings, quiet)
        drawn += 1
        if dragged is not None:
            drags.append(dragged)
            progress.update()
    return {"drag_people": len(drags) / max(1, drawn), **summary(drags)}


def summary(drags: Sequence[Dragged]) -> dict[str, float]:
    """The other scores of `score_dragging`; NaN for no drags."""
    means = {f"drag_{name}": torch.tensor([getattr(one, name) for one in drags]).double().nanmean().item()
             for name in ("before", "handle", "joint", "steps", "seconds")}
    shares = {"drag_lost": [math.isnan(one.joint) for one in drags],
              "drag_half_way": [one.came_along for one in drags]}
    return means | {name: torch.tensor(found).double().mean().item() for name, found in shares.items()}


def drag_limb(net: GeneratorNet, detector: LoadedNet, seed: int, psi: float, settings: DragSettings,
              runtime: Runtime) -> Dragged | None:
    """Of the person with that seed, who also says which joint and where to; None when no limb is found."""
    latent, rng = sample_latents(net, [seed], psi=psi, runtime=runtime), torch.Generator().manual_seed(seed)
    joints = find_joints(detector, render(net, latent, runtime=runtime), runtime)
    found = [joint for joint in LIMBS if joints[joint].isfinite().all()]
    if not found:
        return None
    joint = found[int(torch.randint(len(found), (), generator=rng))]
    target = new_place(joints[joint], generator_of(net).config.size(-1), rng)
    start = time.perf_counter()
    dragged = drag_latent(net, latent, joints[joint][None], target[None], settings=settings, frames=2,
                          runtime=runtime)
    seconds = time.perf_counter() - start
    after = find_joints(detector, dragged.frames[-1:], runtime)
    return Dragged(distance(joints[joint], target), float(dragged.journey.distances),
                   distance(after[joint], target), len(dragged.journey.steps) - 1, seconds)


def find_joints(detector: LoadedNet, image: Tensor, runtime: Runtime) -> Tensor:
    """A picture [1,H,W,3] -> [18,2] of its largest person, pixel centres at integers; NaN = not found, or
    outside the picture."""
    frame = detect_people(detector, image, runtime=runtime)[0].frame
    if not frame.people:
        return torch.full((len(JOINTS), 2), torch.nan)
    pose = frame.people[0]
    joints = pose.keypoints - 0.5
    inside = (joints >= 0) & (joints <= torch.tensor([frame.width - 1, frame.height - 1]))
    return torch.where((pose.present & inside.all(1))[:, None], joints, torch.nan)


def new_place(joint: Tensor, size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """[2] x, y some way from `joint` [2] in any direction, turned round where it would leave the picture of
    that height and width."""
    height, width = size
    length, angle = torch.rand(2, generator=rng).tolist()
    length = height * (NEAREST + (FARTHEST - NEAREST) * length)
    way = length * torch.tensor([math.cos(math.tau * angle), math.sin(math.tau * angle)])
    there = joint + way
    inside = (there >= 0) & (there <= torch.tensor([width - 1, height - 1]))
    return torch.where(inside, there, joint - way)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm())
