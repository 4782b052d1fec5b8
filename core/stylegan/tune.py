"""Pivotal tuning: the generator itself learns the picture, around the latent that comes nearest to it.

Roich et al. 2021, "Pivotal tuning for latent-based editing of real images", arXiv 2106.05744.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..image import cycle_to, image_to_bchw
from ..runtime import Runtime
from .infer import GeneratorNet, check_latent, generator_of, lend, memory_of, to_image
from .latents import Latent, identity_of
from .network import CONST, Generator
from .project import Features, fit_target
from .tuned import Delta, TunedNet, borrowed, difference


@dataclass(frozen=True)
class TuningSettings:
    """Defaults are those of StyleGAN-Human. `enough`: perceptual distance at which tuning ends. `pixels`,
    `perception`: weights of the two losses. Raises ValueError for no steps."""

    steps: int = 350
    rate: float = 5e-4
    enough: float = 0.04
    pixels: float = 1.0
    perception: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Tuning needs at least one step; got {self.steps}.")


@dataclass(frozen=True, eq=False)
class Tuned:
    """`delta`: what was learned. `distances`: mean perceptual ones, before the first step and after each."""

    delta: Delta
    distances: list[float]


def tune(net: GeneratorNet, image: Tensor, pivot: Latent, features: nn.Module,
         settings: TuningSettings | None = None, *, runtime: Runtime) -> Tuned:
    """Tunes all of the synthesis network, so that the pivot draws the picture; several learn together.

    `image`: [B,H,W,C] 0..1, as for `project.project`; `pivot`: its latents, [B] or one for all. `features`:
    what pictures are compared by; it is moved to the device. The generator itself stays as it is. Raises
    ValueError for a pivot of another generator or length, for generators that are tuned already, and when
    numbers overflow.
    """
    settings = settings or TuningSettings()
    if isinstance(net, TunedNet):
        raise ValueError(f"{net.name} is tuned already; tune the generator as it was loaded.")
    check_latent(net, pivot)
    config = generator_of(net).config
    pictures = image_to_bchw(image)
    if len(pivot) not in (1, len(pictures)):
        raise ValueError(f"There are {len(pictures)} pictures, but {len(pivot)} latents; give one for each.")
    memory = 3 * len(config.channels) * memory_of(config) * len(pictures)
    with lend(net, runtime, memory) as (module, device):
        generator = module.generator
        target = fit_target(pictures, *config.size(-1)).to(device) * 2 - 1         # [B,3,H,W]
        features.to(device)
        ws = cycle_to(pivot.w_plus, len(pictures)).clone().to(device)
        own = dict(generator.synthesis.named_parameters(prefix="synthesis"))
        before = {name: value.data for name, value in own.items()}
        with borrowed(own.values()):
            distances = _learn(generator, list(own.values()), ws, target, features, settings, runtime)
            changes = difference(own, before)
        return Tuned(Delta(changes, net.name, identity_of(generator.mapping)), distances)


def _learn(generator: Generator, parameters: list[Tensor], ws: Tensor, target: Tensor, features: Features,
           settings: TuningSettings, runtime: Runtime) -> list[float]:
    for parameter in parameters:
        parameter.requires_grad_()
    optimiser = torch.optim.Adam(parameters, settings.rate)
    with torch.no_grad():
        wanted = features(target)                                                  # [B,D]
    progress, distances = runtime.progress(settings.steps, "tuning the generator"), []
    for step in range(settings.steps + 1):
        with torch.enable_grad():
            picture = generator.picture(ws, CONST).expand(-1, 3, -1, -1)
            distance = (features(picture) - wanted).square().sum(1).mean()
            loss = settings.pixels * F.mse_loss(picture, target) + settings.perception * distance
        distances.append(distance.item())
        if not math.isfinite(distances[-1]):
            raise ValueError(f"Tuning went astray after {step} steps: the picture is no finite numbers any "
                             f"more; choose a learning rate below {settings.rate:g}.")
        if distance <= settings.enough or step == settings.steps:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        progress.update(preview=to_image(picture[:1])[0])
    return distances
