"""The data of PG2 (Ma et al. 2017): a tf-record file per split of Market-1501 or DeepFashion.

A record is a pair of pictures. It holds their joints only as maps of discs, from which `disc_centres` takes
the whole pixels that the discs were drawn round; what was a part of a pixel is not known any more. Pictures
are one person's when pairs link them. So mirrored copies, which the file does not mark but pairs among
themselves, become people of their own.
"""
from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..pose.pose import JOINTS
from ..runtime import Runtime
from .pair_sets import PairSet, Photo, Size, usable
from .tf_records import features, numbers, read_records, texts

if TYPE_CHECKING:
    from PIL import Image

RADIUS = 4                                                # of the discs, in pixels
_LARGEST = 4096                                           # side of a picture
_NEEDED = {"image_height", "image_width",
           *(f"{name}_{side}" for name in ("image_raw", "id", f"indices_r{RADIUS}") for side in "01")}


def pg2(file: Path, runtime: Runtime) -> PairSet:
    """The pictures of a tf-record file, each once however many pairs it is in. Raises FileNotFoundError, or
    ValueError for a file of something else."""
    album = _Album(file)
    progress = runtime.progress(file.stat().st_size if file.is_file() else 0, file.name)
    for start, record in read_records(file):
        try:
            album.add(start, record)
        except ValueError as error:
            raise ValueError(f"The record at byte {start} of {file.name} is no pair of PG2: "
                             f"{str(error).rstrip('.')}.") from error
        progress.update(len(record))
    return PairSet(f"pg2 {file.name}", usable(album.by_person(), file), album.frame)


class _Album:
    """The pictures seen so far, by the digest of their bytes. `linked`: for each another one of the same
    person, by which all of them come to one, which is linked with itself."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.photos: dict[bytes, Photo] = {}
        self.linked: dict[bytes, bytes] = {}
        self.frame: Size = (0, 0)                         # of no picture

    def add(self, start: int, record: bytes) -> None:
        """Both pictures of the record that begins at byte `start`."""
        found = features(record)
        if not found.keys() >= _NEEDED:
            raise ValueError(f"it has no {', '.join(sorted(_NEEDED - found.keys()))[:100]}")
        self._check_frame(found)
        people = [_first(found, f"id_{side}", numbers, texts) for side in "01"]
        source, target = (self._chief(self._add_picture(start, record, found, side)) for side in "01")
        if people[0] == people[1]:
            self.linked[target] = source

    def _add_picture(self, start: int, record: bytes, found: Mapping[str, bytes], side: str) -> bytes:
        """Its digest."""
        jpeg = _first(found, f"image_raw_{side}", texts)
        digest = hashlib.sha256(jpeg).digest()
        if digest not in self.photos:
            joints = disc_centres(numbers(found[f"indices_r{RADIUS}_{side}"]), self.frame)
            name = f"Picture {side} of the record at byte {start} of {self.file.name}"
            opened = partial(_open_part, self.file, start + record.index(jpeg), len(jpeg), name)
            self.photos[digest] = Photo(name, -1, joints, opened)
            self.linked[digest] = digest
        return digest

    def _chief(self, digest: bytes) -> bytes:
        """The picture that stands for the person."""
        while self.linked[digest] != digest:
            self.linked[digest] = self.linked[self.linked[digest]]
            digest = self.linked[digest]
        return digest

    def by_person(self) -> list[Photo]:
        """People are numbered in the order of the file."""
        chiefs = [self._chief(digest) for digest in self.photos]
        people = {chief: number for number, chief in enumerate(dict.fromkeys(chiefs))}
        photos = [replace(photo, person=people[chief])
                  for photo, chief in zip(self.photos.values(), chiefs, strict=True)]
        return sorted(photos, key=lambda photo: photo.person)

    def _check_frame(self, found: Mapping[str, bytes]) -> None:
        height, width = (_first(found, f"image_{side}", numbers) for side in ("height", "width"))
        if not (0 < height <= _LARGEST and 0 < width <= _LARGEST):
            raise ValueError(f"it is said to show {width}x{height} pixels")
        if self.photos and self.frame != (height, width):
            raise ValueError(f"its pictures are {width}x{height}, but those before "
                             f"{self.frame[1]}x{self.frame[0]}")
        self.frame = height, width


def _first(found: Mapping[str, bytes], name: str, *kinds: Callable[[bytes], list[Any]]) -> Any:
    """The first value of a feature, of the first kind that it has."""
    for read in kinds:
        if values := read(found[name]):
            return values[0]
    raise ValueError(f"its {name} is empty")


def _open_part(file: Path, start: int, length: int, name: str) -> Image.Image:
    from PIL import Image

    with open(file, "rb") as stream:
        stream.seek(start)
        content = stream.read(length)
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    return picture


def disc_centres(indices: Sequence[int], size: Size) -> Tensor:
    """[18,2] x, y, whole pixels, of joints drawn as discs of radius 4; NaN = missing.

    `indices`: of the pixels, (row * width + column) * 18 + joint. Exact also for a disc that the border cuts,
    as long as its centre lies inside. A joint of which anything else is drawn is missing. Raises ValueError
    for indices beyond the picture.
    """
    height, width = size
    flat = np.array(indices, np.int64)
    if flat.size and not 0 <= flat.min() <= flat.max() < height * width * len(JOINTS):
        raise ValueError(f"its joint maps reach beyond {width}x{height} pixels")
    places, owners = np.divmod(flat, len(JOINTS))
    joints = torch.full((len(JOINTS), 2), torch.nan)
    for joint in np.unique(owners):
        drawn = np.unique(places[owners == joint])
        rows, columns = np.divmod(drawn, width)
        x, y = _middle(columns, width), _middle(rows, height)
        if np.array_equal(drawn, _disc(x, y, size)):
            joints[joint] = torch.tensor([x, y])
    return joints


def _middle(places: np.ndarray, side: int) -> int:
    """From the end of the disc that the border does not cut."""
    low, high = int(places.min()), int(places.max())
    return high - RADIUS if high < side - 1 else low + RADIUS


def _disc(x: int, y: int, size: Size) -> np.ndarray:
    """Numbers of the pixels of a disc inside the picture, row * width + column, rising."""
    rows, columns = np.mgrid[max(y - RADIUS, 0):min(y + RADIUS + 1, size[0]),
                             max(x - RADIUS, 0):min(x + RADIUS + 1, size[1])]
    inside = (rows - y)**2 + (columns - x)**2 <= RADIUS**2
    return (rows * size[1] + columns)[inside]
