"""Trains SEAN: a picture is drawn anew from its region map and the style codes of its own regions.

    python run.py people --out pools/people --count 16000 --size 128x128
    python run.py train sean --data pools/people --out runs/sean --size 128x128 --steps 40000 --bf16

    python run.py pool celebamask --from CelebAMask-HQ --out pools/faces --size 256x256
    python run.py train sean --data pools/faces --out runs/faces --published --vgg vgg19.pth --steps 90000

Losses, learning rates and initial weights are the published ones (section 3 of arXiv 1911.12861): hinge loss,
feature matching and a perceptual loss. For short runs a pixel loss can be added (`--pixel`), the
discriminator can join late (`--adversarial-from`), and small pictures can come first: a run at 64x64 goes on
at 128x128 with `--grow`, because no weight depends on the size. `--mask-only` leaves the styles out (SPADE).
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ..metrics.images import compare_pictures
from ..perceptual import Perceptual
from ..training import Batch, Muon, Pool, StepContext, Task
from ..training.state import start_from
from .codes import StyleCodes
from .network import Config, Discriminator, Generator, draw_noise, to_mask
from .styles import MEANS, mean_styles, write_means

Scales = list[list[Tensor]]                               # per scale of the discriminator, per layer
GENERATOR_RATE, DISCRIMINATOR_RATE, BETAS = 1e-4, 4e-4, (0.0, 0.999)
ADAM_RATE, MUON_GAIN = 1e-3, 50.0                        # beside Muon; how much larger weights start
MATCHING, PERCEPTUAL = 10.0, 10.0
MAXIMUM_NORM = 100.0                                      # of gradients; only what explodes is cut


class SeanTask(Task):
    """One generator step a batch, then one discriminator step on a picture drawn anew."""

    name = "sean"
    averaged = ("generator",)

    def __init__(self, generator: Generator, discriminator: Discriminator, perceptual: Perceptual,
                 names: tuple[str, ...], *, adversarial_from: float = 0.0, pixel: float = 0.0,
                 muon: float = 0.0) -> None:
        self.generator, self.discriminator, self.perceptual = generator.train(), discriminator, perceptual
        self.names, self.adversarial_from, self.pixel = names, adversarial_from, pixel
        self.means = ""
        for module in (generator, discriminator):
            module.to(memory_format=torch.channels_last)   # type: ignore[call-overload]
        self.modules = {"generator": generator, "discriminator": discriminator}
        ends = [*generator.fc.parameters(), *generator.conv_img.parameters()]
        self.g_optimizer = Muon(generator, muon, ADAM_RATE, others=ends) if muon else \
            torch.optim.Adam(generator.parameters(), GENERATOR_RATE, BETAS)
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), DISCRIMINATOR_RATE, BETAS)
        self.optimizers: dict[str, Optimizer] = {"generator": self.g_optimizer,
                                                 "discriminator": self.d_optimizer}

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        if context.group.world > 1 and context.device.type == "cuda":
            synchronise(self.generator)
        mask, real = self._pair(batch, context.generator)
        self.perceptual.to(real.device)
        adversarial = context.progress >= self.adversarial_from
        with context.autocast():
            fake = self._draw(mask, real, context)
            losses = {"perceptual": PERCEPTUAL * self.perceptual(fake, real)}
            if adversarial:
                judged, known = self._judge(mask, fake, real)
                losses["adversarial"] = -mean_over(scale[-1] for scale in judged)
                losses["matching"] = MATCHING * matching(judged, known)
        if self.pixel:
            losses["pixel"] = self.pixel * F.l1_loss(fake.float(), real)
        context.descend(self.g_optimizer, torch.stack([loss.float() for loss in losses.values()]).sum(),
                        max_norm=MAXIMUM_NORM)
        if adversarial:
            losses["discriminator"] = self._train_discriminator(mask, real, context)
        return losses

    def _pair(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mask [B,R,H,W] and picture [B,3,H,W] -1..1, half of them mirrored; labels keep their sides."""
        image, regions = batch["image"] * 2 - 1, batch["regions"]
        flip = (torch.rand(len(image), generator=generator) < 0.5).to(image.device)
        image = torch.where(flip[:, None, None, None], image.flip(-1), image)
        regions = torch.where(flip[:, None, None], regions.flip(-1), regions)
        mask = to_mask(regions, self.generator.config.labels)
        return (mask.contiguous(memory_format=torch.channels_last),
                image.contiguous(memory_format=torch.channels_last))

    def _draw(self, mask: Tensor, real: Tensor, context: StepContext) -> Tensor:
        """The picture from its own codes, with fresh noise."""
        config = self.generator.config
        noise = {name: plane.to(real.device)
                 for name, plane in draw_noise(config, context.generator, len(real)).items()}
        codes = self.generator.encode(real, mask) if config.encoder else None
        return self.generator(mask, codes, noise=noise)

    def _judge(self, mask: Tensor, fake: Tensor, real: Tensor) -> tuple[Scales, Scales]:
        """The discriminator's outputs for fake and for real pictures, which it sees in one batch."""
        outputs = self.discriminator(torch.cat([mask, mask]), torch.cat([fake.to(real), real]))
        halves = [[layer.float().chunk(2) for layer in scale] for scale in outputs]
        on_fake, on_real = ([[half[side] for half in scale] for scale in halves] for side in (0, 1))
        return on_fake, on_real

    def _train_discriminator(self, mask: Tensor, real: Tensor, context: StepContext) -> Tensor:
        with context.autocast():
            with torch.no_grad():
                fake = self._draw(mask, real, context)
            on_fake, on_real = self._judge(mask, fake, real)
        loss = mean_over(F.relu(1 + scale[-1]) for scale in on_fake) + \
            mean_over(F.relu(1 - scale[-1]) for scale in on_real)
        context.descend(self.d_optimizer, loss)
        return loss

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: picture, drawn anew, drawn with the next person's styles where they have the region."""
        generator = in_evaluation(averaged["generator"])
        real, regions = batch["image"] * 2 - 1, batch["regions"]
        codes = generator.encode(real, regions) if generator.config.encoder else None
        rows = [real, generator(regions, codes)]
        if codes is not None:
            rows.append(generator(regions, borrowed(codes)))
        return torch.stack(rows).clamp(-1, 1) / 2 + 0.5

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        """Held-out pictures drawn anew: SSIM, PSNR (dB) and RMSE (0..1), means over the pictures.

        Their mean style codes go into the file, for regions that a picture lacks.
        """
        generator = in_evaluation(averaged["generator"])
        scores: dict[str, list[Tensor]] = {"ssim": [], "psnr": [], "rmse": []}
        styles: list[Tensor] = []
        for batch in batches:
            real, codes = batch["image"] * 2 - 1, None
            if generator.config.encoder:
                codes = generator.encode(real, batch["regions"])
                styles.append(codes.cpu())
            fake = (generator(batch["regions"], codes) / 2 + 0.5).clamp(0, 1)
            alike = compare_pictures(fake, batch["image"])
            for name, values in scores.items():
                values.append(getattr(alike, name))
        if styles:
            every = torch.cat(styles)
            self.means = write_means(mean_styles(StyleCodes(every, every.any(2), self.names, self.name)))
        return {name: round(float(torch.cat(values).mean()), 4) for name, values in scores.items()}

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        config = self.generator.config
        height, width = config.size
        state = {key: value for key, value in averaged["generator"].state_dict().items()
                 if not key.endswith("num_batches_tracked")}
        metadata = {"system": "sean", "size": f"{height}x{width}", "regions": ",".join(self.names),
                    "upsampling": "more" if config.more else "normal", "perceptual": self.perceptual.title}
        return state, metadata | ({MEANS: self.means} if self.means else {})


