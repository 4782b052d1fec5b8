"""Person masks without any weights: GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) seeded by a
silhouette.

A first mask for photographs of people whose colours differ from what is behind them; no matte.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import resize
from ..pose import Pose
from .person import CropBox
from .silhouette import Silhouette

_SIDE = 512                                               # largest side GrabCut works at
_ITERATIONS = 5
# Metres from the silhouette: what is the person for certain, probably and possibly; and background beside.
_CERTAIN, _PROBABLE, _POSSIBLE, _RIM = -0.03, 0.0, 0.12, 0.6


def grabcut_people(picture: Tensor, poses: Sequence[Pose]) -> Tensor:
    """`picture` [3,H,W] 0..1 and everybody's pose -> [N,H,W] bool, one mask per pose; they do not overlap.

    A pose without a bone has an empty mask. The same arguments always give the same masks: people are cut out
    in threads of our own, because OpenCV has one random state per thread, so nobody else's is touched.
    """
    from concurrent.futures import ThreadPoolExecutor

    height, width = picture.shape[1:]
    bodies = [Silhouette(pose.scaled(width, height)) for pose in poses]
    owner = torch.full((height, width), -1, dtype=torch.int32)
    nearest = torch.full((height, width), torch.inf)
    boxes = [_surroundings(body).clipped(height, width) for body in bodies]
    seen = [number for number, box in enumerate(boxes) if box.width and box.height]

    def cut(number: int) -> Tensor:
        box = boxes[number]
        others = [bodies[i] for i in seen if i != number and boxes[i].meets(box)]
        return _cut(picture[:, box.y0:box.y1, box.x0:box.x1], bodies[number], others, box)

    with ThreadPoolExecutor() as threads:
        for number, distance in zip(seen, threads.map(cut, seen), strict=True):
            window = slice(boxes[number].y0, boxes[number].y1), slice(boxes[number].x0, boxes[number].x1)
            wins = distance < nearest[window]
            owner[window] = torch.where(wins, number, owner[window])
            nearest[window] = torch.where(wins, distance, nearest[window])
    return owner == torch.arange(len(poses))[:, None, None]


def _surroundings(body: Silhouette) -> CropBox:
    """The body and what GrabCut compares it with."""
    if body.box is None:
        return CropBox(0, 0, 0, 0)
    x0, y0, x1, y1 = body.box
    rim = _RIM * body.scale
    return CropBox(math.floor(x0 - rim), math.floor(y0 - rim), math.ceil(x1 + rim), math.ceil(y1 + rim))


def _cut(picture: Tensor, body: Silhouette, others: Sequence[Silhouette], box: CropBox) -> Tensor:
    """[h,w]: metres to the silhouette at this person's pixels in a crop of the picture, else infinity."""
    scale = min(1.0, _SIDE / max(box.width, box.height))
    rows, columns = (max(1, round(side * scale)) for side in (box.height, box.width))
    y = box.y0 + (torch.arange(rows) + 0.5) * (box.height / rows)
    x = box.x0 + (torch.arange(columns) + 0.5) * (box.width / columns)
    distance = body.distance(y, x)                                                # [rows,columns]
    small = (resize(picture[None].cpu().float(), rows, columns)[0].clamp(0, 1) * 255).round().byte()
    inside = _grabcut(small.flip(0).movedim(0, -1).contiguous().numpy(),
                      _trimap(distance, [other.distance(y, x) for other in others]))
    planes = torch.stack([torch.from_numpy(inside).float(), distance])
    if scale < 1:
        planes = F.interpolate(planes[None], (box.height, box.width), mode="bilinear", align_corners=False)[0]
    return torch.where(planes[0] > 0.5, planes[1], torch.inf)


def _trimap(distance: Tensor, others: Sequence[Tensor]) -> np.ndarray:
    """GrabCut's four classes from the distances to this silhouette and to those of other people."""
    import cv2

    trimap = torch.full(distance.shape, cv2.GC_BGD, dtype=torch.uint8)
    for limit, label in ((_POSSIBLE, cv2.GC_PR_BGD), (_PROBABLE, cv2.GC_PR_FGD), (_CERTAIN, cv2.GC_FGD)):
        trimap[distance < limit] = label
    for other in others:
        trimap[(other < _CERTAIN) & (other < distance)] = cv2.GC_BGD
    return trimap.numpy()


def _grabcut(colours: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """[h,w] bool: those connected parts of GrabCut's foreground that hold something certain. Sets the random
    state of its thread."""
    import cv2

    mask = trimap & 1                                     # GC_FGD and GC_PR_FGD are odd
    if mask.any() and not mask.all():                     # else there is nothing to tell apart
        cv2.setRNGSeed(0)
        models = np.zeros((2, 1, 65))
        cv2.grabCut(colours, trimap, (0, 0, 1, 1), models[0], models[1], _ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mask = trimap & 1
    _, parts = cv2.connectedComponents(mask, connectivity=8)
    return (mask > 0) & np.isin(parts, np.unique(parts[trimap == cv2.GC_FGD]))
