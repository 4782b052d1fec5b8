"""Projection: the latent whose picture comes nearest to a given one, found by optimisation.

The projector of StyleGAN2 (Karras et al. 2020, appendix D) as its programs have it, and the same for w+.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..image import image_to_bchw
from ..runtime import Progress, Runtime
from .align import middle_frame
from .infer import GeneratorNet, check_latent, generator_of, lend, memory_of, sample_w, to_image
from .latents import Latent, identity_of
from .network import CONST, Generator
from .tuned import borrowed

SPACES = ("w", "w+")
TALLEST = 256                                             # pixels of the pictures that are compared
_SAMPLES_SEED = 123                                       # of the w whose mean is the start, as published
_LEAST_PLANE = 8                                          # height of the smallest noise that is regularised
# Pictures [N,3,h,w] of -1..1 -> points [N,D] whose squared distance is perceptual, such as `Lpips`.
Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ProjectionSettings:
    """Defaults are those of StyleGAN2-ADA; see `PERSON` for those of StyleGAN-Human.

    `space`: one row for all layers ("w"), or one each ("w+"). `samples`: of w, for their mean and deviation.
    `rate`: of learning, after the share `ramp_up` of the steps and before `ramp_down`. `wander`: noise added
    to w in the first step, in deviations; none after the share `wander_length`. `noise_weight`: of the loss
    that keeps pictures out of the noise. Raises ValueError for another space and for no steps.
    """

    steps: int = 1000
    rate: float = 0.1
    space: str = "w"
    samples: int = 10_000
    wander: float = 0.05
    wander_length: float = 0.75
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    noise_weight: float = 1e5

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(f"space should be one of {', '.join(SPACES)}; got {self.space!r}.")
        if self.steps < 1:
            raise ValueError(f"Projection needs at least one step; got {self.steps}.")

    def rate_at(self, step: int) -> float:
        """Of learning: up in a line, down in half a cosine."""
        t = step / self.steps
        ramp = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / self.ramp_down))
        return self.rate * ramp * min(1.0, t / self.ramp_up)

    def wander_at(self, step: int) -> float:
        """In deviations of w."""
        return self.wander * max(0.0, 1 - step / self.steps / self.wander_length) ** 2


PERSON = ProjectionSettings(steps=450, rate=0.01, samples=600)


@dataclass(frozen=True, eq=False)
class Statistics:
    """`mean` [W] of many w, and their `deviation`, one number for all directions."""

    mean: Tensor
    deviation: float

    @classmethod
    def of(cls, w: Tensor) -> Statistics:
        """w: [N,W]."""
        mean = w.mean(0)
        return cls(mean, float((w - mean).square().sum().div(len(w)).sqrt()))


@dataclass(frozen=True, eq=False)
class Projected:
    """`latent`: one sample per picture. `distances`: [N], how far their pictures are from the given ones in
    the features, and `starts`: [N], how far they were at the start."""

    latent: Latent
    distances: Tensor
    starts: Tensor


@dataclass(frozen=True, eq=False)
class Step:
    """What one step found, before its update: `picture` [1,3,H,W], perceptual `distance` and whole `loss`."""

    picture: Tensor
    distance: float
    loss: float


class Projector:
    """One picture's optimisation of w [1,R,W], R = 1 or num_ws, and of the noise `planes`.

    `target`: [1,3,H,W] -1..1. `planes`: the generator's noise buffers, which the caller has `borrowed` and
    filled.
    """

    def __init__(self, generator: Generator, features: Features, target: Tensor, start: Tensor,
                 planes: Sequence[Tensor], settings: ProjectionSettings) -> None:
        self.generator, self.features, self.settings, self.planes = generator, features, settings, planes
        with torch.no_grad():
            self.target = features(seen(target))                                   # [1,D]
        self.w = start.detach().clone().requires_grad_()
        for plane in planes:
            plane.requires_grad_()
        self.optimiser = torch.optim.Adam([self.w, *planes])

    def step(self, number: int, wander: Tensor) -> Step:
        """`wander`: [1,R,W], what is added to w for this step."""
        rate = self.settings.rate_at(number)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad()
        with torch.enable_grad():
            picture = self.generator.picture(self.rows(self.w + wander), CONST)
            distance = self.distance(picture)
            loss = distance + self.settings.noise_weight * roughness(self.planes, distance)
            loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            for plane in self.planes:
                plane -= plane.mean()
                plane *= plane.square().mean().rsqrt()
        return Step(picture.detach(), distance.item(), loss.item())

    def rows(self, w: Tensor) -> Tensor:
        """[1,R,W] -> [1,num_ws,W]."""
        return w.expand(-1, self.generator.config.num_ws, -1)

    def distance(self, picture: Tensor) -> Tensor:
        return (self.features(seen(picture)) - self.target).square().sum()


def seen(picture: Tensor) -> Tensor:
    """Pictures as they are compared: in colour, taller ones at 256x256, whatever their aspect, as
    published."""
    picture = picture.expand(-1, 3, -1, -1)
    return F.interpolate(picture, (TALLEST, TALLEST), mode="area") if picture.shape[2] > TALLEST else picture


def roughness(planes: Sequence[Tensor], like: Tensor) -> Tensor:
    """The noise's correlation with itself, a pixel apart along each axis, at all sizes down to 8: 0 for white
    noise."""
    total = torch.zeros_like(like)
    for plane in planes:
        plane = plane[None, None]                                                  # [1,1,H,W]
        while True:
            total = total + sum((plane * plane.roll(1, axis)).mean().square() for axis in (3, 2))
            if plane.shape[2] <= _LEAST_PLANE:
                break
            plane = F.avg_pool2d(plane, 2)
    return total


def noise_planes(generator: Generator) -> list[Tensor]:
    """The stored noise of all layers, in the order of the state dict."""
    return [plane for name, plane in generator.named_buffers() if name.endswith("noise_const")]


def fit_target(pictures: Tensor, height: int, width: int) -> Tensor:
    """[N,3,H,W] -> [N,3,height,width], the largest middle part that has the aspect."""
    frame = middle_frame(pictures[0], height, width)
    return torch.stack([frame.cut(picture) for picture in pictures]).clamp(0, 1)


def project(net: GeneratorNet, image: Tensor, features: nn.Module,
            settings: ProjectionSettings | None = None, *, seed: int = 0, start: Latent | None = None,
            runtime: Runtime) -> Projected:
    """Finds latents of pictures, each for itself.

    `image`: [B,H,W,C] 0..1, of which the middle part with the generator's aspect counts; people should be
    aligned. `features`: what pictures are compared by, such as `Lpips`; it is moved to the device. `seed`: of
    the noise. `start`: where to begin instead of the mean of w, one for all pictures or one each; "w" takes
    the mean of its rows. The noise found on the way is thrown away, as published.

    Raises ValueError for a start of another generator or of another length.
    """
    settings, config = settings or ProjectionSettings(), generator_of(net).config
    pictures = image_to_bchw(image)
    if start is not None:
        check_latent(net, start)
        if len(start) not in (1, len(pictures)):
            raise ValueError(f"There are {len(pictures)} pictures, but {len(start)} latents to start from; "
                             "give one, or one for each.")
    progress, found = runtime.progress(len(pictures) * settings.steps, "projecting"), []
    with lend(net, runtime, 3 * len(config.channels) * memory_of(config)) as (module, device):
        generator = module.generator
        features.to(device)
        statistics = Statistics.of(sample_w(generator.mapping, settings.samples, _SAMPLES_SEED))
        targets = fit_target(pictures, *config.size(-1)).to(device) * 2 - 1        # [B,3,H,W]
        for number, target in enumerate(targets):
            w = statistics.mean.expand(1, config.num_ws, -1)
            if start is not None:
                w = start.w_plus[number % len(start)][None].to(device)
            if settings.space == "w":
                w = w.mean(1, keepdim=True)
            found.append(_optimise(generator, features, target[None], w, statistics.deviation, settings,
                                   seed, progress))
        identity = identity_of(generator.mapping)
    rows, starts, distances = zip(*found, strict=True)
    return Projected(Latent(torch.cat(rows), net.name, identity), torch.tensor(distances),
                     torch.tensor(starts))


def _optimise(generator: Generator, features: Features, target: Tensor, start: Tensor, deviation: float,
              settings: ProjectionSettings, seed: int, progress: Progress) -> tuple[Tensor, float, float]:
    """The rows [1,num_ws,W] of one picture, and the distances at the start and now, with the stored noise."""
    rng, planes = torch.Generator().manual_seed(seed), noise_planes(generator)
    with borrowed(planes):
        for plane in planes:
            plane.copy_(torch.randn(plane.shape, generator=rng))
        projector = Projector(generator, features, target, start, planes, settings)
        for number in range(settings.steps):
            wander = torch.randn(projector.w.shape, generator=rng) * (deviation * settings.wander_at(number))
            step = projector.step(number, wander.to(target.device))
            progress.update(preview=to_image(step.picture)[0])
    rows = projector.rows(projector.w.detach())
    before, now = (projector.distance(generator.picture(some, CONST)).item()
                   for some in (projector.rows(start), rows))
    return rows.cpu(), before, now
