"""Trains ProGAN: it starts at 4x4 pixels and doubles them level by level.

    python run.py people --out pools/people --count 24000 --size 128x64 --mode studio
    python run.py train progan --data pools/people --out runs/progan --batch 16 --steps 550000

Loss, rates and initial weights are the published ones (arXiv 1710.10196), and so is the schedule: 800000
pictures to every phase, `--phase` in small runs. A network of L levels has 2 L - 1 phases.
"""
from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from ..growing import Discriminator, Schedule, Stage
from ..training import Pool
from ..training.growing import GrowingTask, add_arguments, config_of
from .network import Generator

__all__ = ["ProganTask", "add_arguments", "build"]


class ProganTask(GrowingTask):
    name = "progan"

    def draw(self, generator: nn.Module, z: Tensor, stage: Stage, rng: torch.Generator | None) -> Tensor:
        assert isinstance(generator, Generator)
        return generator.picture(z, *stage)


def build(args: argparse.Namespace, pool: Pool) -> ProganTask:
    """The task for the pool's pictures."""
    config = config_of(args, pool)
    return ProganTask(Generator(config).initialise(args.seed), Discriminator(config).initialise(args.seed),
                      config, Schedule(len(config.channels), args.phase), args.rate)
