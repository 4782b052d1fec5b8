"""What the trainings of networks share that grow: the WGAN-GP loss, pictures at the present level, sheets.

"Progressive Growing of GANs", Karras et al. 2018, arXiv 1710.10196; the loss: "Improved Training of
Wasserstein GANs", Gulrajani et al. 2017, arXiv 1704.00028.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from ..growing import Config, Discriminator, Schedule, Stage, at_stage
from .options import doubling
from .pool import Pool
from .task import Batch, StepContext, Task

BETAS, EPS = (0.0, 0.99), 1e-8
PENALTY, DRIFT = 10.0, 0.001                              # weights beside the critic's distance


class GrowingTask(Task):
    """One discriminator and one generator step a batch, at the level that the pictures seen so far have led
    to. A system adds `name` and `draw`."""

    averaged = ("generator",)

    def __init__(self, generator: nn.Module, discriminator: Discriminator, config: Config, schedule: Schedule,
                 rate: float) -> None:
        self.generator, self.discriminator = generator.train(), discriminator
        self.config, self.schedule = config, schedule
        self.seen = nn.Module()
        self.seen.register_buffer("images", torch.zeros((), dtype=torch.long))
        self.modules = {"generator": generator, "discriminator": discriminator, "seen": self.seen}
        self.g_optimizer, self.d_optimizer = (Adam(net.parameters(), rate, BETAS, EPS)
                                              for net in (generator, discriminator))
        self.optimizers: dict[str, Optimizer] = {"generator": self.g_optimizer,
                                                 "discriminator": self.d_optimizer}

    def draw(self, generator: nn.Module, z: Tensor, stage: Stage, rng: torch.Generator | None) -> Tensor:
        """z [N,Z] -> pictures [N,3,h,w] of the stage. `rng`: for what training does at random, None for what
        people look at."""
        raise NotImplementedError

    @property
    def stage(self) -> Stage:
        """Of the last step."""
        return self.schedule.stage(int(self.seen.get_buffer("images")))

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        self.seen.get_buffer("images").fill_(context.images)
        stage = self.stage
        real = at_stage(batch["image"] * 2 - 1, stage, self.schedule.levels)
        losses = self._train_discriminator(real, stage, context)
        losses["generator"] = self._train_generator(len(real), stage, context)
        return losses | {"level": torch.tensor(stage.level - 1 + stage.alpha)}

    def _train_discriminator(self, real: Tensor, stage: Stage, context: StepContext) -> dict[str, Tensor]:
        with context.autocast():
            with torch.no_grad():
                fake = self._drawn(len(real), stage, context)
            on_real, on_fake = (self.discriminator(pictures, stage).float() for pictures in (real, fake))
        share = torch.rand(len(real), 1, 1, 1, generator=context.generator).to(real)
        between = torch.lerp(real, fake, share).requires_grad_()
        losses = {"critic": on_fake.mean() - on_real.mean(),
                  "penalty": gradient_penalty(self.discriminator(between, stage), between)}
        drift = on_real.square().mean()
        context.descend(self.d_optimizer, losses["critic"] + PENALTY * losses["penalty"] + DRIFT * drift)
        return losses

    def _train_generator(self, count: int, stage: Stage, context: StepContext) -> Tensor:
        with context.autocast():
            loss = -self.discriminator(self._drawn(count, stage, context), stage).float().mean()
        context.descend(self.g_optimizer, loss)
        return loss

    def _drawn(self, count: int, stage: Stage, context: StepContext) -> Tensor:
        """[N,3,h,w] from random latents."""
        z = torch.randn(count, self.config.z, generator=context.generator).to(context.device)
        return self.draw(self.generator, z, stage, context.generator).float()

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: pictures of the pool as the discriminator sees them at present; drawn ones."""
        pictures = batch["image"]
        z = torch.randn(len(pictures), self.config.z, generator=torch.Generator().manual_seed(0))
        drawn = self.draw(averaged["generator"], z.to(pictures), self.stage, None)
        rows = torch.stack([at_stage(pictures, self.stage, self.schedule.levels), (drawn + 1) / 2])
        large = F.interpolate(rows.flatten(0, 1), pictures.shape[2:], mode="nearest")
        return large.unflatten(0, rows.shape[:2]).clamp(0, 1)

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        level, alpha = self.stage
        height, width = self.config.size(level)
        return dict(averaged["generator"].state_dict()), {
            "system": self.name, "size": f"{height}x{width}", "level": str(level), "alpha": str(alpha),
            "config": json.dumps(asdict(self.config))}


def gradient_penalty(scores: Tensor, pictures: Tensor) -> Tensor:
    """How far the scores [N,1] are from slope 1 in the pictures [N,3,H,W]: mean (|slope| - 1)^2."""
    slope, = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--phase", type=int, default=800_000, metavar="N",
        help="pictures until the next level begins to fade in, and again until it has (800000)")
    add("--base", type=int, default=16384, metavar="N", help="channels times height (16384)")
    add("--widest", type=int, default=512, metavar="N", help="most channels of a layer (512)")
    add("--latent", type=int, default=512, metavar="N", help="numbers of a latent (512)")
    add("--rate", type=float, default=0.001, metavar="X", help="learning rate (0.001)")


def config_of(args: argparse.Namespace, pool: Pool) -> Config:
    """For the pool's pictures. Raises ValueError for sizes that no doubling leads to."""
    channels, start = doubling(args.size or pool.size, args.base, args.widest)
    return Config(channels, start, args.latent)
