"""Trains Deformable GAN: a person's picture and pose, and another pose, become the same person in that pose.

    python run.py people --out pools/pairs --count 24000 --size 128x64 --mode studio --views 4
    python run.py train deformable --data pools/pairs --out runs/deformable --steps 90000 --batch 16 --bf16

    python run.py pool market --from market --out pools/market
    python run.py train deformable --data pools/market --out runs/market --vgg vgg19.pth --steps 90000

Losses, rates and initial weights are the published ones (section 3.4 of arXiv 1801.00055): adversarial and
nearest-neighbour loss, the latter in features of VGG-19 or, without its file, of the embedded detector.
VGG-19 is torchvision's, given pictures -1..1 (published: Keras', whose input is `network.vgg_input`). Short
runs do better with `--muon`, a loss on pixels (`--pixel`) and a late discriminator (`--adversarial-from`).
Pools that know masks (procedural people) give networks that also draw the person's opacity.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ..perceptual import Perceptual
from ..pose.maps import gaussian_maps
from ..pose.parts import part_geometry
from ..training import Batch, Muon, Pairs, Pool, StepContext, Task
from ..training.state import start_from
from ..training.transfer import Pair, prepared, score_pairs, sheet
from .network import FASHION, Config, Discriminator, Generator, nearest_neighbours, surprise

POOL = Pairs
RATE, BETAS = 2e-4, (0.5, 0.999)
NEAREST, PIXEL, OPACITY = 0.01, 100.0, 1.0                # published weights; the opacity is ours
ADAM_RATE = 1e-3                                          # beside Muon
MAXIMUM_NORM = 100.0                                      # of gradients; only what explodes is cut
LOSSES = ("nearest", "l1")
Net = TypeVar("Net", bound=nn.Module)


class DeformableTask(Task):
    """One discriminator step a batch, on pictures drawn before, then one generator step."""

    name = "deformable"
    averaged = ("generator",)

    def __init__(self, generator: Generator, discriminator: Discriminator, perceptual: Perceptual | None, *,
                 size: tuple[int, int], window: int, nearest: float, pixel: float,
                 adversarial: float, adversarial_from: float, muon: float) -> None:
        self.generator, self.discriminator, self.perceptual = generator.train(), discriminator, perceptual
        self.size, self.window, self.nearest, self.pixel = size, window, nearest, pixel
        self.adversarial, self.adversarial_from = adversarial, adversarial_from
        self.modules = {"generator": generator, "discriminator": discriminator}
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)   # type: ignore[call-overload]
        ends = [generator.get_parameter(name) for name in ("appearance.0.weight", "decoder.picture.weight")]
        self.g_optimizer = Muon(generator, muon, ADAM_RATE, others=ends) if muon else \
            torch.optim.Adam(generator.parameters(), RATE, BETAS)
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), RATE, BETAS)
        self.optimizers: dict[str, Optimizer] = {"generator": self.g_optimizer,
                                                 "discriminator": self.d_optimizer}

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        pair = prepared(batch, context.generator)
        judged = self.adversarial > 0 and context.progress >= self.adversarial_from
        losses = {"discriminator": self._train_discriminator(pair, context)} if judged else {}
        with context.autocast():
            fake = self.draw(pair, self.generator)
            parts = self._losses(pair, fake, context.generator)
            if judged:
                parts["adversarial"] = self.adversarial * surprise(self._judge(pair, fake[:, :3]).float())
        context.descend(self.g_optimizer, torch.stack(list(parts.values())).sum(), max_norm=MAXIMUM_NORM)
        return parts | losses

    def draw(self, pair: Pair, generator: nn.Module) -> Tensor:
        """[B,3 or 4,H,W], -1..1."""
        source, target = (heat_maps(joints, pair.size).to(pair.source)
                          for joints in (pair.source_joints, pair.target_joints))
        with torch.autocast(pair.source.device.type, enabled=False):
            geometry = part_geometry(pair.source_joints, pair.target_joints, pair.size)
        return generator(pair.source, source, target, geometry)

    def _losses(self, pair: Pair, fake: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        losses, colours = {}, fake[:, :3].float()
        if self.perceptual is not None:
            self.perceptual.to(colours.device)
            # Strided features see a fixed half of the pixels better; moving the picture spares it the dots.
            across, down = torch.randint(2, (2,), generator=generator).tolist()
            wanted, drawn = (F.pad(picture, (across, 0, down, 0), mode="replicate")
                             for picture in (pair.target, colours))
            with torch.no_grad():
                real = self.perceptual.features(wanted)[0].float()
            distance = nearest_neighbours(self.perceptual.features(drawn)[0].float(), real, self.window)
            losses["nearest"] = self.nearest * distance.mean()
        if self.pixel:
            losses["pixel"] = self.pixel * F.l1_loss(colours, pair.target)
        if pair.mask is not None:
            weight = OPACITY * (self.pixel or 1.0)
            losses["opacity"] = weight * F.l1_loss(fake[:, 3:].float(), pair.mask * 2 - 1)
        return losses

    def _judge(self, pair: Pair, picture: Tensor) -> Tensor:
        source, target = (heat_maps(joints, pair.size).to(pair.source)
                          for joints in (pair.source_joints, pair.target_joints))
        return self.discriminator(pair.source, source, picture, target)

    def _train_discriminator(self, pair: Pair, context: StepContext) -> Tensor:
        with context.autocast():
            with torch.no_grad():
                fake = self.draw(pair, self.generator)[:, :3]
            loss = surprise(self._judge(pair, pair.target).float()) + \
                surprise(1 - self._judge(pair, fake).float())
        context.descend(self.d_optimizer, loss)
        return loss

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: source, pose, drawn, target."""
        pair = prepared(batch)
        return sheet(pair, self.draw(pair, averaged["generator"].eval()))

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        generator = averaged["generator"].eval()
        return score_pairs(lambda pair: self.draw(pair, generator), batches)

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        height, width = self.size
        features = self.perceptual.title if self.perceptual else "none"
        return dict(averaged["generator"].state_dict()), {
            "system": "deformable", "size": f"{height}x{width}", "heatmaps": "smooth", "features": features}


