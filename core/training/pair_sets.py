"""Published data sets of people in several poses, for pose transfer: Market-1501 and DeepFashion with the
annotations of Deformable GAN (Siarohin et al. 2018, see `pose.pair_lists`).

The published pairs for training are all ordered pairs of pictures of one person, which `Pairs` makes, so that
only the pictures are read here.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch
from torch import Tensor

from ..graph.files import open_picture
from ..pose.pair_lists import Annotation, read_annotations
from ..pose.parts import TORSO
from ..pose.pose import JOINTS
from .datasets import Pixels, stack_pictures

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]                                    # height, width
DISTRACTORS = ("-1", "0000")                              # how the names of pictures of nobody known begin
VISIBLE = 2


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture of person number `person`. `joints`: [18,2] x, y in pixels whose centres lie at integers, NaN
    = missing. `open`: its pixels; raises ValueError or FileNotFoundError."""

    name: str
    person: int
    joints: Tensor
    open: Callable[[], Image.Image]


@dataclass(frozen=True, eq=False)
class PairSet:
    """`pictures`: a person's lie together. `frame`: height and width, which all of them have. `crop`: columns
    cut off at the left and at the right before the rest is stretched."""

    title: str
    pictures: Sequence[Photo]
    frame: Size
    crop: int = 0

    def describe(self) -> dict[str, str]:
        """For a shard's header."""
        return {"source": self.title, "pictures": str(len(self.pictures)), "crop": str(self.crop)}

    def read(self, picture: Photo, size: Size) -> tuple[Pixels, Tensor, int]:
        """One sample at `size`: pixels [H,W,3], joints [18,2] as in `Photo`, and whose they are.

        The picture is stretched with Pillow's antialiased bicubic filter; joints become (x - crop) * new /
        old, truncated to whole pixels, as the published 128x64 variant of DeepFashion has them.
        """
        from PIL import Image

        image, (height, width) = picture.open(), self.frame
        if image.size != (width, height):
            raise ValueError(f"{picture.name} is {image.size[0]}x{image.size[1]} (width x height); the "
                             f"joints of this data set are given for pictures of {width}x{height}.")
        cut = image.convert("RGB").crop((self.crop, 0, width - self.crop, height))
        ratio = torch.tensor([size[1] / cut.size[0], size[0] / cut.size[1]])
        joints = ((picture.joints - torch.tensor([self.crop, 0])) * ratio).trunc()
        return np.array(cut.resize(size[::-1], Image.Resampling.BICUBIC)), joints, picture.person

    def stack(self, samples: Sequence[tuple[Pixels, Tensor, int]], size: Size) -> dict[str, Tensor]:
        """image uint8 [n,3,H,W]; person int32 [n]; keypoints float32 [n,1,18,2] in pixels, centres at .5;
        visibility uint8 [n,1,18], 2 or 0."""
        joints = torch.cat([torch.empty(0, 1, len(JOINTS), 2),
                            *(joints[None, None] for _, joints, _ in samples)])
        there = joints.isfinite().all(-1)
        return {"image": stack_pictures([pixels for pixels, _, _ in samples], size),
                "person": torch.tensor([person for *_, person in samples], dtype=torch.int32),
                "keypoints": torch.where(there[..., None], joints + 0.5, 0.0),
                "visibility": there.byte() * VISIBLE}


def market(root: Path, split: str = "train", pictures: Path | None = None) -> PairSet:
    """Market-1501, 128x64, and market-annotation-SPLIT.csv. `split`: or "test". `pictures`: their folder,
    by default market-dataset/SPLIT, bounding_box_SPLIT or SPLIT in `root`."""
    folder = pictures or _first_folder(root, f"market-dataset/{split}", f"bounding_box_{split}", split)
    photos = _annotated(root / f"market-annotation-{split}.csv", lambda name: folder / name)
    return PairSet(f"market {split}", photos, (128, 64))


def deepfashion(root: Path, split: str = "train", pictures: Path | None = None, crop: int = 0) -> PairSet:
    """DeepFashion's in-shop pictures, 256x256, and fasion-annotation-SPLIT.csv. `split`: or "test".
    `pictures`: their folder, by default fasion-dataset/SPLIT, SPLIT, Img/img or img in `root`, either as
    unpacked (MEN, WOMEN) or with flattened names. `crop`: 40 for the published 128x64 variant."""
    if not 0 <= crop < 128:
        raise ValueError(f"--crop should leave something of 256 columns, 0 to 127 at each side; got {crop}.")
    folder = pictures or _first_folder(root, f"fasion-dataset/{split}", split, "Img/img", "img")
    unpacked = {flattened(path.relative_to(folder)): path
                for gender in ("MEN", "WOMEN") for path in folder.glob(f"{gender}/*/*/*.jpg")}
    photos = _annotated(root / f"fasion-annotation-{split}.csv",
                        lambda name: unpacked.get(name, folder / name))
    return PairSet(f"deepfashion {split}", photos, (256, 256), crop)


def flattened(path: PurePath) -> str:
    """WOMEN/Blouses_Shirts/id_00002772/01_3_back.jpg -> fasionWOMENBlousesShirtsid0000277201_3back.jpg."""
    outfit, _, rest = path.name.partition("_")
    folders = "".join(path.parent.parts).replace("_", "")
    return f"fasion{folders}{outfit}_{rest.replace('_', '')}"


def _first_folder(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"There is no folder of pictures in {root}: neither {' nor '.join(names)}; name "
                            "it with --pictures.")


def _annotated(annotations: Path, path_of: Callable[[str], Path]) -> list[Photo]:
    """Everybody's pictures with shoulders and hips; whoever the name says it is up to its first "_"."""
    named = [one for one in read_annotations(annotations) if not one.name.startswith(DISTRACTORS)]
    named.sort(key=lambda one: (_person(one), one.name))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(map(_person, named)))}
    return usable([_photo(one, numbers[_person(one)], path_of(one.name)) for one in named], annotations)


def _person(annotation: Annotation) -> str:
    return annotation.name.partition("_")[0]


def _photo(annotation: Annotation, person: int, path: Path) -> Photo:
    """A line that cannot be understood counts as a picture that cannot be opened."""
    try:
        return Photo(annotation.name, person, annotation.joints(), partial(open_picture, path))
    except ValueError as error:
        return Photo(annotation.name, person, torch.zeros(len(JOINTS), 2), partial(_refuse, str(error)))


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


def usable(photos: Sequence[Photo], source: Path) -> list[Photo]:
    """Those with both shoulders and hips, which Deformable GAN needs. Raises ValueError for none."""
    kept = [photo for photo in photos if photo.joints[list(TORSO)].isfinite().all()]
    if not kept:
        raise ValueError(f"{source} lists no picture of a person with both shoulders and hips.")
    return kept
