"""Published data sets of pictures with region maps, and how they become pools for the trainer."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph.files import list_pictures, open_picture
from ..regions import FACE_REGIONS
from ..runtime import Runtime
from ..shards import write_shards
from .labels import ADE20K, CITYSCAPES

Pixels = NDArray[np.uint8]
UNKNOWN = 255                                             # what label files say where nobody knows the region
CELEBA_MASKS = 512                                        # pixels, of the square masks


class Source(Protocol):
    """What becomes a pool. `pictures`: in order, whatever names them."""

    @property
    def pictures(self) -> Sequence[Any]: ...

    def describe(self) -> dict[str, str]:
        """For a shard's header."""

    def read(self, picture: Any, size: tuple[int, int]) -> tuple[Any, ...]:
        """One sample at `size` (height, width). Raises ValueError or FileNotFoundError for a broken one."""

    def stack(self, samples: Sequence[Any], size: tuple[int, int]) -> dict[str, Tensor]:
        """A shard's fields [n,...]; n may be 0."""


@dataclass(frozen=True)
class DataSet:
    """`pictures`: their files in order. `labels_of`: such a file -> its region map [h,w], of any size, 255
    where the region is unknown. `names`: of the regions, one per label, the last one "unknown" if `unknown`.
    """

    title: str
    pictures: Sequence[Path]
    labels_of: Callable[[Path], Pixels]
    names: tuple[str, ...]
    unknown: bool = False

    def describe(self) -> dict[str, str]:
        """For a shard's header. `unknown`: the label of unknown pixels, empty where there are none."""
        return {"source": self.title, "pictures": str(len(self.pictures)), "names": ",".join(self.names),
                "unknown": str(len(self.names) - 1) if self.unknown else ""}

    def read(self, picture: Path, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
        """One sample at `size` (height, width): picture [H,W,3] and labels [H,W].

        Neither keeps its shape: both are stretched, the picture with Pillow's antialiased bicubic filter,
        labels to the nearest pixel: i takes the one at floor((i + 0.5) * old / new). Raises ValueError or
        FileNotFoundError that names the file.
        """
        from PIL import Image

        height, width = size
        image = open_picture(picture).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        labels = Image.fromarray(self._known_labels(picture))
        return np.array(image), np.array(labels.resize((width, height), Image.Resampling.NEAREST))

    def stack(self, samples: Sequence[tuple[Pixels, Pixels]], size: tuple[int, int]) -> dict[str, Tensor]:
        """image uint8 [n,3,H,W] and regions uint8 [n,H,W]."""
        regions = torch.empty(len(samples), *size, dtype=torch.uint8)
        for row, (_, labels) in zip(regions, samples, strict=True):
            row[:] = torch.from_numpy(labels)
        return {"image": stack_pictures([pixels for pixels, _ in samples], size), "regions": regions}

    def _known_labels(self, picture: Path) -> Pixels:
        labels = self.labels_of(picture)
        if self.unknown:
            labels = np.where(labels == UNKNOWN, np.uint8(len(self.names) - 1), labels)
        highest = int(labels.max())
        if highest >= len(self.names):
            raise ValueError(f"The labels of {picture.name} go up to {highest}, but the regions are numbered "
                             f"0..{len(self.names) - 1}"
                             + (" and none of them is unknown (255)." if highest == UNKNOWN else "."))
        return labels


def write_pool(folder: Path, data: Source, size: tuple[int, int], runtime: Runtime, *,
               count: int | None = None, skip_broken: bool = False) -> list[str]:
    """Writes the first `count` pictures (None: all) as shards; finished ones are kept, see `write_shards`.
    Returns what was wrong with pictures left out.

    A picture that cannot be read ends it with a ValueError. With `skip_broken` it is left out, and its
    shard is made anew each time, in case the file has been repaired.
    """
    pictures = data.pictures[:count]
    broken: list[str] = []

    def read(picture: Any) -> tuple[Any, ...] | str:
        runtime.check_interrupt()
        try:
            return data.read(picture, size)
        except (ValueError, OSError) as error:
            if skip_broken:
                return str(error)
            raise ValueError(f"{error} With --skip-broken such pictures are left out.") from error

    def make(first: int, length: int) -> dict[str, Tensor]:
        with ThreadPoolExecutor() as readers:
            results = list(readers.map(read, pictures[first:first + length]))
        broken.extend(result for result in results if isinstance(result, str))
        return data.stack([result for result in results if not isinstance(result, str)], size)

    height, width = size
    header = {**data.describe(), "height": str(height), "width": str(width)}
    write_shards(folder, header, len(pictures), make, runtime)
    return broken


def stack_pictures(pictures: Sequence[Pixels], size: tuple[int, int]) -> Tensor:
    """[H,W,3] each -> uint8 [n,3,H,W]."""
    stacked = torch.empty(len(pictures), 3, *size, dtype=torch.uint8)
    for row, pixels in zip(stacked, pictures, strict=True):
        row[:] = torch.from_numpy(pixels).movedim(-1, 0)
    return stacked


def celebamask(root: Path) -> DataSet:
    """CelebAMask-HQ: one mask per part of a face, painted over one another in the order of FACE_REGIONS."""
    masks = _folder(root / "CelebAMask-HQ-mask-anno")

    def labels_of(picture: Path) -> Pixels:
        number = int(picture.stem)
        stem = masks / str(number // 2000) / f"{number:05}"
        labels = np.zeros((CELEBA_MASKS, CELEBA_MASKS), np.uint8)
        for label, part in enumerate(FACE_REGIONS[1:], start=1):
            path = stem.with_name(f"{stem.name}_{part}.png")
            if path.is_file():
                labels[_mask(path)] = label
        if not labels.any():
            raise FileNotFoundError(f"There is no mask {stem}_*.png for {picture.name}.")
        return labels

    numbered = [path for path in _pictures(root / "CelebA-HQ-img") if path.stem.isdecimal()]
    return DataSet("celebamask", sorted(numbered, key=lambda path: int(path.stem)), labels_of, FACE_REGIONS)


def _mask(path: Path) -> NDArray[np.bool_]:
    mask = np.array(open_picture(path).convert("L")) > 0
    if mask.shape != (CELEBA_MASKS, CELEBA_MASKS):
        raise ValueError(f"{path.name} is {mask.shape[1]}x{mask.shape[0]}; masks of this data set are "
                         f"{CELEBA_MASKS}x{CELEBA_MASKS}.")
    return mask


def ade20k(root: Path, split: str = "training") -> DataSet:
    """ADEChallengeData2016: 150 labels counted from 1, and 0 for unknown. `split`: or "validation"."""
    annotations = _folder(root / "annotations" / split)

    def labels_of(picture: Path) -> Pixels:
        return read_labels(annotations / f"{picture.stem}.png") - np.uint8(1)      # 0 becomes 255

    return DataSet(f"ade20k {split}", _pictures(root / "images" / split), labels_of,
                   (*ADE20K, "unknown"), unknown=True)


def cityscapes(root: Path, split: str = "train") -> DataSet:
    """Cityscapes with its fine labels. `split`: or "val"; the labels of "test" are not published."""
    fine = _folder(root / "gtFine" / split)

    def labels_of(picture: Path) -> Pixels:
        name = picture.name.replace("_leftImg8bit.png", "_gtFine_labelIds.png")
        return read_labels(fine / picture.parent.name / name)

    cities = sorted(path for path in _folder(root / "leftImg8bit" / split).iterdir() if path.is_dir())
    pictures = [path for city in cities for path in _pictures(city)]
    return DataSet(f"cityscapes {split}", pictures, labels_of, CITYSCAPES)


def paired_folders(root: Path, names: tuple[str, ...] = FACE_REGIONS, unknown: bool = False) -> DataSet:
    """Pictures in images/ and label maps of the same names in labels/, as SEAN's own data set lies on disk.

    `names`: of the regions. `unknown`: the value 255 is one more region.
    """
    maps = _folder(root / "labels")

    def labels_of(picture: Path) -> Pixels:
        return read_labels(maps / f"{picture.stem}.png")

    return DataSet("folder", _pictures(root / "images"), labels_of,
                   (*names, "unknown") if unknown else names, unknown)


def read_labels(path: Path) -> Pixels:
    """A label file's numbers [h,w]. Raises ValueError for a picture in colour, which shows labels but does
    not hold them."""
    picture = open_picture(path)
    if picture.mode not in ("L", "P"):
        raise ValueError(f"{path} should hold one label of 8 bits per pixel; it is a picture of mode "
                         f"{picture.mode}.")
    return np.array(picture)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}; --from should name the data set's own folder.")
    return path


def _pictures(folder: Path) -> list[Path]:
    paths = [folder / name for name in list_pictures(_folder(folder))]
    if not paths:
        raise FileNotFoundError(f"There are no pictures in {folder}.")
    return paths
