"""Person masks from poses."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose import Pose
from .person import CropBox
from .silhouette import ALL, Silhouette

_FINE = 512                    # cells per side of the grid an outline is computed on
_COARSE = 256                  # cells on the longer side of the grid on which bodies compete for pixels
_FAR = 0.5                     # metres from every body at which a blob is somebody else
_STILL = 0.1                   # pixels that a part may stray without having moved
_CRUMB = 0.02                  # share of the mask below which such a blob is no person of its own


def mask_from_pose(pose: Pose, height: int, width: int) -> Tensor:
    """[H,W] bool: the silhouette of a clothed adult in this pose; the pose is scaled to the picture.

    Empty when the pose has no bone to measure. Long hair, skirts and bags are not foreseen.
    """
    body = Silhouette(pose.scaled(width, height))
    return _drawn(torch.zeros(height, width, dtype=torch.bool), body)


def moved_masks(mask: Tensor, start: Pose, ends: Sequence[Pose]) -> Iterator[Tensor]:
    """[H,W] bool, how a person's mask changes as they move from `start` to each of `ends`.

    The parts of the body that move anywhere are drawn anew in each pose; the rest stays, with hair and
    clothes, and so does the mask where nothing has moved yet. Poses are scaled to the picture. Each is drawn
    when it is asked for.
    """
    height, width = mask.shape
    old = Silhouette(start.scaled(width, height))
    bodies = [Silhouette(end.scaled(width, height), old.scale) for end in ends]
    if any(len(body.capsules) != len(old.capsules) for body in bodies):            # parts left the picture
        return (mask if torch.equal(body.capsules, old.capsules) else _drawn(torch.zeros_like(mask), body)
                for body in bodies)
    changes = [(body.capsules[:, :4] - old.capsules[:, :4]).abs().amax(1) > _STILL for body in bodies]
    moving = torch.stack(changes).any(0)                                           # [K]
    window = _window(old, height, width)
    limbs, others = (_fine_distance(old, window, chosen) for chosen in (moving, ~moving))
    rest = mask.clone()
    rest[window.y0:window.y1, window.x0:window.x1] &= others <= limbs
    return (_drawn(rest, body, moving) if change.any() else mask
            for body, change in zip(bodies, changes, strict=True))


def _drawn(mask: Tensor, body: Silhouette, chosen: Tensor | slice = ALL) -> Tensor:
    """A copy of `mask` with the chosen capsules of a body in it."""
    window = _window(body, *mask.shape)
    drawn = mask.clone()
    drawn[window.y0:window.y1, window.x0:window.x1] |= _fine_distance(body, window, chosen) < 0
    return drawn


def _fine_distance(body: Silhouette, window: CropBox, chosen: Tensor | slice) -> Tensor:
    """[h,w] metres to a body at every pixel of the window."""
    rows, columns = (min(side, _FINE) for side in (window.height, window.width))
    if not rows or not columns:
        return torch.empty(window.height, window.width)
    distance = _distance(body, window, rows, columns, chosen)
    return F.interpolate(distance[None, None], (window.height, window.width), mode="bilinear")[0, 0]


def split_mask(mask: Tensor, poses: Sequence[Pose]) -> list[Tensor]:
    """Divides the mask of everybody, [H,W] bool, among the poses: one [H,W] bool per pose, in their order.

    A connected blob goes whole to the only body that reaches into it; where several do, each pixel goes to
    the nearest body, measured in metres of that body. Blobs far from everybody come after the poses, one mask
    each; their crumbs share a last one. The masks are disjoint and their union is `mask`.
    """
    mask = mask.cpu()
    pixels = mask.flatten().nonzero()[:, 0]                                        # [N]
    blobs, areas = _blobs(mask, pixels)                                            # [N], [blobs]
    distances, cells = _distances(mask, pixels, poses)                             # [P,cells], [N]
    # All pixels of one blob in one cell share their fate: [M] groups instead of N pixels.
    groups, group_of = torch.unique(blobs * distances.shape[1] + cells, return_inverse=True)
    blobs, cells = groups // distances.shape[1], groups % distances.shape[1]
    distances = distances[:, cells]                                                # [P,M]
    claims = _claims(_reach(distances, blobs, len(areas)))                         # [P,blobs]
    rivals = distances.masked_fill(~claims[:, blobs], torch.inf)
    nobody = torch.full((1, len(groups)), torch.finfo(torch.float32).max)
    owners = torch.cat([rivals, nobody]).argmin(0)                                 # [M], P = nobody
    strays = len(poses) + _strays(areas, ~claims.any(0))                           # [blobs]
    owners = torch.where(owners == len(poses), strays[blobs], owners)
    labels = torch.full(mask.shape, -1, dtype=torch.int16)
    labels.view(-1)[pixels] = owners.to(torch.int16)[group_of]
    count = max(len(poses), int(owners.max()) + 1) if len(owners) else len(poses)
    return [labels == i for i in range(count)]


def _window(body: Silhouette, height: int, width: int) -> CropBox:
    """The part of the picture a body can cover."""
    if body.box is None:
        return CropBox(0, 0, 0, 0)
    x0, y0, x1, y1 = body.box
    return CropBox(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)).clipped(height, width)


def _distance(body: Silhouette, window: CropBox, rows: int, columns: int,
              chosen: Tensor | slice = ALL) -> Tensor:
    """[rows,columns] metres to a body, at the middle of the cells of a grid over `window`."""
    y = window.y0 + (torch.arange(rows) + 0.5) * (window.height / rows)
    x = window.x0 + (torch.arange(columns) + 0.5) * (window.width / columns)
    return body.distance(y, x, chosen)


def _distances(mask: Tensor, pixels: Tensor, poses: Sequence[Pose]) -> tuple[Tensor, Tensor]:
    """Metres to every body on a coarse grid over the picture [P,cells], and the cell of each pixel [N]."""
    height, width = mask.shape
    scale = min(1.0, _COARSE / max(height, width))
    rows, columns = math.ceil(height * scale), math.ceil(width * scale)
    bodies = [Silhouette(pose.scaled(width, height)) for pose in poses]
    picture = CropBox(0, 0, width, height)
    distances = [_distance(body, picture, rows, columns).flatten() for body in bodies]
    cells = pixels // width * rows // height * columns + pixels % width * columns // width
    return torch.stack(distances) if distances else torch.empty(0, rows * columns), cells


def _blobs(mask: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Connected components: that of each pixel [N], and their areas."""
    import cv2

    _, labels = cv2.connectedComponents(mask.byte().numpy(), connectivity=8)
    blobs = torch.from_numpy(labels).flatten()[pixels].long() - 1
    return blobs, torch.bincount(blobs)


def _reach(distances: Tensor, blobs: Tensor, count: int) -> Tensor:
    """[P,count]: how near each blob comes to each body."""
    nearest = torch.full((len(distances), count), torch.inf)
    return nearest.scatter_reduce(1, blobs.expand_as(distances), distances, "amin")


def _claims(reach: Tensor) -> Tensor:
    """[P,blobs] bool: whose body reaches into a blob; else, who is nearest if anybody is near at all."""
    claims = reach < 0
    if len(reach):
        near = (reach == reach.amin(0)) & (reach < _FAR)
        claims |= near & ~claims.any(0)
    return claims


def _strays(areas: Tensor, stray: Tensor) -> Tensor:
    """[blobs]: numbers the strays; all crumbs get the last number."""
    large = stray & (areas >= _CRUMB * areas.sum())
    return torch.where(large, large.cumsum(0) - 1, large.sum())
