"""Scores of two folders of pictures: what is real, and what a network made of it."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoints import load_as
from ..detect import detect_people
from ..features import detector_features
from ..graph.files import list_pictures, open_picture
from ..metrics.frechet import FeatureStatistics, frechet_distance
from ..metrics.images import Similarity, compare_pictures
from ..metrics.segmentation import Confusion
from ..regions import PERSON_REGIONS
from ..runtime import Runtime

BATCH = 32                                                # pictures in memory at a time
Pair = tuple[Path, Path]                                  # real, fake


def pair_up(real: Path, fake: Path) -> list[Pair]:
    """The pictures of both folders by name without suffix, sorted. Raises ValueError when either has none,
    two of one name, or one that the other lacks."""
    ours, theirs = pictures_by_stem(real), pictures_by_stem(fake)
    for folder, lacking in ((fake, ours.keys() - theirs.keys()), (real, theirs.keys() - ours.keys())):
        if lacking:
            names = sorted(lacking)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(f"{folder} has no {', '.join(names[:3])}{more}; both folders should hold "
                             "pictures of the same names.")
    return [(path, theirs[name]) for name, path in ours.items()]


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by name without suffix, sorted; raises as `pair_up` does."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    found: dict[str, Path] = {}
    for path in (folder / name for name in list_pictures(folder)):
        if path.stem in found:
            raise ValueError(f"{folder} holds both {found[path.stem].name} and {path.name}; names should "
                             "differ by more than the suffix.")
        found[path.stem] = path
    if not found:
        raise ValueError(f"{folder} holds no pictures.")
    return found


def score_pairs(pairs: Sequence[Pair], runtime: Runtime) -> dict[str, float]:
    """`ssim`, `rmse` and `psnr`, each the mean over the pairs, and `fid_detector` (see `detector_features`),
    which is NaN for a single pair.

    Pictures are compared as they lie in the files, 0..1. Raises ValueError for a pair of two sizes.
    """
    net = load_as("detect-person", "detector", runtime)
    real, fake, scores = FeatureStatistics(), FeatureStatistics(), []
    progress = runtime.progress(len(pairs), "Comparing pictures")
    for start in range(0, len(pairs), BATCH):
        chunk = pairs[start:start + BATCH]
        sides = [[read_rgb(path) for path in side] for side in zip(*chunk, strict=True)]
        for pair, a, b in zip(chunk, *sides, strict=True):
            scores.append(_compare(pair, a, b))
            progress.update()
        for statistics, pictures in zip((real, fake), sides, strict=True):
            statistics.add(detector_features(net, pictures, runtime))
    means = {name: float(torch.cat([getattr(one, name) for one in scores]).mean())
             for name in ("ssim", "rmse", "psnr")}
    return {**means, "fid_detector": frechet_distance(real, fake) if len(pairs) > 1 else float("nan")}


def score_regions(pairs: Sequence[Pair], labels: Path, runtime: Runtime) -> dict[str, float]:
    """`miou` and `pixel_accuracy` of the person regions that the embedded detector sees in the fake pictures.

    `labels`: a folder of label maps of the same names, pixel values 0..11. Raises ValueError for a map that
    is missing, of another size, or holds other values.
    """
    net, confusion = load_as("detect-person", "detector", runtime), Confusion(len(PERSON_REGIONS))
    for (_, fake), (_, label) in zip(pairs, pair_up(pairs[0][0].parent, labels), strict=True):
        seen, = detect_people(net, read_rgb(fake).movedim(0, -1)[None], runtime=runtime)
        try:
            confusion.add(seen.regions, torch.from_numpy(np.array(open_picture(label).convert("L"))))
        except ValueError as error:
            raise ValueError(f"{label.name}: {error}") from error
    return confusion.result()


def expect_one_size(pair: Pair, a: Tensor, b: Tensor) -> None:
    """Raises ValueError for pictures [3,H,W] of two sizes."""
    if a.shape != b.shape:
        sizes = " and ".join(f"{picture.shape[2]}x{picture.shape[1]} in {path}"
                             for path, picture in zip(pair, (a, b), strict=True))
        raise ValueError(f"The pictures of a pair should be of one size; got {sizes}.")


def _compare(pair: Pair, a: Tensor, b: Tensor) -> Similarity:
    """[3,H,W] each."""
    expect_one_size(pair, a, b)
    try:
        return compare_pictures(a[None], b[None])
    except ValueError as error:
        raise ValueError(f"{pair[0].name}: {error}") from error


def read_rgb(path: Path) -> Tensor:
    """A picture file -> [3,H,W] float32 0..1, without alpha."""
    pixels = np.array(open_picture(path).convert("RGB"))
    return torch.from_numpy(pixels).movedim(-1, 0).float() / 255
