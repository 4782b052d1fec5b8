"""The square around a head, for face parsers: cut out and laid back."""
from __future__ import annotations

import torch
from torch import Tensor

from ..pose import JOINTS, Pose
from .person import CropBox

_NOSE, _NECK = JOINTS.index("nose"), JOINTS.index("neck")
_EYES = [JOINTS.index("right_eye"), JOINTS.index("left_eye")]
_EARS = [JOINTS.index("right_ear"), JOINTS.index("left_ear")]
# Side of the square in distances between eyes, between ears, and from nose to neck; and how much lower it is.
_BY_EYES, _BY_EARS, _BY_NECK, _LOWER = 4.2, 2.6, 2.2, 0.1


def head_square(pose: Pose) -> CropBox | None:
    """Around the face with hair and neck; may reach outside. None when nothing tells where or how large."""
    joints = torch.where(pose.present[:, None], pose.keypoints, torch.nan)
    face = joints[[_NOSE, *_EYES]].nanmean(0)
    sizes = torch.stack([_BY_EYES * (joints[_EYES[0]] - joints[_EYES[1]]).norm(),
                         _BY_EARS * (joints[_EARS[0]] - joints[_EARS[1]]).norm(),
                         _BY_NECK * (joints[_NOSE] - joints[_NECK]).norm()]).nan_to_num(0.0)
    side = round(float(sizes.max()))
    if side < 1 or not torch.isfinite(face).all():
        return None
    x0, y0 = (face + torch.tensor([0.0, _LOWER * side]) - side / 2).round().int().tolist()
    return CropBox(x0, y0, x0 + side, y0 + side)


def cut_square(picture: Tensor, box: CropBox) -> Tensor:
    """[3,H,W] -> [3,h,w]; beyond its border the picture is mirrored."""
    rows, columns = (_mirrored(torch.arange(start, end), size) for start, end, size in (
        (box.y0, box.y1, picture.shape[1]), (box.x0, box.x1, picture.shape[2])))
    return picture[:, rows][:, :, columns]


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Any whole numbers -> 0..size-1: ... 1 0 | 0 1 2 ... size-1 | size-1 ..."""
    index = index % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def lay_labels(canvas: Tensor, labels: Tensor, box: CropBox) -> None:
    """Writes labels [h,w] of a box's own size into `canvas` [H,W], where they are above 0."""
    part = box.clipped(*canvas.shape)
    shown = labels[part.y0 - box.y0:part.y1 - box.y0, part.x0 - box.x0:part.x1 - box.x0]
    window = canvas[part.y0:part.y1, part.x0:part.x1]
    window.copy_(torch.where(shown > 0, shown, window))
