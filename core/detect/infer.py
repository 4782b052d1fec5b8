"""Pictures -> who is in them, where their joints are, and what they wear."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.system import LoadedNet
from ..image import image_to_bchw, resize
from ..people import Detection
from ..pose import Pose, PoseFrame
from ..runtime import Runtime
from .decode import People, assign, decode
from .network import GRID, SIDE, Maps

CLOSER = 1.25                                             # side of the second look, in sizes of the box
LARGE = 768                                               # sides from which pictures are seen in tiles, too
SAME = 0.75                                               # middles nearer than so many sizes are one person's
BATCH = 32
ENOUGH_JOINTS = 3                                         # fewer are no person
SURER = 0.3                                               # way from the threshold to 1, of the mean joint
STRIP = 1 << 19                                           # pixels enlarged at a time
MEMORY = 256 << 20                                        # bytes a batch needs, about


@dataclass(frozen=True)
class Square:
    """A square of the picture the network looks at; may reach outside. `x0`, `y0`, `side` in pixels."""

    x0: int
    y0: int
    side: int


@dataclass(frozen=True, eq=False)
class Found:
    """Who there is, in pixels of the picture: middles [N,2], sizes [N], and the square for a closer look."""

    centres: Tensor
    sizes: Tensor
    squares: list[Square]

    def first(self, count: int) -> Found:
        return Found(self.centres[:count], self.sizes[:count], self.squares[:count])

    def joined(self, other: Found, tile: Square, whole: Square) -> Found:
        """With those of `other` who are new, and in the middle half of their tile (or towards the rim of the
        whole): nobody there is cut off by its border, and no other tile has the place in its own middle."""
        corner, rim = (torch.tensor([square.x0, square.y0]) for square in (tile, whole))
        low = torch.where(corner <= rim, -torch.inf, 0.25)
        high = torch.where(corner + tile.side >= rim + whole.side, torch.inf, 0.75)
        inside = (other.centres - corner) / tile.side                                          # [N,2]
        middle = ((inside >= low) & (inside < high)).all(1)
        apart = torch.cdist(other.centres, self.centres)                                       # [N,M]
        new = middle & (apart > torch.maximum(other.sizes[:, None], self.sizes) * SAME).all(1)
        return Found(torch.cat([self.centres, other.centres[new]]), torch.cat([self.sizes, other.sizes[new]]),
                     self.squares + [square for square, kept in zip(other.squares, new, strict=True) if kept])


@dataclass(frozen=True, eq=False)
class Sighting:
    """One person in one square. `keypoints` [18,2] in pixels of the picture, `scores` [18]; `mask` [64,64]
    and `regions` [12,64,64] are probabilities on the square's grid."""

    square: Square
    keypoints: Tensor
    scores: Tensor
    mask: Tensor
    regions: Tensor


def detect_people(net: LoadedNet, image: Tensor, *, threshold: float = 0.3, max_people: int = 20,
                  runtime: Runtime) -> list[Detection]:
    """`image` [B,H,W,C] 0..1, any size -> one `Detection` per picture, on the CPU.

    The whole picture is looked at once, a large one in overlapping quarters, too; everybody found is then
    looked at closer, in a square of their own.
    `threshold`: joints with a lower score are missing, and so are people whose joints are hardly surer.
    Raises ValueError for a tensor that is no picture.
    """
    pictures = image_to_bchw(image)
    progress = runtime.progress(len(pictures), "Detecting people")
    found = []
    with runtime.use(net, MEMORY) as (module, device):
        for picture in pictures:
            found.append(_detect(module, device, picture, threshold, max_people, runtime))
            progress.update()
    return found


def _detect(net: nn.Module, device: torch.device, picture: Tensor, threshold: float, max_people: int,
            runtime: Runtime) -> Detection:
    height, width = picture.shape[1:]
    found = find_everybody(net, device, picture, max_people, runtime)
    sightings: list[Sighting] = []
    for start in range(0, len(found.squares), BATCH):
        runtime.check_interrupt()
        chunk = found.squares[start:start + BATCH]
        maps = _look(net, device, picture, chunk)
        sightings += [_sighting(maps[i:i + 1], square, found, start + i) for i, square in enumerate(chunk)]
    kept = [s for s in sightings if is_person(s.scores[s.scores >= threshold], threshold)]
    kept.sort(key=lambda s: float(s.mask.sum()) * s.square.side**2, reverse=True)
    poses = tuple(Pose(s.keypoints, s.scores * (s.scores >= threshold), width, height) for s in kept)
    masks, regions = paint(kept, height, width, runtime)
    return Detection(PoseFrame(width, height, poses), masks, regions)


def find_everybody(net: nn.Module, device: torch.device, picture: Tensor, max_people: int,
                   runtime: Runtime) -> Found:
    """Looks at the whole picture; at large ones also at smaller squares, for whom that shows too small."""
    height, width = picture.shape[1:]
    whole = fitting_square(height, width)
    found = _in_picture(decode(_look(net, device, picture, [whole]), max_people), whole)
    squares = tiles(whole, height, width) if whole.side >= LARGE else []
    for start in range(0, len(squares), BATCH):
        runtime.check_interrupt()
        chunk = squares[start:start + BATCH]
        maps = _look(net, device, picture, chunk)
        for i, square in enumerate(chunk):
            found = found.joined(_in_picture(decode(maps[i:i + 1], max_people), square), square, whole)
    return found.first(max_people)


