"""Operations on style codes (section 5 of arXiv 1911.12861): mixed, filled in between, crossed over.

All are linear and work on raw codes, before the network's own linear layers. Batches of different lengths
repeat. A row that is missing on one side is taken from the other.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..image import cycle_to
from .codes import StyleCodes
from .infer import generator_of, net_regions

MEANS = "mean_styles"                                     # metadata: region name -> mean code, as JSON
PARTS = ("middle", "fine")                                # the second and the last third of blocks


def mix_styles(base: StyleCodes, sources: Mapping[str, tuple[StyleCodes, float]]) -> StyleCodes:
    """`base` with some regions drawn towards others'. `sources`: region -> whose style, and how much, 0..1.

    Raises ValueError for unknown regions and styles of another network.
    """
    for name, (source, strength) in sources.items():
        base = blend(base, source, strength, [name])
    return base


def interpolate_styles(a: StyleCodes, b: StyleCodes, amounts: Iterable[float],
                       names: Sequence[str] | None = None) -> StyleCodes:
    """From `a` (0) to `b` (1): a batch, all pictures at the first amount, then all at the second, ...

    `names`: regions that change, by default all. Raises ValueError as `mix_styles`.
    """
    steps = [blend(a, b, amount, names) for amount in amounts]
    return replace(steps[0], codes=torch.cat([step.codes for step in steps]),
                   present=torch.cat([step.present for step in steps]))


def crossover_styles(per_block: Sequence[StyleCodes]) -> StyleCodes:
    """Styles for each residual block that takes them (`block_names`), in their order -> [B,N,R,S].

    Early blocks govern large features, late ones mainly colour. Items that have a matrix per block give that
    of their place. Raises ValueError for styles of different networks or of another number of blocks.
    """
    aligned = align(*per_block)
    filled = [fill_missing(styles, *aligned) for styles in aligned]
    codes = [styles.codes for styles in filled]
    if codes[0].ndim == 4:
        check_blocks(filled[0], len(codes))
        codes = [matrices[:, place] for place, matrices in enumerate(codes)]
    return replace(filled[0], codes=torch.stack(codes, 1))


def fill_missing(styles: StyleCodes, *others: StyleCodes) -> StyleCodes:
    """Rows that are missing are taken from the first of `others` that has them, picture by picture."""
    for other in others:
        fitted = replace(other, codes=cycle_to(other.codes, len(styles)),
                         present=cycle_to(other.present, len(styles)))
        styles = blend(styles, fitted, 0.0)
    return styles


def mean_styles(styles: StyleCodes) -> StyleCodes:
    """One item: per region the mean over the pictures that have it."""
    counts = styles.present.sum(0).clamp(min=1)                                    # [R]
    return replace(styles, codes=styles.codes.sum(0, keepdim=True) / counts[:, None],
                   present=styles.present.any(0, keepdim=True))


def own_means(net: LoadedNet) -> StyleCodes | None:
    """The mean codes that came with the network, None when its file has none (published ones do not)."""
    if MEANS not in net.metadata:
        return None
    names, rows = net_regions(net), json.loads(net.metadata[MEANS])
    codes = torch.zeros(1, len(names), generator_of(net).config.style)
    for name, row in rows.items():
        codes[0, names.index(name)] = torch.tensor(row)
    present = torch.tensor([[name in rows for name in names]])
    return StyleCodes(codes, present, names, net.name)


def write_means(styles: StyleCodes) -> str:
    """The first item as the text `own_means` reads: what belongs under MEANS into a file's metadata."""
    rows = zip(styles.names, styles.present[0], styles.codes[0].tolist(), strict=True)
    return json.dumps({name: [round(value, 4) for value in row] for name, there, row in rows if there})


def block_names(net: LoadedNet) -> list[str]:
    """The residual blocks that take styles, the coarsest first."""
    return [stage.name for stage in generator_of(net).config.stages if stage.styled]


def block_index(net: LoadedNet, name: str) -> int:
    """The place of a block in `block_names`, by its name or as one of PARTS. Raises ValueError for others."""
    blocks = block_names(net)
    if name in PARTS and blocks:
        return round(len(blocks) * (1 + PARTS.index(name)) / 3)
    if name not in blocks:
        raise ValueError(f"{net.name} has no block {name} that takes styles; "
                         f"it has {', '.join(blocks) or 'none at all'}.")
    return blocks.index(name)


def blend(a: StyleCodes, b: StyleCodes, amount: float, names: Sequence[str] | None = None) -> StyleCodes:
    """(1 - amount)*a + amount*b in the named regions, by default in all; a elsewhere."""
    a, b = align(a, b)
    chosen = torch.ones(len(a.names), dtype=torch.bool) if names is None else choose(a, names)
    share = torch.where(a.present & b.present, amount, b.present.float()) * chosen         # [B,R]
    share = share[..., None] if a.codes.ndim == 3 else share[:, None, :, None]
    return replace(a, codes=torch.lerp(a.codes, b.codes, share), present=a.present | b.present & chosen)


def choose(styles: StyleCodes, names: Iterable[str]) -> Tensor:
    """[R] bool: the named regions. Raises ValueError for a name the styles do not know."""
    names = list(names)
    unknown = [name for name in names if name not in styles.names]
    if unknown:
        raise ValueError(f"There is no region {unknown[0]!r}; these styles know {', '.join(styles.names)}.")
    return torch.tensor([name in names for name in styles.names])


def align(*styles: StyleCodes) -> list[StyleCodes]:
    """The same, all as long as the longest batch, and with a matrix per residual block if any has that.

    Raises ValueError for styles of different networks.
    """
    first, count = styles[0], max(map(len, styles))
    blocks = max((len(each.codes[0]) for each in styles if each.codes.ndim == 4), default=0)
    for each in styles:
        if each.names != first.names or each.codes.shape[-1] != first.codes.shape[-1]:
            one, other = (f"{some.model} ({len(some.names)} regions of {some.codes.shape[-1]} numbers)"
                          for some in (first, each))
            raise ValueError(f"Styles of {one} and of {other} do not go together; encode both with the same "
                             f"styler.")
    return [replace(each, codes=cycle_to(per_block(each, blocks), count),
                    present=cycle_to(each.present, count)) for each in styles]


def per_block(styles: StyleCodes, blocks: int) -> Tensor:
    """[B,N,R,S] with N = `blocks`; the codes as they are for 0 blocks."""
    if not blocks:
        return styles.codes
    if styles.codes.ndim == 3:
        return styles.codes[:, None].expand(-1, blocks, -1, -1)
    check_blocks(styles, blocks)
    return styles.codes


def check_blocks(styles: StyleCodes, blocks: int) -> None:
    if styles.codes.shape[1] != blocks:
        raise ValueError(f"Styles of {styles.model} are for {styles.codes.shape[1]} residual blocks, not "
                         f"for {blocks}; encode all with the same styler.")