def heat_maps(joints: Tensor, size: tuple[int, int]) -> Tensor:
    """Smooth ones: networks trained here never see the published steps."""
    return gaussian_maps(joints, *size, stepped=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--widths", type=_widths, metavar="A,B,..", help="channels of the levels; as published")
    add("--no-skips", action="store_true", help="the baseline: one encoder, nothing is moved")
    add("--dropout", type=float, default=0.5, metavar="P", help="in the first blocks of the decoder (0.5)")
    add("--loss", choices=LOSSES, default="nearest", help="nearest neighbours in features, or L1 of pixels")
    add("--window", type=int, choices=(1, 3, 5, 7), metavar="N",
        help="neighbourhood of the nearest-neighbour loss (5 at 256x256, else 3)")
    add("--nearest", type=float, default=NEAREST, metavar="X", help=f"its weight ({NEAREST})")
    add("--pixel", type=float, metavar="X", help=f"weight of the L1 loss ({PIXEL:g} with --loss l1, else 0)")
    add("--vgg", type=Path, metavar="FILE",
        help="torchvision's VGG-19 for the features; without it those of the embedded detector")
    add("--adversarial", type=float, default=1.0, metavar="X", help="weight of the adversarial loss (1)")
    add("--adversarial-from", type=float, default=0.0, metavar="PART",
        help="part of the budget after which the discriminator joins (0)")
    add("--grow", type=Path, metavar="FILE", help="weights to start from, of any size of pictures")
    add("--muon", type=float, default=0.0, metavar="X",
        help="train the generator by Muon with this learning rate; it needs a third of the steps")


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def build(args: argparse.Namespace, pool: Pool) -> DeformableTask:
    """The task for the pool's pictures, with Keras' initial weights."""
    size = args.size or pool.size
    published = FASHION if min(size) >= 256 else Config()
    config = Config(widths=args.widths or published.widths, deformable=not args.no_skips,
                    outputs=4 if "people" in pool.shards[0] else 3)
    features = args.loss == "nearest"
    perceptual = None
    if features:
        perceptual = Perceptual.vgg19(args.vgg, {"relu1_2": 1.0}) if args.vgg else Perceptual.detector()
    pixel = args.pixel if args.pixel is not None else (0.0 if features else PIXEL)
    generator = initialised(Generator(config))
    for module in generator.modules():
        if isinstance(module, nn.Dropout) and module.p > 0:
            module.p = args.dropout
    if args.grow:
        start_from(args.grow, generator)
    return DeformableTask(
        generator, initialised(Discriminator()), perceptual, size=size,
        window=args.window or (5 if published is FASHION else 3), nearest=args.nearest, pixel=pixel,
        adversarial=args.adversarial, adversarial_from=args.adversarial_from, muon=args.muon)


def initialised(net: Net) -> Net:
    """Keras' defaults: Glorot uniform weights, no biases, gain 1 and offset 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net