def tiles(whole: Square, height: int, width: int) -> list[Square]:
    """Squares of half the side that overlap by half, in the picture at least in part."""
    side = -(-whole.side // 4) * 2
    places = [(whole.x0 + x * side // 2, whole.y0 + y * side // 2) for y in range(3) for x in range(3)]
    return [Square(x, y, side) for x, y in places
            if x < width and y < height and x + side > 0 and y + side > 0]


def _in_picture(people: People, view: Square) -> Found:
    """Who was seen in one square, in pixels of the picture."""
    origin = torch.tensor([view.x0, view.y0], dtype=torch.float32)
    squares = [closer_square(view, people, i) for i in range(len(people.sizes))]
    return Found(people.centres * view.side + origin, people.sizes * view.side, squares)


def is_person(scores: Tensor, threshold: float) -> bool:
    """Whether joints with these scores, none below `threshold`, are somebody. What only looks a little like a
    person has few joints, all of them unsure."""
    return len(scores) >= ENOUGH_JOINTS and float(scores.mean()) >= threshold + SURER * (1 - threshold)


def fitting_square(height: int, width: int) -> Square:
    """The smallest square round the whole picture."""
    side = max(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def closer_square(whole: Square, people: People, person: int) -> Square:
    """A square round one person found in `whole`: cells and joints, with some air."""
    y, x = (people.masks[person] > 0.5).nonzero().T
    places = torch.cat([(torch.stack([x, y], -1) + 0.5) / GRID,
                        people.keypoints[person][people.scores[person] > 0] / SIDE])      # [K,2] 0..1
    low, high = (places.amin(0), places.amax(0)) if len(places) else (people.centres[person],) * 2
    side = max(1, round(float((high - low).max().clamp(min=4 / GRID)) * CLOSER * whole.side))
    x0, y0 = ((low + high) / 2 * whole.side - side / 2).round().int().tolist()
    return Square(whole.x0 + x0, whole.y0 + y0, side)


def crop_square(picture: Tensor, square: Square) -> Tensor:
    """[3,H,W] -> [1,3,128,128]: the square, grey beyond the picture."""
    height, width = picture.shape[1:]
    x0, x1 = max(0, square.x0), min(width, square.x0 + square.side)
    y0, y1 = max(0, square.y0), min(height, square.y0 + square.side)
    inside = picture[None, :, y0:y1, x0:x1]
    border = (x0 - square.x0, square.x0 + square.side - x1, y0 - square.y0, square.y0 + square.side - y1)
    return resize(F.pad(inside, border, value=0.5), SIDE, SIDE)


def _look(net: nn.Module, device: torch.device, picture: Tensor, squares: Sequence[Square]) -> Maps:
    return net(torch.cat([crop_square(picture, square) for square in squares]).to(device)).to("cpu")


def _sighting(maps: Maps, square: Square, found: Found, person: int) -> Sighting:
    """The one person the square was made for, among everybody known to be near."""
    origin = torch.tensor([square.x0, square.y0], dtype=torch.float32)
    seen = assign(maps, (found.centres - origin) / square.side, found.sizes / square.side)
    return Sighting(square, seen.keypoints[person] * (square.side / SIDE) + origin, seen.scores[person],
                    seen.masks[person], maps.regions[0].softmax(0))


def paint(sightings: Sequence[Sighting], height: int, width: int, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Masks [N,height,width] bool and regions [height,width] uint8; of two people at a pixel the surer
    wins."""
    owner = torch.zeros(height, width, dtype=torch.uint8)
    surest = torch.full((height, width), 0.5)
    regions = torch.zeros(height, width, dtype=torch.uint8)
    for number, sighting in enumerate(sightings, 1):
        square = sighting.square
        x0, x1 = max(0, square.x0), min(width, square.x0 + square.side)
        planes = torch.cat([sighting.mask[None], sighting.regions[1:]])                   # [12,64,64]
        rows = max(1, STRIP // max(1, x1 - x0))
        for top in range(max(0, square.y0), min(height, square.y0 + square.side), rows):
            runtime.check_interrupt()
            bottom = min(height, square.y0 + square.side, top + rows)
            large = enlarge(planes, square, (top, bottom), (x0, x1))
            window = slice(top, bottom), slice(x0, x1)
            wins = large[0] > surest[window]
            owner[window] = torch.where(wins, number, owner[window])
            surest[window] = torch.where(wins, large[0], surest[window])
            regions[window] = torch.where(wins, largest(large[1:]) + 1, regions[window])
    return owner == torch.arange(1, len(sightings) + 1)[:, None, None], regions


def largest(planes: Tensor) -> Tensor:
    """[C,h,w] -> [h,w] uint8: the first largest plane, several times faster than `argmax` on a CPU."""
    best, index = planes[0], torch.zeros(planes.shape[1:], dtype=torch.uint8)
    for number, plane in enumerate(planes[1:], 1):
        index[plane > best] = number
        best = torch.maximum(best, plane)
    return index


def enlarge(planes: Tensor, square: Square, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """[C,64,64] on a square -> [C,h,w] at some rows and columns of the picture, bilinear."""
    y = (torch.arange(*rows) + 0.5 - square.y0) / square.side * 2 - 1
    x = (torch.arange(*columns) + 0.5 - square.x0) / square.side * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]                     # [1,h,w,2]
    return F.grid_sample(planes[None], grid, "bilinear", "border", align_corners=False)[0]
