"""Trains StyleGAN2 (with the adaptive augmentation of StyleGAN2-ADA) on pictures of anything.

    python run.py people --out pools/pairs --count 24000 --size 128x64 --mode studio --views 4
    python run.py train stylegan --data pools/pairs --out runs/stylegan --preset shhq --mirror --steps 780000

    python run.py pool celebamask --from CelebAMask-HQ --out pools/faces
    python run.py train stylegan --data pools/faces --out runs/faces --preset paper256 --batch 64 \
        --steps 390000

Losses, rates and regularisers are the published ones (arXiv 1912.04958 and 2006.06676). Pictures are
a power of two high and a multiple of a quarter of that wide: 256x256, or 128x64 for people. Pools with
classes (the field `label`) give conditional networks.

Short runs on procedural people start informed: `--informed-until 0.5` spends half of the budget on regression
from latents that know the person in the picture (`informed.py`), before a discriminator joins. Much of it
goes faster with small pictures: `--size 32x16`, then `--start` with its file and twice the size, for one more
block.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..checkpoints import embedded, load, read
from ..features import detector_features
from ..metrics.frechet import FeatureStatistics, frechet_distance
from ..perceptual import DETECTOR, Perceptual
from ..runtime import Runtime
from ..training import Batch, Pool, StepContext, Task
from ..training.options import doubling
from ..training.pool import to_batch
from . import augment
from .discriminator import Discriminator, DiscriminatorConfig
from .infer import sample_w
from .informed import Informed
from .layers import PLAIN, RESNET
from .losses import gradient_penalty, lazy_adam, path_lengths
from .network import CONST, RANDOM, Config, Generator
from .trainable import trainable
from .weights import W_AVG, read_config, read_discriminator_config, select, select_discriminator

R1_EVERY, PATH_EVERY = 16, 4                              # batches between two regularising steps
PATH_WEIGHT, PATH_DECAY = 2.0, 0.01                       # of the penalty, of its running mean
MIXING = 0.9                                              # part of the batches with two latents per picture
PIXEL, FEATURES = 10.0, 1.0                               # weights of the regression
INFORMED_PART = 8                                         # one picture in 8 stays informed afterwards
INFORMED_RATE, INFORMED_BETAS, MAPPING_GAIN = 2e-2, (0.9, 0.99), 50.0
MAXIMUM_NORM = 100.0                                      # of gradients; only what explodes is cut
SAMPLES = 4096                                            # of the pool, that the latents are informed by
SHOWN_PSI = 0.7                                           # of the sheet's truncated pictures


class Preset(NamedTuple):
    """Published settings; None = by resolution and batch. `base`: channels times resolution."""

    base: int | None = None
    rate: float | None = None
    gamma: float | None = None
    mapping: int = 8
    group: int = 4
    augmented: bool = True
    plain: bool = False                                   # no path length, no mixing, "orig" discriminator


PRESETS = {
    "auto": Preset(mapping=2), "shhq": Preset(augmented=False),
    "stylegan2": Preset(32768, 0.002, 10.0), "paper256": Preset(16384, 0.0025, 1.0, group=8),
    "paper512": Preset(32768, 0.0025, 0.5, group=8), "paper1024": Preset(32768, 0.002, 2.0),
    "cifar": Preset(32768, 0.0025, 0.01, mapping=2, group=32, plain=True)}


def resolved(preset: Preset, height: int, batch: int) -> Preset:
    """The preset with what follows from resolution and batch."""
    return preset._replace(
        base=preset.base or (32768 if height >= 512 else 16384),
        rate=preset.rate or (0.002 if height >= 1024 else 0.0025),
        gamma=0.0002 * height ** 2 / batch if preset.gamma is None else preset.gamma,
        group=min(preset.group, batch))


class Known(nn.Module):
    """What a run knows beside weights. `p`: how often D's pictures are augmented. `signs`: mean sign of D's
    logits for real pictures since the last change of p. `length`: mean path length."""

    p: Tensor
    signs: Tensor
    length: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("p", "signs", "length"):
            self.register_buffer(name, torch.zeros(()))


class StyleganTask(Task):
    """Regression on informed latents first where asked for; then one generator and one discriminator step a
    batch, and lazily their regularisers."""

    name = "stylegan"
    averaged = ("generator",)

    def __init__(self, generator: Generator, discriminator: Discriminator, preset: Preset, *,
                 informed: Informed | None = None, informed_until: float = 0.0,
                 informed_rate: float = INFORMED_RATE, mirror: bool = False,
                 spread: float | None = None, speed: int = augment.SPEED) -> None:
        self.generator, self.discriminator, self.preset = generator.train(), discriminator, preset
        self.informed, self.informed_until, self.mirror = informed, informed_until, mirror
        self.spread, self.speed, self.known = spread, speed, Known()
        self.modules = {"generator": generator, "discriminator": discriminator, "known": self.known}
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)   # type: ignore[call-overload]
        assert preset.rate is not None and preset.gamma is not None
        self.gamma = preset.gamma
        self.g_optimizer = lazy_adam(generator, preset.rate, 0 if preset.plain else PATH_EVERY)
        self.d_optimizer = lazy_adam(discriminator, preset.rate, R1_EVERY)
        self.optimizers: dict[str, Optimizer] = {"generator": self.g_optimizer,
                                                 "discriminator": self.d_optimizer}
        self.perceptual: Perceptual | None = None
        if informed is not None:
            self.perceptual = Perceptual.detector()
            # The mapping's run-time gain of 0.01 would nearly freeze it: regression needs it to learn.
            groups: list[dict[str, Any]] = [
                {"params": list(generator.synthesis.parameters())},
                {"params": list(generator.mapping.parameters()), "lr": MAPPING_GAIN * informed_rate}]
            self.optimizers["informed"] = Adam(groups, informed_rate, INFORMED_BETAS)

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        if context.progress < self.informed_until:
            losses = self._resemble(batch, context, len(batch["image"]))
            context.descend(self.optimizers["informed"], total(losses), max_norm=MAXIMUM_NORM)
            return losses
        real, labels = self._real(batch, context.generator), self._labels(batch)
        losses = self._train_generator(batch, labels, context)
        if not self.preset.plain and context.every(PATH_EVERY):
            losses["path"] = self._shorten_paths(labels, context, max(1, len(real) // 2))
        losses["discriminator"] = self._train_discriminator(real, labels, context)
        if context.every(R1_EVERY):
            losses["r1"] = self._smooth(real, labels, context)
        self._adapt(len(real), context)
        return losses | {"augmented": self.known.p}

    def _resemble(self, batch: Batch, context: StepContext, count: int) -> dict[str, Tensor]:
        """The first `count` people of the batch, drawn from what is known about them."""
        assert self.informed is not None and self.perceptual is not None
        part = {name: field[:count] for name, field in batch.items()}
        real = part["image"] * 2 - 1
        z = self.informed.latents(part, context.generator)
        with context.autocast():
            fake = self._draw(z, self._labels(part), context, mixed=False)
            features = self.perceptual.to(real.device)(fake, real)
        return {"pixel": PIXEL * F.l1_loss(fake, real), "features": FEATURES * features}

    def _real(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """[B,3,H,W] -1..1; half of them mirrored where asked for."""
        real = batch["image"] * 2 - 1
        if self.mirror:
            flip = (torch.rand(len(real), generator=rng) < 0.5).to(real.device)
            real = torch.where(flip[:, None, None, None], real.flip(-1), real)
        return real

    def _labels(self, batch: Batch) -> Tensor | None:
        """[B,classes]"""
        count = self.generator.config.labels
        return F.one_hot(batch["label"].long(), count).float() if count else None

    def _draw(self, z: Tensor, labels: Tensor | None, context: StepContext, mixed: bool = True,
              follow: bool = True) -> Tensor:
        """z [B,Z] -> [B,3,H,W]. `mixed`: rows of w from a second z. `follow`: the mean w goes along."""
        return self.generator.picture(self._rows(z, labels, context, mixed, follow), RANDOM).float()

    def _rows(self, z: Tensor, labels: Tensor | None, context: StepContext, mixed: bool,
              follow: bool) -> Tensor:
        """[B,num_ws,W]"""
        mapping, rng = self.generator.mapping, context.generator
        ws = mapping(z, labels)
        if follow:
            mapping.update_w_avg(ws[:, 0])
        if not mixed or self.preset.plain or float(torch.rand((), generator=rng)) >= MIXING:
            return ws
        cutoff = int(torch.randint(1, mapping.num_ws, (), generator=rng))
        other = mapping(self._normal(len(z), context), labels)
        return torch.cat([ws[:, :cutoff], other[:, cutoff:]], 1)

    def _normal(self, count: int, context: StepContext) -> Tensor:
        return torch.randn(count, self.generator.config.z, generator=context.generator).to(context.device)

    def _judge(self, pictures: Tensor, labels: Tensor | None, context: StepContext) -> Tensor:
        """Logits [B,1], after augmentation."""
        p = float(self.known.p) if self.preset.augmented else 0.0
        seen = augment.augment(pictures, p, context.generator)
        return self.discriminator(seen.contiguous(memory_format=torch.channels_last), labels).float()

    def _train_generator(self, batch: Batch, labels: Tensor | None,
                         context: StepContext) -> dict[str, Tensor]:
        count = len(batch["image"])
        with context.autocast():
            fake = self._draw(self._normal(count, context), labels, context)
            losses = {"generator": F.softplus(-self._judge(fake, labels, context)).mean()}
        if self.informed is not None:
            losses |= self._resemble(batch, context, max(1, count // INFORMED_PART))
        context.descend(self.g_optimizer, total(losses), max_norm=MAXIMUM_NORM)
        return losses

    def _shorten_paths(self, labels: Tensor | None, context: StepContext, count: int) -> Tensor:
        """On half of a batch, in float32."""
        ws = self._rows(self._normal(count, context), None if labels is None else labels[:count], context,
                        mixed=True, follow=False)
        fake = self.generator.picture(ws, RANDOM)
        directions = torch.randn(fake.shape, generator=context.generator).to(fake)
        lengths = path_lengths(fake, ws, directions)
        self.known.length.lerp_(lengths.detach().mean(), PATH_DECAY)
        penalty = (lengths - self.known.length).square().mean()
        context.descend(self.g_optimizer, PATH_WEIGHT * PATH_EVERY * penalty, max_norm=MAXIMUM_NORM)
        return penalty

    def _train_discriminator(self, real: Tensor, labels: Tensor | None, context: StepContext) -> Tensor:
        with context.autocast():
            with torch.no_grad():
                fake = self._draw(self._normal(len(real), context), labels, context, follow=False)
            on_fake, on_real = (self._judge(pictures, labels, context) for pictures in (fake, real))
        self.known.signs += on_real.detach().sign().mean() / augment.EVERY
        loss = (F.softplus(on_fake) + F.softplus(-on_real)).mean()
        context.descend(self.d_optimizer, loss)
        return loss

    def _smooth(self, real: Tensor, labels: Tensor | None, context: StepContext) -> Tensor:
        """R1, in float32."""
        real = real.detach().requires_grad_()
        penalty = gradient_penalty(self._judge(real, labels, context), real)
        context.descend(self.d_optimizer, R1_EVERY * self.gamma / 2 * penalty)
        return penalty

    def _adapt(self, images: int, context: StepContext) -> None:
        """On the last of `EVERY` steps: sets how often pictures are augmented from now on."""
        if self.preset.augmented and (context.step + 1) % augment.EVERY == 0:
            shown = images * augment.EVERY * context.group.world
            self.known.p.copy_(augment.adapted(self.known.p, self.known.signs, shown, self.speed))
            self.known.signs.zero_()

    @torch.no_grad()
    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows: pictures of the pool; drawn from what is known about them, where that was taught; drawn from
        normal latents; the same truncated."""
        generator, labels = as_generator(averaged["generator"]), self._labels(batch)
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(len(batch["image"]), generator.config.z, generator=rng).to(batch["image"])
        latents = [generator.mapping(z, labels, psi) for psi in (1.0, SHOWN_PSI)]
        if self.informed is not None:
            latents.insert(0, generator.mapping(self.informed.latents(batch, rng), labels))
        drawn = torch.stack([generator.picture(ws, CONST) for ws in latents])
        return torch.cat([batch["image"][None], (drawn.clamp(-1, 1) + 1) / 2])

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        """Fréchet distance between the held-out pictures and as many drawn ones, in features of the embedded
        detector. So few pictures make it too large: it compares runs with each other only."""
        generator, rng = as_generator(averaged["generator"]), torch.Generator().manual_seed(0)
        net, real, fake = load(embedded()[DETECTOR]), FeatureStatistics(), FeatureStatistics()
        for batch in batches:
            pictures = batch["image"]
            z = torch.randn(len(pictures), generator.config.z, generator=rng).to(pictures)
            drawn = generator.picture(generator.mapping(z, self._labels(batch)), CONST)
            runtime = Runtime(pictures.device)
            real.add(detector_features(net, list(pictures), runtime))
            fake.add(detector_features(net, list((drawn.clamp(-1, 1) + 1) / 2), runtime))
        return {"fid_detector": round(frechet_distance(real, fake), 4), "pictures": float(real.count)}

    def export(self, averaged: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, str]]:
        config = self.generator.config
        height, width = config.size(-1)
        arguments = {"z_dim": config.z, "w_dim": config.w, "c_dim": config.labels, "img_resolution": height,
                     "img_channels": config.image_channels, "square": height == width,
                     "synthesis_kwargs": {"conv_clamp": config.conv_clamp}}
        generator = as_generator(averaged["generator"])
        state = generator.state_dict() if self.spread is None else respread(generator, self.spread)
        return dict(state), {
            "system": "stylegan", "size": f"{height}x{width}", "arguments": json.dumps(arguments)}


