"""Pictures and nothing else, perhaps sorted into classes, as they become a pool for the trainer."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..graph.files import PICTURE_SUFFIXES, open_picture
from .datasets import Pixels, stack_pictures


@dataclass(frozen=True)
class PictureSet:
    """`pictures`: files and the numbers of their classes, in order. `classes`: their names, none without."""

    pictures: Sequence[tuple[Path, int]]
    classes: tuple[str, ...] = ()

    def describe(self) -> dict[str, str]:
        """For a shard's header."""
        return {"source": "pictures", "pictures": str(len(self.pictures)), "classes": ",".join(self.classes)}

    def read(self, picture: tuple[Path, int], size: tuple[int, int]) -> tuple[Pixels, int]:
        """Pixels [H,W,3] and class: the middle of the picture in the shape of `size` (height, width), upright
        as cameras mean it, resized with Pillow's antialiased Lanczos filter.

        Raises ValueError or FileNotFoundError that names the file.
        """
        from PIL import Image, ImageOps

        path, label = picture
        upright = ImageOps.exif_transpose(open_picture(path)).convert("RGB")
        return np.array(ImageOps.fit(upright, size[::-1], Image.Resampling.LANCZOS)), label

    def stack(self, samples: Sequence[tuple[Pixels, int]], size: tuple[int, int]) -> dict[str, Tensor]:
        """image uint8 [n,3,H,W] and, with classes, label int64 [n]."""
        fields = {"image": stack_pictures([pixels for pixels, _ in samples], size)}
        if self.classes:
            fields["label"] = torch.tensor([label for _, label in samples], dtype=torch.int64)
        return fields


def picture_folder(root: Path, classes: bool = False) -> PictureSet:
    """All pictures in a folder and in folders in it, but for hidden ones, mixed, so that those held out at
    the end are like the others. `classes`: the folders directly in it are classes, in the order of their
    names.

    Raises FileNotFoundError for a folder without pictures, ValueError for a picture without a class.
    """
    paths = [path for path in sorted(root.rglob("*"))
             if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
             and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    if not paths:
        raise FileNotFoundError(f"There are no pictures in {root} or in folders in it.")
    names: tuple[str, ...] = ()
    if classes:
        loose = [path.name for path in paths if path.parent == root]
        if loose:
            raise ValueError(f"{loose[0]} lies in {root} itself, so it has no class; with --classes every "
                             "picture lies in the folder of its class.")
        names = tuple(dict.fromkeys(_class_of(path, root) for path in paths))
    pictures = [(path, names.index(_class_of(path, root)) if classes else 0) for path in paths]
    order = np.random.RandomState(0).permutation(len(pictures))
    return PictureSet([pictures[number] for number in order], names)


def _class_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0]
