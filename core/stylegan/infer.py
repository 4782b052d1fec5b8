"""Seeds in, latents out; latents in, pictures out."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..image import bchw_to_image, cycle_to
from ..mapping import LatentMapping
from ..runtime import Runtime
from .fast import FastGenerator
from .latents import Latent, Origin, check_owner, identity_of, slerp
from .network import CONST, RANDOM, Config
from .tuned import TunedNet, applied

BATCH = 8                                                 # pictures at once on an accelerator
MAPS = 6                                                  # full-size feature maps alive at once, about
PSI = 0.7                                                 # truncation of the dragging programs
_SEEDS = 2**32                                            # as many as NumPy knows
GeneratorNet = LoadedNet | TunedNet


def generator_of(net: GeneratorNet) -> FastGenerator:
    """Raises ValueError when `net` is something else."""
    base = net.net if isinstance(net, TunedNet) else net
    if not isinstance(base.module, FastGenerator):
        raise ValueError(f"{base.name} is a {base.system.title}, not a StyleGAN2 generator; load a "
                         "generator.")
    return base.module


@contextlib.contextmanager
def lend(net: GeneratorNet, runtime: Runtime,
         memory: int = 0) -> Iterator[tuple[FastGenerator, torch.device]]:
    """`Runtime.use` for generators as loaded and for tuned ones, which are tuned while this lasts."""
    module = generator_of(net)
    if not isinstance(net, TunedNet):
        with runtime.use(net, memory) as (_, device):
            yield module, device
        return
    with runtime.use(net.net, memory) as (_, device), applied(module, net.delta):
        yield module, device


def check_latent(net: GeneratorNet, latent: Latent) -> None:
    """Raises ValueError for a latent of another generator."""
    module = generator_of(net)
    check_owner(latent, module.config, identity_of(module.mapping), net.name)


def memory_of(config: Config) -> int:
    """Bytes for drawing one picture."""
    height, width = config.size(-1)
    return MAPS * height * width * config.channels[-1] * 4


def draw_z(config: Config, seeds: Sequence[int]) -> Tensor:
    """[N,Z] float32: `RandomState(seed).randn(1, Z)` of each seed, as the published scripts draw them."""
    rows = [np.random.RandomState(seed % _SEEDS).randn(1, config.z) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def sample_w(mapping: LatentMapping, count: int, seed: int) -> Tensor:
    """[count,W] of no class, untruncated, on the mapping's device; all z come from one seed."""
    z = torch.from_numpy(np.random.RandomState(seed % _SEEDS).randn(count, mapping.z).astype(np.float32))
    return mapping.map(z.to(mapping.w_avg.device))


def sample_latents(net: GeneratorNet, seeds: Sequence[int], *, psi: float = PSI, cutoff: int | None = None,
                   label: int | None = None, runtime: Runtime) -> Latent:
    """One latent per seed. `psi`: truncation, 1 = none, 0 = the mean; on the rows below `cutoff`, by default
    all. `label`: number of the class; None: no class.

    Raises ValueError without seeds and for a class the generator does not know.
    """
    config = generator_of(net).config
    if not seeds:
        raise ValueError("There is no seed; give at least one.")
    if label is not None and not 0 <= label < config.labels:
        known = f"classes 0 to {config.labels - 1}" if config.labels else "no classes"
        raise ValueError(f"{net.name} knows {known}; got class {label}.")
    labels = torch.zeros(len(seeds), config.labels)
    if label is not None:
        labels[:, label] = 1
    return map_origin(net, Origin(draw_z(config, seeds), labels, psi, cutoff), runtime)


def map_origin(net: GeneratorNet, origin: Origin, runtime: Runtime) -> Latent:
    """z -> w, truncated as the origin says."""
    with lend(net, runtime) as (module, device):
        ws = module.mapping(origin.z.to(device), origin.labels.to(device), origin.psi, origin.cutoff)
        return Latent(ws, net.name, identity_of(module.mapping), origin)


def truncate(net: GeneratorNet, latent: Latent, psi: float, cutoff: int | None = None, *,
             runtime: Runtime) -> Latent:
    """Latents moved towards the generator's mean: 1 = not at all, 0 = the mean."""
    check_latent(net, latent)
    with lend(net, runtime) as (module, device):
        return latent.edited(module.mapping.truncate(latent.w_plus.to(device), psi, cutoff))


def interpolate_z(net: GeneratorNet, a: Latent, b: Latent, t: Tensor, *, runtime: Runtime) -> Latent:
    """Spherical in z: sample i lies `t[i]` of the way from a sample of `a` to one of `b`, which repeat.

    Labels and psi go the straight way. Raises ValueError for latents whose z is not known.
    """
    first, second = (_origin(net, latent, len(t)) for latent in (a, b))
    if first.cutoff != second.cutoff or first.psi != second.psi:
        raise ValueError(f"Both latents should be truncated alike; got psi {first.psi} below layer "
                         f"{first.cutoff}, and psi {second.psi} below {second.cutoff}.")
    labels = torch.lerp(first.labels, second.labels, t.float()[:, None])
    return map_origin(net, replace(first, z=slerp(first.z, second.z, t), labels=labels), runtime)


def _origin(net: GeneratorNet, latent: Latent, count: int) -> Origin:
    check_latent(net, latent)
    if latent.origin is None:
        raise ValueError("The z of a latent is not known, as it was edited, inverted, put together of some "
                         "truncated in two ways, or comes from another program; interpolate in w instead.")
    origin = latent.origin
    return replace(origin, z=cycle_to(origin.z, count), labels=cycle_to(origin.labels, count))


def render(net: GeneratorNet, latent: Latent, noise: str = CONST, seed: int = 0, *,
           runtime: Runtime) -> Tensor:
    """Pictures [N,H,W,3] 0..1.

    `noise`: "const" (the generator's own), "random" (picture i has the seed `seed + i`) or "none". Raises
    ValueError for a latent of another generator. Where memory runs out, half as many pictures at a time.
    """
    check_latent(net, latent)
    progress, pictures = runtime.progress(len(latent), "drawing latents"), []
    config = generator_of(net).config
    with lend(net, runtime, memory_of(config) * min(BATCH, len(latent))) as (module, device):
        def draw(ws: Tensor, first: int) -> Tensor:
            rng = torch.Generator().manual_seed((seed + first) % 2**63)
            return to_image(module.picture(ws.to(device), noise, rng))

        # Alone on a CPU, so that pixels there cannot depend on the company; and alone with their own noise.
        batch = 1 if device.type == "cpu" or noise == RANDOM else BATCH
        for drawn in in_batches(draw, latent.w_plus, batch, runtime):
            pictures.append(drawn)
            progress.update(len(drawn), preview=drawn[-1])
    return torch.cat(pictures)


def in_batches(draw: Callable[[Tensor, int], Tensor], rows: Tensor, batch: int,
               runtime: Runtime) -> Iterator[Tensor]:
    """What `draw` makes of some rows, which begin at that number, until all are done: `batch` at a time, half
    as many from where memory runs out."""
    done = 0
    while done < len(rows):
        part = rows[done:done + batch]
        try:
            drawn = draw(part, done)
        except Exception as error:
            if len(part) == 1 or not runtime.is_oom(error):
                raise
            batch = len(part) // 2
            continue
        yield drawn
        done += len(part)


def to_image(drawn: Tensor) -> Tensor:
    """What generators draw, [N,1 or 3,H,W] of -1..1 -> pictures [N,H,W,3] 0..1 on the CPU."""
    return bchw_to_image((drawn.detach().float().cpu() + 1) / 2).expand(-1, -1, -1, 3)