@torch.no_grad()
def respread(generator: Generator, spread: float) -> dict[str, Tensor]:
    """The state of a generator of the same pictures whose w has numbers of this deviation. Learning rates
    that others published for w mean as much then as with their generators."""
    factor = spread / float(sample_w(generator.mapping, SAMPLES, seed=0).std(0).mean())
    last = f"mapping.fc{generator.mapping.depth - 1}."
    return {name: value * factor if name.startswith(last) or name == W_AVG else
            value / factor if name.endswith("affine.weight") else value
            for name, value in generator.state_dict().items()}


def total(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([loss.float() for loss in losses.values()]).sum()


def as_generator(module: nn.Module) -> Generator:
    assert isinstance(module, Generator)
    return module.eval()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", choices=tuple(PRESETS), default="auto", help="published settings (auto: by resolution)")
    add("--base", type=int, metavar="N", help="channels times resolution; by the preset")
    add("--widest", type=int, default=512, metavar="N", help="most channels of a layer (512)")
    add("--latent", type=int, default=512, metavar="N", help="numbers of z and of w (512)")
    add("--mapping", type=int, metavar="N", help="mapping layers; by the preset")
    add("--rate", type=float, metavar="X", help="learning rate; by the preset")
    add("--gamma", type=float, metavar="X", help="weight of R1; by the preset")
    add("--mirror", action="store_true", help="half of the pictures mirrored")
    add("--augment", choices=("ada", "none"), help="adaptive augmentation or none; by the preset")
    add("--informed-until", type=float, default=0.0, metavar="PART",
        help="part of the budget for regression from latents that know the person (0; people only)")
    add("--informed-rate", type=float, default=INFORMED_RATE, metavar="X",
        help=f"learning rate of that regression ({INFORMED_RATE})")
    add("--spread", type=float, metavar="X",
        help="deviation that the numbers of w get in the exported file, where pictures stay; as learned")
    add("--start", type=Path, metavar="FILE",
        help="a StyleGAN2 file to go on from; its networks are taken, with its discriminator if it has one. "
             "Blocks above its size are new; informed latents need the same --seed")


def build(args: argparse.Namespace, pool: Pool) -> StyleganTask:
    """The task for the pool's pictures, fresh or from `--start`."""
    height, width = args.size or pool.size
    preset = resolved(chosen_preset(args), height, args.batch)
    if args.start:
        generator, discriminator = started(args.start, (height, width), args.seed, preset)
    else:
        config = fresh_config(args, preset, (height, width), class_count(pool))
        generator = trainable(config).initialise(args.seed)
        discriminator = Discriminator(opponent(config, preset)).initialise(args.seed)
    informed = Informed(spread_over(pool), generator.config.z, args.seed) if args.informed_until else None
    return StyleganTask(generator, discriminator, preset, informed=informed,
                        informed_until=args.informed_until, informed_rate=args.informed_rate,
                        mirror=args.mirror, spread=args.spread,
                        speed=augment.SPEED_OF_STARTED if args.start else augment.SPEED)


def chosen_preset(args: argparse.Namespace) -> Preset:
    """The preset with the options that were given in its place."""
    given = {"base": args.base, "rate": args.rate, "gamma": args.gamma, "mapping": args.mapping,
             "augmented": args.augment and args.augment == "ada"}
    return PRESETS[args.preset]._replace(**{k: v for k, v in given.items() if v is not None})


def spread_over(pool: Pool) -> Iterator[Batch]:
    """Some thousand samples from all over the pool."""
    numbers = torch.arange(0, len(pool), max(1, len(pool) // SAMPLES))
    return (to_batch(pool.take(part), torch.device("cpu")) for part in numbers.split(256))


def class_count(pool: Pool) -> int:
    """How many classes the pool's `label` [n] numbers, 0 without the field."""
    return 1 + max(int(shard["label"].max()) for shard in pool.shards) if "label" in pool.shards[0] else 0


def fresh_config(args: argparse.Namespace, preset: Preset, size: tuple[int, int], labels: int) -> Config:
    """Raises ValueError for sizes the network cannot draw."""
    assert preset.base is not None
    channels, start = doubling(size, preset.base, args.widest)
    return Config(channels=channels, start=start, z=args.latent, labels=labels,
                  embed=args.latent if labels else 0, mapping=(args.latent,) * preset.mapping)


def opponent(config: Config, preset: Preset) -> DiscriminatorConfig:
    """The discriminator of a generator's pictures."""
    width = config.channels[0] if config.labels else 0
    return DiscriminatorConfig(
        channels=config.channels, start=config.start, labels=config.labels, embed=width,
        mapping=(width,) * (8 if width else 0), architecture=PLAIN if preset.plain else RESNET,
        group=preset.group, conv_clamp=config.conv_clamp)


def started(path: Path, size: tuple[int, int], seed: int,
            preset: Preset) -> tuple[Generator, Discriminator]:
    """The networks of a file, trainable. Raises ValueError where it holds none, or of another size."""
    contents = read(path)
    state = select(contents.tree)
    if state is None:
        raise ValueError(f"{path.name} holds no StyleGAN2 generator; --start takes one to go on from.")
    config = read_config(state, contents.metadata)
    generator = trainable(grown(config, size, preset, path.name)).initialise(seed)
    take(generator, state)
    for block in generator.synthesis.blocks[len(config.channels):]:
        if block.torgb is not None:                       # pictures start as the old ones, larger
            nn.init.zeros_(block.torgb.weight)
    judge = select_discriminator(contents.tree)
    chosen = opponent(generator.config, preset) if judge is None else replace(
        read_discriminator_config(judge, contents.metadata), channels=generator.config.channels)
    discriminator = Discriminator(chosen).initialise(seed)
    take(discriminator, judge or {})
    return generator, discriminator


def grown(config: Config, size: tuple[int, int], preset: Preset, name: str) -> Config:
    """With as many blocks more as the pictures need. Raises ValueError for smaller pictures and other
    shapes."""
    (height, width), (old_height, old_width) = size, config.size(-1)
    more = (height // old_height).bit_length() - 1
    if more < 0 or size != (old_height << more, old_width << more):
        raise ValueError(f"{name} draws {old_height}x{old_width}, but the pictures are {height}x{width}; "
                         "give --size, the same or 2, 4, 8 times as large.")
    assert preset.base is not None
    new = (max(1, min(preset.base // (old_height << block), config.channels[-1]))
           for block in range(1, more + 1))
    return replace(config, channels=(*config.channels, *new))


def take(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fills a network with the tensors of its names, in float32."""
    own = net.state_dict()
    net.load_state_dict({k: v.float() for k, v in state.items() if k in own}, strict=False)
