"""Trains PG2 in two stages: G1 draws a person coarsely in a new pose, then G2 adds what is missing.

    python run.py people --out pools/pairs --count 24000 --size 128x64 --mode studio --views 4
    python run.py train pg2 --data pools/pairs --out runs/pg2 --budget 25m --batch 8 --bf16 --channels 16 \
        --muon 0.01 --stage2-from 0.65 --adversarial-weight 0

    python run.py pool market --from market --out pools/market
    python run.py train pg2 --data pools/market --out runs/market --batch 16 --steps 60000
    python run.py train pg2 --data pools/fashion --out runs/fashion --form fashion --batch 1 --steps 80000

Losses, rates and initial weights are the published ones (arXiv 1705.09368): G1 by the pose-mask loss for
22000 steps, then G2 by the same loss and a discriminator that takes source and drawn picture for false. Pools
that know masks (procedural people) give networks that also draw the person's opacity, one more colour to the
loss.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..pose.maps import pose_mask
from ..training import Batch, Muon, Pairs, Pool, StepContext, Task
from ..training.state import start_from
from ..training.transfer import Pair, prepared, score_pairs, sheet
from .network import (
    COORDINATES,
    ENCODED,
    G1,
    G2,
    MAPS,
    PG2,
    Config,
    Discriminator,
    discriminator_loss,
    generator_loss,
    mask_l1,
    network_pose,
)

POOL = Pairs
RATE, BETAS = 2e-5, (0.5, 0.999)
ADAM_RATE = 1e-3                                          # beside Muon
STAGE2_STEP = 22_000
MAXIMUM_NORM = 100.0                                      # of gradients; only what explodes is cut
DISTANCES = {"market": 10.0, "fashion": 50.0}             # weight beside the adversarial loss, by form


@dataclass(frozen=True)
class Plan:
    """How to train; by default as published. `form`: of the discriminator's batches and the weights, by data
    set. `masked`: the pose-mask loss instead of plain L1. `stage2_from`, `adversarial_from`: parts of the
    budget; None = from step 22000 on. `adversarial`: weight. `muon`: learning rate, 0 = Adam."""

    form: str = "market"
    masked: bool = True
    stage2_from: float | None = None
    adversarial: float = 1.0
    adversarial_from: float = 0.0
    muon: float = 0.0


class Pg2Task(Task):
    """One step of the stage at hand a batch; in the second stage also one discriminator step."""

    name = "pg2"
    averaged = ("pg2",)

    def __init__(self, net: PG2, discriminator: Discriminator, plan: Plan) -> None:
        self.net, self.discriminator, self.plan = net.train(), discriminator, plan
        self.modules = {"pg2": net, "discriminator": discriminator}
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)   # type: ignore[call-overload]
        self.g1_optimizer, self.g2_optimizer = (optimizer_of(stage, plan.muon) for stage in (net.g1, net.g2))
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), RATE, BETAS)
        self.optimizers: dict[str, Optimizer] = {
            "g1": self.g1_optimizer, "g2": self.g2_optimizer, "discriminator": self.d_optimizer}

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        pair = prepared(batch, context.generator)
        refining, stage = stage_of(context, self.plan.stage2_from)
        if refining:
            return self._refine(pair, stage, context.progress >= self.plan.adversarial_from)
        with stage.autocast():
            coarse = self.net.g1(pair.source, self._pose(pair))
        loss = self._distance(coarse, pair)
        stage.descend(self.g1_optimizer, loss, max_norm=MAXIMUM_NORM)
        return {"coarse": loss}

    def _refine(self, pair: Pair, context: StepContext, adversarial: bool) -> dict[str, Tensor]:
        """A step of G2, G1 left as it is, and one of the discriminator."""
        with context.autocast():
            with torch.no_grad():
                coarse = self.net.g1(pair.source, self._pose(pair))
            refined = coarse + self.net.g2(coarse, pair.source)
        losses = {"refined": self._distance(refined, pair)}
        total, adversarial = losses["refined"], adversarial and self.plan.adversarial > 0
        if adversarial:
            judged, source = self._judge(pair, coarse, refined, context)[1:]
            seen = torch.cat([judged, source]) if self.plan.form == "fashion" else judged
            losses["adversarial"] = generator_loss(seen)
            total = DISTANCES[self.plan.form] * total + self.plan.adversarial * losses["adversarial"]
        context.descend(self.g2_optimizer, total, max_norm=MAXIMUM_NORM)
        if adversarial:
            target, judged, source = self._judge(pair, coarse, refined.detach(), context)
            losses["discriminator"] = discriminator_loss(target, source, judged)
            context.descend(self.d_optimizer, losses["discriminator"])
        return losses

    def _pose(self, pair: Pair) -> Tensor:
        return network_pose(pair.target_joints, self.net.config).to(pair.source)

    def _distance(self, drawn: Tensor, pair: Pair) -> Tensor:
        mask = pose_mask(pair.target_joints, *pair.size)[:, None] & self.plan.masked       # [B,1,H,W]
        return mask_l1(drawn.float(), pair.wanted, mask.float())

    def _judge(self, pair: Pair, coarse: Tensor, refined: Tensor,
               context: StepContext) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B] each of targets, refined pictures and sources. On Market-1501 the coarse ones count in
        the batch norms."""
        pictures = [pair.target, refined, pair.source]
        pictures += [] if self.plan.form == "fashion" else [coarse]
        with context.autocast():
            logits = self.discriminator(torch.cat([picture[:, :3].float() for picture in pictures]))
        target, judged, source, *_ = logits.float().split(len(coarse))
        return target, judged, source

    def _draw(self, pair: Pair, net: nn.Module) -> tuple[Tensor, Tensor]:
        """Coarse and refined pictures [B,3 or 4,H,W]."""
        return net(pair.source, self._pose(pair))

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: source, pose, coarse, refined, target."""
        pair = prepared(batch)
        return sheet(pair, *self._draw(pair, averaged["pg2"]))

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        """`score_pairs` of the refined pictures, and as `coarse_..` of those of stage 1."""
        batches, net = list(batches), averaged["pg2"]
        coarse = score_pairs(lambda pair: self._draw(pair, net)[0], batches)
        refined = score_pairs(lambda pair: self._draw(pair, net)[1], batches)
        return refined | {f"coarse_{name}": score for name, score in coarse.items() if name != "copied"}

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        config = self.net.config
        return dict(averaged["pg2"].state_dict()), {
            "system": "pg2", "size": f"{config.height}x{config.width}"}


def optimizer_of(stage: G1 | G2, muon: float) -> Optimizer:
    """Adam as published, or Muon for all but the first and the last layer."""
    if muon:
        return Muon(stage, muon, ADAM_RATE, others=[*stage.first.parameters(), *stage.last.parameters()])
    return torch.optim.Adam(stage.parameters(), RATE, BETAS)


def stage_of(context: StepContext, stage2_from: float | None) -> tuple[bool, StepContext]:
    """Whether G2's stage has begun, and the context for its steps.

    Where the stages have parts of the budget, each one's learning rate falls over its own part.
    """
    if stage2_from is None:
        return context.step >= STAGE2_STEP, context
    refining = context.progress >= stage2_from
    start, end = (stage2_from, 1.0) if refining else (0.0, stage2_from)
    return refining, replace(context, progress=(context.progress - start) / (end - start))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--form", choices=tuple(DISTANCES), default="market",
        help="which of the published programs to follow; fashion is for 256x256 (market)")
    add("--channels", type=int, default=128, metavar="N", help="at full size; 128 as published, 16 embedded")
    add("--code", type=int, default=64, metavar="N", help="numbers of the picture's code (64)")
    add("--pose", choices=(MAPS, COORDINATES, ENCODED), default=MAPS,
        help="maps beside the picture, or a vector beside the code from coordinates or encoded maps")
    add("--loss", choices=("mask", "l1"), default="mask", help="the pose-mask loss, or L1 for comparison")
    add("--stage2-from", type=float, metavar="PART",
        help=f"part of the budget after which G2 is trained (default: {STAGE2_STEP} steps)")
    add("--adversarial-from", type=float, default=0.0, metavar="PART",
        help="part of the budget after which the discriminator joins stage 2 (0)")
    add("--adversarial-weight", type=float, default=1.0, metavar="X", help="0 = without a discriminator (1)")
    add("--grow", type=Path, metavar="FILE", help="weights of the same network to start from")
    add("--muon", type=float, default=0.0, metavar="X",
        help="train the generators by Muon with this learning rate; it needs a third of the steps")


def build(args: argparse.Namespace, pool: Pool) -> Pg2Task:
    """The task for the pool's pictures, fresh or grown from `--grow`. Raises ValueError for sizes that PG2
    cannot draw."""
    height, width = args.size or pool.size
    config = Config(height, width, args.channels, args.code, first_skip=args.form == "fashion",
                    outputs=4 if "people" in pool.shards[0] else 3, pose=args.pose)
    net = PG2(config).initialise(args.seed)
    if args.muon:                                         # large steps against a random difference kill ReLUs
        nn.init.zeros_(net.g2.last.weight)
    if args.grow:
        start_from(args.grow, net)
    plan = Plan(args.form, args.loss == "mask", args.stage2_from, args.adversarial_weight,
                args.adversarial_from, args.muon)
    return Pg2Task(net, Discriminator(config, min(64, args.channels)).initialise(args.seed), plan)