def synchronise(module: nn.Module) -> None:
    """Batch norms count over all processes from now on. On GPUs only: PyTorch has nothing for CPUs, where
    each process normalises by its own share and only the running statistics are averaged."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        synchronise(child)


def mean_over(judgements: Iterable[Tensor]) -> Tensor:
    """Every scale counts alike, whatever its size."""
    return torch.stack([judgement.mean() for judgement in judgements]).mean()


def matching(fake: Scales, real: Scales) -> Tensor:
    """L1 between the discriminator's inner layers, summed over layers and averaged over scales."""
    distances = [F.l1_loss(one, other.detach()) for a, b in zip(fake, real, strict=True)
                 for one, other in zip(a[:-1], b[:-1], strict=True)]
    return torch.stack(distances).sum() / len(fake)


def borrowed(codes: Tensor) -> Tensor:
    """[B,R,S] -> everybody's regions in the style of the next one who has the region."""
    present = (codes != 0).any(-1, keepdim=True)
    others = codes.clone()
    for shift in range(len(codes) - 1, 0, -1):
        others = torch.where(present.roll(-shift, 0), codes.roll(-shift, 0), others)
    return torch.where(present, others, codes)


def in_evaluation(module: nn.Module) -> Generator:
    assert isinstance(module, Generator)
    return module.eval()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--published", action="store_true",
        help="the published network for faces (267 M numbers); else the embedded one (see --width)")
    add("--width", type=int, default=32, metavar="N", help="channels at the full size, embedded (32)")
    add("--style", type=int, default=64, metavar="N", help="numbers of a style code, embedded (64)")
    add("--mask-only", action="store_true", help="without styles: SPADE, for comparison")
    add("--vgg", type=Path, metavar="FILE",
        help="torchvision's VGG-19 for the perceptual loss; without it features of the embedded detector")
    add("--grow", type=Path, metavar="FILE", help="weights to start from, of any size of pictures")
    add("--pixel", type=float, default=0.0, metavar="X", help="weight of an L1 loss on pixels (0)")
    add("--adversarial-from", type=float, default=0.0, metavar="PART",
        help="part of the budget after which the discriminator joins (0 = at once, 1 = never)")
    add("--muon", type=float, default=0.0, metavar="X",
        help="train the generator by Muon with this learning rate; it needs a third of the steps")


