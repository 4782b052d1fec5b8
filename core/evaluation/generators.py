"""A StyleGAN2 generator: how like real pictures its own are, how smoothly they change with the latent, and
how well w keeps their attributes apart (sections 4.1 and 4.2 of arXiv 1812.04948)."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints import LoadedNet, load_as
from ..features import detector_features, region_shares
from ..image import image_to_bchw
from ..metrics.frechet import FeatureStatistics, frechet_distance
from ..metrics.path_length import mean_length, path_lengths
from ..metrics.separability import linear_separability
from ..perceptual import DETECTOR, DETECTOR_TITLE, Lpips
from ..runtime import Runtime
from ..stylegan.fast import FastGenerator
from ..stylegan.infer import generator_of, lend, memory_of, render, sample_latents, sample_w
from ..stylegan.project import fit_target, seen
from ..synthetic.pool import PoolSettings
from .folders import pictures_by_stem, read_rgb

BATCH, SHEET = 8, 32                                      # pictures drawn and looked at, compared, at once
_NAMES = {DETECTOR_TITLE: "ppl_detector", "VGG-16": "ppl_vgg16", "LPIPS": "ppl"}


def score_generator(net: LoadedNet, *, count: int = 1000, seed: int = 0, features: Lpips | None = None,
                    runtime: Runtime) -> dict[str, float]:
    """`count` pairs of latents, and as many pictures, without truncation.

    `ppl`: perceptual path length in w at the ends, as of StyleGAN2, with LPIPS; other features (None: those
    of the embedded detector) are named. `separability_z`, `separability_w`: of what stands in for CelebA's
    attributes, whether each of the eleven regions of people takes more of them than in most pictures, as the
    embedded detector sees it.
    """
    features = features or Lpips.detector()
    lengths = latent_path_lengths(net, features, count=count, seed=seed, runtime=runtime)
    return {_NAMES[features.title]: mean_length(lengths), **score_separability(net, count, seed, runtime)}


def studio_people(net: LoadedNet, count: int, first_id: int = 930_000) -> Iterator[Tensor]:
    """`count` procedural people, like those the embedded weights were trained on, at the generator's size:
    [n,3,H,W] 0..1 at a time. `first_id` keeps clear of training."""
    people = PoolSettings(count, generator_of(net).config.size(-1), "studio", first_id)
    for first in range(0, count, SHEET):
        yield people.render(first, min(SHEET, count - first), torch.device("cpu")).image


def folder_pictures(net: LoadedNet, folder: Path, count: int) -> Iterator[Tensor]:
    """The first `count` pictures of a folder, their middle part at the generator's size: [1,3,H,W] 0..1 at a
    time. Raises as `pictures_by_stem`."""
    for path in list(pictures_by_stem(folder).values())[:count]:
        yield fit_target(read_rgb(path)[None], *generator_of(net).config.size(-1))


def feature_distance(net: LoadedNet, real: Iterable[Tensor], *, seed: int = 0, runtime: Runtime) -> float:
    """FID of real pictures, [n,3,H,W] at a time, and as many drawn ones, with the features of the embedded
    detector. Drawn are seeds from `seed` on, of no class, untruncated. Raises ValueError for fewer than 2."""
    detector, theirs, ours = load_as(DETECTOR, "detector", runtime), FeatureStatistics(), FeatureStatistics()
    for pictures in real:
        first = seed + ours.count
        latent = sample_latents(net, range(first, first + len(pictures)), psi=1.0, runtime=runtime)
        drawn = image_to_bchw(render(net, latent, runtime=runtime))
        theirs.add(detector_features(detector, list(pictures), runtime))
        ours.add(detector_features(detector, list(drawn), runtime))
    return frechet_distance(theirs, ours)


def latent_path_lengths(net: LoadedNet, features: Lpips, *, count: int, seed: int = 0,
                        runtime: Runtime) -> Tensor:
    """[count]: from one w straight towards another, at its beginning, with the stored noise."""
    progress, lengths = runtime.progress(count, "measuring paths"), []
    config = generator_of(net).config
    with lend(net, runtime, memory_of(config) * BATCH) as (module, device):
        features.to(device)
        ends = sample_w(module.mapping, 2 * count, seed).view(2, count, -1)        # [2,N,W]
        for pairs in ends.split(BATCH, 1):
            path = partial(_drawn_at, module, *pairs)
            lengths.append(path_lengths(path, features, torch.zeros(pairs.shape[1], device=device)))
            progress.update(pairs.shape[1])
    return torch.cat(lengths)


def _drawn_at(module: FastGenerator, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Pictures [N,3,h,w] between two w [N,W], as they are compared."""
    w = torch.lerp(start, end, t[:, None])                                         # [N,W]
    return seen(module.picture(w[:, None].expand(-1, module.config.num_ws, -1)))


def score_separability(net: LoadedNet, count: int, seed: int, runtime: Runtime) -> dict[str, float]:
    """Of z and of w; pictures are drawn from the seeds `seed` on."""
    parser, shares, z, w = load_as(DETECTOR, "detector", runtime), [], [], []
    for seeds in torch.arange(seed, seed + count).split(BATCH):
        latent = sample_latents(net, seeds.tolist(), psi=1.0, runtime=runtime)
        pictures = image_to_bchw(render(net, latent, runtime=runtime))
        shares.append(region_shares(parser, list(pictures), runtime))
        assert latent.origin is not None
        z.append(latent.origin.z)
        w.append(latent.w_plus[:, 0])
    found = torch.cat(shares)                                                      # [N,11]
    scores = found - found.median(0).values
    return {f"separability_{name}": linear_separability(torch.cat(rows), scores)
            for name, rows in (("z", z), ("w", w))}
