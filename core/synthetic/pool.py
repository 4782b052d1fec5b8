"""Data sets of people on disk: shards for training, or single pictures with annotation to look at."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..files import atomic_write
from ..pose.pose import JOINTS
from ..runtime import Runtime
from ..shards import write_shards
from .palette import REGION_NAMES, REGION_PALETTE
from .poses import sample_pose
from .render import Rendering, render_people


@dataclass(frozen=True)
class PoolSettings:
    """What a data set shows; the same settings give the same files. `count` pictures from id `first_id` on.

    `views`: pictures of each person in a row, in other poses but the same clothes, scene and light. None: one
    picture, of the person of each id.
    """

    count: int
    size: tuple[int, int]           # height, width
    mode: str = "scene"
    first_id: int = 0
    seed: int = 0
    views: int | None = None

    def ids(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """[count] twice: the person and the pose of pictures `first` .. `first + count`."""
        pictures = torch.arange(first, first + count)
        if self.views is None:
            return self.first_id + pictures, self.first_id + pictures
        return self.first_id + pictures // self.views, self.first_id * self.views + pictures

    def render(self, first: int, count: int, device: torch.device) -> Rendering:
        """People `first` .. `first + count` of the data set, on the CPU."""
        people, poses = (ids.to(device) for ids in self.ids(first, count))
        rendering = render_people(people, *self.size, seed=self.seed, mode=self.mode,
                                  pose=sample_pose(poses, self.seed))
        return Rendering(**{name: value.cpu() for name, value in vars(rendering).items()})

    def describe(self) -> dict[str, str]:
        """For a shard's header; without `count`, so that a data set can grow."""
        height, width = self.size
        text = {"height": str(height), "width": str(width), "mode": self.mode,
                "first_id": str(self.first_id), "seed": str(self.seed)}
        return text if self.views is None else text | {"views": str(self.views)}


def to_uint8(image: Tensor) -> Tensor:
    return (image * 255).round().byte()


def write_pool(folder: Path, settings: PoolSettings, runtime: Runtime) -> None:
    """Writes shards of 512 people each; keeps finished ones, see `write_shards`.

    Fields: image uint8 [n,3,H,W]; regions, people, people_regions uint8 [n,H,W]; keypoints float32
    [n,3,18,2] in pixels; visibility uint8 [n,3,18]; identity float16 [n,D]; with views also person int64
    [n]. Raises ValueError when the folder holds shards of other settings.
    """
    write_shards(folder, settings.describe(), settings.count,
                 lambda first, count: _shard(settings, first, count, runtime), runtime)


def _shard(settings: PoolSettings, first: int, count: int, runtime: Runtime) -> dict[str, Tensor]:
    runtime.check_interrupt()
    people = settings.render(first, count, runtime.device)
    fields = {"image": to_uint8(people.image), "regions": people.regions, "people": people.people,
              "people_regions": people.people_regions, "keypoints": people.keypoints,
              "visibility": people.visibility, "identity": people.identity_vector.half()}
    return fields if settings.views is None else fields | {"person": settings.ids(first, count)[0]}


def write_pictures(folder: Path, settings: PoolSettings, runtime: Runtime) -> None:
    """Writes `person-000000.png`, `.labels.png` (pixel = region class) and `.json` with the keypoints."""
    progress = runtime.progress(settings.count, folder.name)
    for first in range(0, settings.count, 64):
        count = min(64, settings.count - first)
        wanted = [folder / f"person-{settings.first_id + first + k:06}" for k in range(count)]
        if not all(stem.with_suffix(".json").exists() for stem in wanted):
            people = settings.render(first, count, runtime.device)
            for k, stem in enumerate(wanted):
                _write_picture(stem, people, k, settings)
        progress.update(count)


def _write_picture(stem: Path, people: Rendering, k: int, settings: PoolSettings) -> None:
    """The annotation comes last: where it is, the picture is whole."""
    from PIL import Image

    labels = Image.fromarray(people.regions[k].numpy(), "P")
    labels.putpalette(REGION_PALETTE.flatten().tolist())
    pictures = {".png": Image.fromarray(to_uint8(people.image[k]).movedim(0, -1).numpy()),
                ".labels.png": labels}
    for suffix, picture in pictures.items():
        with atomic_write(stem.with_name(stem.name + suffix)) as temporary:
            picture.save(temporary, optimize=True)
    with atomic_write(stem.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(_annotation(stem.name, people, k, settings), indent=1),
                             encoding="utf-8")


def _annotation(name: str, people: Rendering, k: int, settings: PoolSettings) -> dict:
    persons = []
    for person in people.present[k].nonzero()[:, 0].tolist():
        points = people.keypoints[k, person].round(decimals=2).tolist()
        visibility = people.visibility[k, person].tolist()
        persons.append([[*point, seen] for point, seen in zip(points, visibility, strict=True)])
    return {"image": f"{name}.png", "label_map": f"{name}.labels.png", "width": settings.size[1],
            "height": settings.size[0], "regions": list(REGION_NAMES), "keypoint_order": list(JOINTS),
            "visibility": "2 visible, 1 inside the frame but hidden, 0 outside the frame", "people": persons}
