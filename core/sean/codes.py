"""`StyleCodes`, the value of the ANYONE_STYLES wire, and its files."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..files import atomic_write

FILE = "ACE.npy"                                          # one published code
LARGEST = 1 << 20                                         # bytes of such a file


@dataclass(frozen=True, eq=False)
class StyleCodes:
    """What regions look like. Float32, about -1..1.

    `codes`: [B,R,S], or [B,N,R,S] with a matrix for each of the N residual blocks that take styles.
    `present`: [B,R] bool, which rows mean something; the others are zero. `names`: of the R regions. `model`:
    the network that made them; codes mean nothing to another. Raises ValueError for what does not fit.
    """

    codes: Tensor
    present: Tensor
    names: tuple[str, ...]
    model: str

    def __post_init__(self) -> None:
        if self.codes.ndim not in (3, 4) or self.codes.dtype != torch.float32:
            raise ValueError(f"Style codes should be float32 of shape [batch, regions, length]; "
                             f"got {self.codes.dtype} of shape {list(self.codes.shape)}.")
        rows = self.codes.shape[0], self.codes.shape[-2]
        if self.present.shape != rows or self.present.dtype != torch.bool or len(self.names) != rows[1]:
            raise ValueError(f"There are style codes for {rows[0]} pictures of {rows[1]} regions, but "
                             f"{len(self.names)} names and presence of shape {list(self.present.shape)}.")
        if not self.codes.isfinite().all():
            raise ValueError("The style codes hold NaN or infinite values.")

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return f"<StyleCodes {len(self)} x {len(self.names)} regions of {self.codes.shape[-1]}, {self.model}>"


def save_codes(styles: StyleCodes, path: Path) -> None:
    """Writes a safetensors file: `codes`, `present`, and the names in the header."""
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({"codes": styles.codes.cpu().contiguous(), "present": styles.present.cpu().contiguous()},
                  temporary, {"regions": ",".join(styles.names), "model": styles.model})


def load_codes(path: Path) -> StyleCodes:
    """The opposite of `save_codes`. Raises FileNotFoundError or ValueError with one sentence."""
    from ..checkpoints.read import read

    contents = read(path)
    codes, present = (contents.tree.get(name) for name in ("codes", "present"))
    if not isinstance(codes, Tensor) or not isinstance(present, Tensor) or "regions" not in contents.metadata:
        raise ValueError(f"{path.name} holds no style codes; choose a file that this pack saved as such.")
    try:
        return StyleCodes(codes.clone(), present.clone(), tuple(contents.metadata["regions"].split(",")),
                          contents.metadata.get("model", "an unknown model"))
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used: {error}") from error


def read_code_folder(folder: Path, names: Sequence[str], model: str) -> StyleCodes:
    """A published folder of codes, `<label id>/ACE.npy`: of one picture, or means over many.

    `names`: of all regions of the network; those without a file are absent. Raises ValueError for a folder
    without codes, an id the network does not know, or a file that is no code.
    """
    rows = {int(path.parent.name): _read_code(path) for path in sorted(folder.glob(f"*/{FILE}"))
            if path.parent.name.isdecimal()}
    if not rows:
        raise ValueError(f"{folder} holds no style codes; it should have folders 0, 1, 2, ... with a file "
                         f"{FILE} in each.")
    length = len(next(iter(rows.values())))
    codes, present = torch.zeros(1, len(names), length), torch.zeros(1, len(names), dtype=torch.bool)
    for label, row in rows.items():
        if label >= len(names) or len(row) != length:
            raise ValueError(f"The folder {folder.name} has a code of {len(row)} numbers for label {label}; "
                             f"expected are labels 0 to {len(names) - 1} and {length} numbers.")
        codes[0, label], present[0, label] = row, True
    return StyleCodes(codes, present, tuple(names), model)


def _read_code(path: Path) -> Tensor:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.parent.name}/{path.name} is too large for a style code.")
    try:
        row = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} is no NumPy file: {error}.") from error
    if not isinstance(row, np.ndarray) or row.ndim != 1 or row.dtype.kind != "f":
        raise ValueError(f"{path.parent.name}/{path.name} should hold one row of floating point numbers.")
    return torch.from_numpy(row.astype(np.float32))
