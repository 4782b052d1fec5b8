"""Lists of joints and of pairs, as Deformable GAN (Siarohin et al. 2018) publishes them beside its data sets.

Annotations hold 18 joints in OpenPose's order for every picture, in its pixels, -1 = missing:

    name:keypoints_y:keypoints_x
    0002_c1s1_000451_03.jpg: [21, 34, 33, ...]: [33, 35, 24, ...]

Pairs hold the picture of a person and the picture whose pose the person should take:

    from,to
    0002_c1s1_000451_03.jpg,0002_c2s1_000301_01.jpg
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .pose import JOINTS

ANNOTATIONS, PAIRS = "name:keypoints_y:keypoints_x", "from,to"
MISSING = -1
_LARGEST = 1 << 16                                        # coordinate


@dataclass(frozen=True)
class Annotation:
    """A line of annotations, not yet understood. `where`: which line of which file, for errors."""

    name: str
    text: str
    where: str

    def joints(self) -> Tensor:
        """[18,2] x, y of pixels whose centres lie at integers, NaN = missing. Raises ValueError for a line
        that is no annotation."""
        lists = self.text.split(":")
        if len(lists) != 2:
            raise ValueError(f"{self.where} should be a name and two lists with colons between; "
                             f"after {self.name[:60]!r} it goes on {self.text[:60]!r}.")
        y, x = (torch.tensor(self._numbers(numbers)) for numbers in lists)
        missing = (x == MISSING) | (y == MISSING)
        return torch.where(missing[:, None], torch.nan, torch.stack([x, y], 1))

    def _numbers(self, text: str) -> list[float]:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.where} holds no valid JSON list ({error}).") from error
        if not isinstance(values, list) or len(values) != len(JOINTS):
            raise ValueError(f"{self.where} should hold two lists of {len(JOINTS)} numbers; one of them is "
                             f"{text.strip()[:60]}.")
        if not all(type(value) in (int, float) and abs(value) <= _LARGEST for value in values):
            raise ValueError(f"{self.where} should hold coordinates in pixels; it has {text.strip()[:60]}.")
        return [float(value) for value in values]


def read_annotations(path: Path) -> list[Annotation]:
    """All lines of an annotation file. Raises FileNotFoundError, or ValueError for another kind of file."""
    found = []
    for number, line in _lines(path, ANNOTATIONS):
        name, _, text = line.partition(":")
        found.append(Annotation(name.strip(), text, f"Line {number} of {path.name}"))
    return found


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Names of the pictures, source and target. Raises as `read_annotations` does, also for lines that hold
    no two names."""
    pairs = []
    for number, line in _lines(path, PAIRS):
        names = [name.strip() for name in line.split(",")]
        if len(names) != 2 or not all(names):
            raise ValueError(f"Line {number} of {path.name} should be two names with a comma between; "
                             f"it is {line[:60]!r}.")
        pairs.append((names[0], names[1]))
    return pairs


def _lines(path: Path, head: str) -> list[tuple[int, str]]:
    """Lines below the head, with their numbers in the file, counted from 1; none that are empty."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        first, *lines = path.read_text(encoding="utf-8-sig").splitlines() or [""]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file.") from error
    if first.strip() != head:
        raise ValueError(f"{path} should begin with the line {head}; it begins with {first[:60]!r}.")
    return [(number, line) for number, line in enumerate(lines, start=2) if line.strip()]
