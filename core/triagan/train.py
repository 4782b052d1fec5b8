"""Trains TriA-GAN on procedural people: regression with informed latents first, adversarial sharpening after.

    python run.py people --out pools/tall --count 7000 --size 144x80
    python run.py train triagan --data pools/tall --out runs/36 --size 36x20 --budget 8m
    python run.py train triagan --data pools/tall --out runs/72 --size 72x40 --budget 14m \
        --grow runs/36/triagan.safetensors
    python run.py train triagan --data pools/tall --out runs/144 --size 144x80 --budget 60m \
        --grow runs/72/triagan.safetensors --adversarial-from 0.6

The latent is the identity vector of the person in the picture, so each hole has one right answer and L1 does
not average people away. A patch discriminator that sees hole and pose then sharpens what is left blurred.
Growing follows the paper (section 3.2): levels count from the lowest resolution, a new stage adds one on top.
"""
from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pose.coco import OPENPOSE_OF_COCO
from ..training import Batch, Pool, StepContext, Task
from .network import Config, Generator
from .pose_input import joint_map, network_input

LOWEST = 9          # rows of the lowest level of every stage
CAP = 96            # widest level of the embedded configuration


def person_config(height: int, width: int, latent: int, base: int = 24, blocks: int = 2) -> Config:
    """The embedded configuration at one stage: `base` channels at 144 rows, twice that a level below, to 96.

    `latent`: numbers in an identity vector. `blocks`: residual blocks per level. Raises ValueError for sizes
    that are no stage.
    """
    levels = max(1, (height // LOWEST).bit_length())
    if LOWEST << (levels - 1) != height or width * 9 != height * 5:
        raise ValueError(f"--size should be 18x10, 36x20, 72x40, 144x80 or 288x160; got {height}x{width}.")
    dims = tuple(min(CAP, max(base, base * 144 // (height >> level))) for level in range(levels))
    return Config(dims=dims, z=latent, w=128, height=height, width=width, blocks=blocks)


def grow(generator: Generator, state: Mapping[str, Tensor]) -> list[str]:
    """Copies what fits of a lower stage's weights; returns the names of the freshly initialised rest."""
    own = generator.state_dict()
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    generator.load_state_dict(fits, strict=False)
    return sorted(own.keys() - fits.keys())


class ResidualDown(nn.Module):
    """Two 3x3 convolutions and an average-pooled skip: half the size, `out` channels."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, out, 3, 2, 1)
        self.conv1 = nn.Conv2d(out, out, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(self.conv0(F.leaky_relu(x, 0.2)), 0.2))     # [B,out,H/2,W/2]
        return (h + self.skip(F.avg_pool2d(x, 2, ceil_mode=True))) * math.sqrt(0.5)


class PatchDiscriminator(nn.Module):
    """One logit per 8x8 patch of the composite; sees the hole and the limbs. [B,10,H,W] -> [B,1,H/8,W/8]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 + 1 + 6, width, 3, 1, 1)
        self.down = nn.Sequential(ResidualDown(width, width * 2), ResidualDown(width * 2, width * 4),
                                  ResidualDown(width * 4, width * 4))
        self.logits = nn.Conv2d(width * 4, 1, 1)

    def forward(self, picture: Tensor, hole: Tensor, limbs: Tensor) -> Tensor:
        x = self.stem(torch.cat([picture, hole, limbs], 1))
        return self.logits(F.leaky_relu(self.down(x), 0.2))


def dilate(mask: Tensor, radius: Tensor) -> Tensor:
    """[B,1,H,W] 0/1 grown by a per-sample integer radius [B] (square neighbourhood)."""
    out = mask.clone()
    for r in radius.unique().tolist():
        chosen = radius == r
        out[chosen] = F.max_pool2d(mask[chosen], 2 * r + 1, 1, r)
    return out


def make_holes(person: Tensor, generator: torch.Generator, parts: bool = True) -> tuple[Tensor, Tensor]:
    """[B,1,H,W] person 0/1 -> (hole, segmentation), both 1 = person side.

    Three in four holes are the dilated person, with the looseness of a user's mask; the rest are a box of it,
    so that the net also repairs a part of somebody who stays visible. `parts=False` leaves the boxes out.
    """
    count, _, height, width = person.shape
    device = person.device

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    scale = max(1.0, height / 144)
    loose = (random(count) * 4 - 1.5).clamp(min=0) * scale
    segmentation = dilate(person, loose.round().long())
    hole = dilate(segmentation, (random(count) * 2 * scale + 1.5).round().long())
    centre, half = random(2, count), 0.12 + 0.25 * random(2, count)
    rows = (torch.arange(height, device=device) / height - centre[0, :, None]).abs() < half[0, :, None]
    columns = (torch.arange(width, device=device) / width - centre[1, :, None]).abs() < half[1, :, None]
    box = (rows[:, :, None] & columns[:, None, :])[:, None].float()
    chosen = random(count) < (0.25 if parts else 0.0)
    part = chosen[:, None, None, None] & ((hole * box).sum((1, 2, 3), keepdim=True) > 4)
    return torch.where(part, hole * box, hole), torch.where(part, segmentation * box, segmentation)


def coco_keypoints(points: Tensor, visibility: Tensor, height: int, width: int,
                   generator: torch.Generator) -> Tensor:
    """[B,18,2] pixels and [B,18] 0/1/2 -> [B,17,3] normalised; hidden joints stay with a detector's 70 %."""
    order = torch.tensor(OPENPOSE_OF_COCO, device=points.device)
    points, visibility = points[:, order], visibility[:, order]
    keep = torch.rand(visibility.shape, generator=generator).to(points.device) < 0.7
    seen = (visibility == 2) | ((visibility == 1) & keep)
    size = torch.tensor([width, height], device=points.device, dtype=points.dtype)
    return torch.cat([points / size, seen[..., None].to(points.dtype)], -1)


def hole_l1(fake: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute error inside the hole at full, half and quarter size (range 2)."""
    total, error = torch.zeros((), device=fake.device), (fake - real) * hole
    for scale, weight in ((1, 1.0), (2, 0.5), (4, 0.5)):
        area = (hole.sum() * 3 / scale**2).clamp(min=1)
        total = total + weight * F.avg_pool2d(error, scale).abs().sum() / area
    return total


def hole_mean(patches: Tensor, hole: Tensor) -> Tensor:
    """Mean over the patches [B,1,h,w] that touch the hole [B,1,H,W]: the others hold nothing to judge."""
    touched = F.adaptive_max_pool2d(hole, patches.shape[2:])
    return (patches * touched).sum() / touched.sum().clamp(min=1)


class TriaganTask(Task):
    """One generator step a batch; from `adversarial_from` of the budget on also one discriminator step."""

    name = "triagan"
    averaged = ("generator",)

    def __init__(self, generator: Generator, adversarial_from: float = 1.0, adversarial_weight: float = 0.03,
                 lr: float = 8e-3) -> None:
        discriminator = PatchDiscriminator()
        self.generator, self.discriminator = generator.train(), discriminator
        self.modules = {"generator": generator, "discriminator": discriminator}
        for parameter in [*generator.parameters(), *discriminator.parameters()]:
            if parameter.ndim == 4:                                  # quicker on every device
                parameter.data = parameter.contiguous(memory_format=torch.channels_last)
        style = list(generator.style_net.parameters())
        chosen = {id(p) for p in style}
        rest = [p for p in generator.parameters() if id(p) not in chosen]
        # The style net's run-time gain of 0.01 would freeze it: regression on identities needs it to learn.
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": style, "lr": 50 * lr}]
        self.g_optimizer = torch.optim.Adam(groups, lr, (0.5, 0.99))
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, (0.0, 0.99))
        self.optimizers = {"generator": self.g_optimizer, "discriminator": self.d_optimizer}
        self.adversarial_from, self.adversarial_weight = adversarial_from, adversarial_weight

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        scene = Scene(batch, context.generator)
        with context.autocast():
            w = self.generator.style_net(batch["identity"])
            raw = self.generator(scene.planes, w).float()
        self.generator.style_net.update_w_avg(w)
        fake = scene.composite(raw)
        losses = {"l1": hole_l1(fake, scene.real, scene.hole)}
        total = losses["l1"]
        sharpen = context.progress >= self.adversarial_from
        if sharpen:
            with context.autocast():
                logits = self.discriminator(fake, scene.hole, scene.limbs).float()
            losses["adversarial"] = hole_mean(F.softplus(-logits), scene.hole)
            total = total + self.adversarial_weight * losses["adversarial"]
        context.descend(self.g_optimizer, total, max_norm=10.0)
        if sharpen:
            losses["discriminator"] = self._train_discriminator(scene, fake.detach(), context)
        return losses

    def _train_discriminator(self, scene: Scene, fake: Tensor, context: StepContext) -> Tensor:
        """Logistic loss, and R1 (Mescheder et al. 2018) on one step in 16."""
        regularise = context.every(16)
        real = scene.real.clone().requires_grad_(regularise)
        with torch.autocast(context.device.type, torch.bfloat16, enabled=context.bf16 and not regularise):
            on_real = self.discriminator(real, scene.hole, scene.limbs).float()
            on_fake = self.discriminator(fake, scene.hole, scene.limbs).float()
        loss = hole_mean(F.softplus(-on_real) + F.softplus(on_fake), scene.hole)
        total = loss
        if regularise:
            slope, = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            total = loss + 16 * 0.5 * 0.02 * slope.square().sum((1, 2, 3)).mean()
        context.descend(self.d_optimizer, total, max_norm=10.0)
        return loss

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: hole, own identity, truth, the neighbour's, one identity for all, the mean person."""
        scene, own = Scene(batch, torch.Generator().manual_seed(0), parts=False), batch["identity"]
        generator = averaged["generator"]
        assert isinstance(generator, Generator)
        latents = (own, own.roll(1, 0), own[:1].expand_as(own))
        rows = [scene.composite(generator(scene.planes, generator.style_net(z))) for z in latents]
        rows.append(scene.composite(generator(scene.planes, generator.style_net.w_avg[None])))
        hole = scene.real * (1 - scene.hole)
        return torch.stack([hole, rows[0], scene.real, *rows[1:]]).clamp(-1, 1) / 2 + 0.5

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        """Held-out people, range 2: L1 in the hole with the own identity, distance of two identities."""
        generator = averaged["generator"]
        assert isinstance(generator, Generator)
        l1, apart, area = 0.0, 0.0, 0.0
        for batch in batches:
            scene = Scene(batch, torch.Generator().manual_seed(0), parts=False)
            own = generator(scene.planes, generator.style_net(batch["identity"]))
            other = generator(scene.planes, generator.style_net(batch["identity"].roll(1, 0)))
            l1 += float(((own - scene.real).abs() * scene.hole).sum()) / 3
            apart += float(((own - other).abs() * scene.hole).sum()) / 3
            area += float(scene.hole.sum())
        return {"hole_l1": round(l1 / area, 4), "identities_apart": round(apart / area, 4)}

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        return dict(averaged["generator"].state_dict()), {"system": "triagan", "latent": "identity"}


class Scene:
    """One batch as the networks see it. `hole`, 1 = synthesise; `real` and composites are -1..1."""

    def __init__(self, batch: Batch, generator: torch.Generator, parts: bool = True) -> None:
        height, width = batch["image"].shape[2:]
        self.real = batch["image"] * 2 - 1                                             # [B,3,H,W]
        person = (batch["regions"] > 0)[:, None].float()
        self.hole, segmentation = make_holes(person, generator, parts)
        points, visibility = batch["keypoints"][:, 0], batch["visibility"][:, 0]        # the main person's
        keypoints = coco_keypoints(points, visibility, height, width, generator)
        labels = joint_map(keypoints, height, width)
        known = 1 - self.hole
        planes = network_input(known * self.real, known, 1 - segmentation, keypoints, labels)
        self.planes = planes.contiguous(memory_format=torch.channels_last)             # [B,30,H,W]
        self.limbs = planes[:, -6:]

    def composite(self, raw: Tensor) -> Tensor:
        return self.real * (1 - self.hole) + raw * self.hole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", type=int, default=24, metavar="N", help="channels at 144 rows (24)")
    parser.add_argument("--blocks", type=int, default=2, metavar="N", help="residual blocks per level (2)")
    parser.add_argument("--grow", type=Path, metavar="FILE",
                        help="weights of the stage below, or of the same stage")
    parser.add_argument("--adversarial-from", type=float, default=1.0, metavar="PART",
                        help="part of the budget after which the discriminator joins (1 = never)")
    parser.add_argument("--adversarial-weight", type=float, default=0.03, metavar="X")
    parser.add_argument("--lr", type=float, default=8e-3, metavar="X",
                        help="generator's learning rate; four times the published one suits short runs")


def build(args: argparse.Namespace, pool: Pool) -> TriaganTask:
    """The task for `--size`, fresh or grown from `--grow`."""
    height, width = args.size or pool.size
    config = person_config(height, width, pool.identity_size, args.base, args.blocks)
    generator = Generator(config).initialise(args.seed)
    if args.grow:
        from ..checkpoints import read

        fresh = grow(generator, {k: v.float() for k, v in read(args.grow).tree.items()})
        print(f"{args.grow}: {len(fresh)} tensors start afresh")
    return TriaganTask(generator, args.adversarial_from, args.adversarial_weight, args.lr)
