"""The tables of the papers on pose transfer: folders of generated pictures and of what they should show."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints import LoadedNet, load_as
from ..features import region_shares, surest_people
from ..inception.infer import class_probabilities
from ..metrics.inception import inception_score
from ..metrics.transfer import DEFORMABLE_GAN, PG2, Convention, transfer_scores
from ..pose.pair_lists import read_annotations, read_pairs
from ..runtime import Runtime
from .folders import expect_one_size, pair_up, pictures_by_stem, read_rgb

BATCH = 32                                                # pairs in memory at a time
SPLITS = 10                                               # of the inception score
CONVENTIONS = {"deformable_gan": DEFORMABLE_GAN, "pg2": PG2}
COLUMNS = ("ssim", "is", "is_detector", "mask_ssim", "mask_is", "mask_is_detector", "ds_detector", "l1")
Rows = dict[str, dict[str, Tensor]]
Classify = Callable[[Sequence[Tensor]], Tensor]           # pictures [3,H,W] -> probabilities [N,classes]


@dataclass(frozen=True, eq=False)
class Case:
    """A generated picture and the real one it should show; `joints` [18,2] of the latter, see
    `pair_lists.Annotation`, None when nobody knows them."""

    real: Path
    fake: Path
    joints: Tensor | None = None


def list_cases(real: Path, fake: Path, annotations: Path | None = None,
               pairs: Path | None = None) -> list[Case]:
    """The pictures of both folders that have one name, or with a list of pairs, in its order, TO in `real`
    and FROM_TO in `fake`. Names count without suffix; joints are those of the real picture.

    Raises FileNotFoundError or ValueError that says what is missing.
    """
    matched = pair_up(real, fake) if pairs is None else _matched(real, fake, pairs)
    if annotations is None:
        return [Case(*pair) for pair in matched]
    known = {Path(one.name).stem: one for one in read_annotations(annotations)}
    lacking = [target.name for target, _ in matched if target.stem not in known]
    if lacking:
        raise ValueError(f"{annotations} has no joints of {_some(lacking)}.")
    return [Case(*pair, known[pair[0].stem].joints()) for pair in matched]


def _matched(real: Path, fake: Path, pairs: Path) -> list[tuple[Path, Path]]:
    targets, results = pictures_by_stem(real), pictures_by_stem(fake)
    named = [(Path(target).stem, f"{Path(source).stem}_{Path(target).stem}")
             for source, target in read_pairs(pairs)]
    for folder, lacking in ((real, [target for target, _ in named if target not in targets]),
                            (fake, [result for _, result in named if result not in results])):
        if lacking:
            raise ValueError(f"{folder} has no {_some(lacking)}, which {pairs.name} asks for.")
    if not named:
        raise ValueError(f"{pairs} lists no pairs.")
    return [(targets[target], results[result]) for target, result in named]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def score_cases(cases: Sequence[Case], runtime: Runtime,
                inception: LoadedNet | None = None) -> dict[str, dict[str, float]]:
    """Rows "deformable_gan" and "pg2", as each paper measures, and "real", the real pictures' own scores, of
    COLUMNS as far as there are any.

    `ssim`, `l1` and, where joints are known, `mask_ssim`: see `transfer_scores`. `is`, `mask_is`: inception
    scores in ten splits, NaN for fewer than ten pictures; without `inception` instead `is_detector` and
    `mask_is_detector`, made of `region_shares`. `ds_detector`: mean of `surest_people`. Raises ValueError for
    a pair of two sizes.
    """
    net, quiet = load_as("detect-person", "detector", runtime), Runtime(runtime.device)
    classify: Classify = partial(region_shares if inception is None else class_probabilities,
                                 net if inception is None else inception, runtime=quiet)
    name = "is_detector" if inception is None else "is"
    progress, chunks = runtime.progress(len(cases), "Comparing pictures"), []
    for start in range(0, len(cases), BATCH):
        chunk = cases[start:start + BATCH]
        chunks.append(_measured(chunk, net, classify, name, quiet))
        progress.update(len(chunk))
    return {row: {column: _summary(torch.cat([one[row][column] for one in chunks]))
                  for column in COLUMNS if column in values} for row, values in chunks[0].items()}


def _summary(values: Tensor) -> float:
    """[N] scores, or [N,classes] probabilities."""
    if values.ndim == 1:
        return float(values.mean())
    return inception_score(values, SPLITS)[0] if len(values) >= SPLITS else float("nan")


def _measured(cases: Sequence[Case], net: LoadedNet, classify: Classify, name: str,
              runtime: Runtime) -> Rows:
    """[n] scores, and [n,classes] probabilities under `name`, of every row and column."""
    real, fake = ([read_rgb(path) for path in paths]
                  for paths in zip(*((case.real, case.fake) for case in cases), strict=True))
    for case, a, b in zip(cases, real, fake, strict=True):
        expect_one_size((case.real, case.fake), a, b)
    classes, rows = classify(fake), {}
    for row, convention in CONVENTIONS.items():
        masks = [convention.mask(case.joints, *picture.shape[1:])
                 for case, picture in zip(cases, fake, strict=True) if case.joints is not None]
        rows[row] = {name: classes} | _compared(cases, real, fake, masks, convention)
        if masks:
            rows[row][f"mask_{name}"] = classify([a * mask for a, mask in zip(fake, masks, strict=True)])
    rows["deformable_gan"]["ds_detector"] = surest_people(net, fake, runtime)
    rows["real"] = {name: classify(real), "ds_detector": surest_people(net, real, runtime)}
    return rows


def _compared(cases: Sequence[Case], real: Sequence[Tensor], fake: Sequence[Tensor], masks: Sequence[Tensor],
              convention: Convention) -> dict[str, Tensor]:
    """`transfer_scores` of pictures of several sizes. `masks`: one for each case, or none."""
    each: Sequence[Tensor | None] = masks or [None] * len(cases)
    scores = []
    for case, a, b, mask in zip(cases, real, fake, each, strict=True):
        try:
            scores.append(transfer_scores(_levels(a), _levels(b), convention,
                                          None if mask is None else mask[None]))
        except ValueError as error:
            raise ValueError(f"{case.fake.name}: {error}") from error
    return {name: torch.cat([one[name] for one in scores]) for name in scores[0]}


def _levels(picture: Tensor) -> Tensor:
    """[3,H,W] 0..1 -> [1,3,H,W], the whole numbers 0..255 of its file."""
    return (picture[None] * 255).round()
