"""Trains StyleGAN as it grows, from 8x8 pixels on.

    python run.py people --out pools/people --count 24000 --size 128x64 --mode studio
    python run.py train stylegan1 --data pools/people --out runs/stylegan1 --batch 16 --steps 450000

Schedule, loss and discriminator are ProGAN's, as in the paper's runs on CelebA-HQ (arXiv 1812.04948, section
2.1); the mixing of styles (section 3.1) and the mean of w are StyleGAN's own.
"""
from __future__ import annotations

import argparse
from dataclasses import asdict

import torch
from torch import Tensor, nn

from ..growing import Discriminator, Schedule, Stage
from ..training import Pool
from ..training.growing import GrowingTask, add_arguments, config_of
from .network import Config, Generator, mix

__all__ = ["Stylegan1Task", "add_arguments", "build"]

FIRST = 1                                                 # level: 8x8
MIXING = 0.9                                              # part of the batches with two latents per picture
W_DECAY = 0.995                                           # of the mean of w
LAYERS = 8                                                # of the mapping network


class Stylegan1Task(GrowingTask):
    name = "stylegan1"

    def draw(self, generator: nn.Module, z: Tensor, stage: Stage, rng: torch.Generator | None) -> Tensor:
        """In training with noise, mixed styles, and the mean of w following."""
        assert isinstance(generator, Generator)
        ws = generator.mapping(z)
        if rng is not None:
            generator.mapping.update_w_avg(ws[:, 0], W_DECAY)
            if float(torch.rand((), generator=rng)) < MIXING:
                crossover = int(torch.randint(1, 2 * (stage.level + 1), (), generator=rng))
                other = torch.randn(z.shape, generator=rng).to(z)
                ws = mix(ws, generator.mapping(other), crossover)
        return generator.picture(ws, *stage, rng)


def build(args: argparse.Namespace, pool: Pool) -> Stylegan1Task:
    """The task for the pool's pictures."""
    config = Config(**asdict(config_of(args, pool)), mapping=(args.latent,) * LAYERS)
    return Stylegan1Task(
        Generator(config).initialise(args.seed), Discriminator(config, smooth=True).initialise(args.seed),
        config, Schedule(len(config.channels), args.phase, FIRST), args.rate)
