"""Person masks from poses."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..pose import Pose
from .silhouette import Silhouette

_COARSE = 256                  # cells on the longer side of the grid on which bodies compete for pixels
_FAR = 0.5                     # metres from every body at which a blob is somebody else
_CRUMB = 0.02                  # share of the mask below which such a blob is no person of its own


def mask_from_pose(pose: Pose, height: int, width: int) -> Tensor:
    """[H,W] bool: the silhouette of a clothed adult in this pose; the pose is scaled to the picture.

    Empty when the pose has no bone to measure. Long hair, skirts and bags are not foreseen.
    """
    return _distance(pose, height, width, height, width) < 0


def split_mask(mask: Tensor, poses: Sequence[Pose]) -> list[Tensor]:
    """Divides the mask of everybody, [H,W] bool, among the poses: one [H,W] bool per pose, in their order.

    A connected blob goes whole to the only body that reaches into it; where several do, each pixel goes to the nearest
    body, measured in metres of that body. Blobs far from everybody come after the poses, one mask each; their
    crumbs share a last one. The masks are disjoint and their union is `mask`.
    """
    height, width = mask.shape
    scale = min(1.0, _COARSE / max(height, width))
    grid = math.ceil(height * scale), math.ceil(width * scale)
    distances = [_distance(pose, height, width, *grid) for pose in poses]
    blobs, areas = _blobs(mask)
    reach = torch.stack([_reach(_spread(d, height, width), blobs, len(areas)) for d in distances]) \
        if distances else torch.empty(0, len(areas))                                       # [P,blobs]
    claims = _claims(reach)
    owner = torch.full((height, width), -1, dtype=torch.int16)
    best = torch.full((height, width), torch.inf)
    for i, distance in enumerate(distances):
        distance = torch.where(claims[i][blobs], _spread(distance, height, width), torch.inf)
        owner[distance < best] = i
        best = torch.minimum(best, distance)
    split = [mask & (owner == i) for i in range(len(poses))]
    return split + _strays(blobs, areas, ~claims.any(0))


def _distance(pose: Pose, height: int, width: int, rows: int, columns: int) -> Tensor:
    """[rows,columns] metres to the body of `pose` on a height x width picture, at the middle of each cell."""
    y = (torch.arange(rows) + 0.5) * (height / rows)
    x = (torch.arange(columns) + 0.5) * (width / columns)
    return Silhouette(pose.scaled(width, height)).distance(y, x)


def _spread(coarse: Tensor, height: int, width: int) -> Tensor:
    rows = torch.arange(height) * coarse.shape[0] // height
    columns = torch.arange(width) * coarse.shape[1] // width
    return coarse[rows[:, None], columns]


def _blobs(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Connected components: [H,W] long, 0 = not in the mask; and their areas, that of 0 included."""
    import cv2

    count, labels = cv2.connectedComponents(mask.byte().cpu().numpy(), connectivity=8)
    blobs = torch.from_numpy(labels).long()
    return blobs, torch.bincount(blobs.flatten(), minlength=count)


def _reach(distance: Tensor, blobs: Tensor, count: int) -> Tensor:
    """[count]: how near each blob comes to a body."""
    nearest = torch.full((count,), torch.inf)
    return nearest.scatter_reduce(0, blobs.flatten(), distance.flatten(), "amin")


def _claims(reach: Tensor) -> Tensor:
    """[P,blobs] bool: whose body reaches into a blob; else, who is nearest if anybody is near at all."""
    claims = reach < 0
    if len(reach):
        near = (reach == reach.amin(0)) & (reach < _FAR)
        claims |= near & ~claims.any(0)
    return claims


def _strays(blobs: Tensor, areas: Tensor, unclaimed: Tensor) -> list[Tensor]:
    unclaimed = unclaimed.clone()
    unclaimed[0] = False
    crumb = unclaimed & (areas < _CRUMB * areas[1:].sum())
    strays = [blobs == i for i in (unclaimed & ~crumb).nonzero().flatten().tolist()]
    return [*strays, crumb[blobs]] if crumb.any() else strays