def sean_config(args: argparse.Namespace, labels: int, size: tuple[int, int]) -> Config:
    """Raises ValueError for sizes the network cannot draw."""
    dims = (1024, 512, 256, 128, 64) if args.published else tuple(args.width * n for n in (4, 3, 2, 1))
    factor = 2 ** len(dims)
    if any(side % factor for side in size):
        raise ValueError(f"--size should be multiples of {factor}; got {size[0]}x{size[1]}.")
    config = Config(labels=labels, dims=dims, start=(size[0] // factor, size[1] // factor),
                    styled=(True,) * (len(dims) + 1) + (False,))
    small = {} if args.published else {"style": args.style, "hidden": args.width, "encoder": args.width // 2}
    if args.mask_only:
        small |= {"style": 0, "encoder": 0, "styled": (False,) * len(config.styled)}
    return Config(**{**vars(config), **small})


def build(args: argparse.Namespace, pool: Pool) -> SeanTask:
    """The task for the regions of the pool, fresh or grown from `--grow`."""
    config = sean_config(args, len(pool.names), args.size or pool.size)
    generator = Generator(config).initialise(args.seed)
    if args.muon:
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.mul_(MUON_GAIN if parameter.ndim > 1 else 1.0)
    if args.grow:
        start_from(args.grow, generator)
    perceptual = Perceptual.vgg19(args.vgg) if args.vgg else Perceptual.detector()
    discriminator = Discriminator(config.labels, 64 if args.published else args.width).initialise(args.seed)
    return SeanTask(generator, discriminator, perceptual, pool.names, pixel=args.pixel, muon=args.muon,
                    adversarial_from=args.adversarial_from)
