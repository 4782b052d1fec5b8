"""Boxes, segments and points as other packs pass them on their wires."""
from __future__ import annotations

import json
import math
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .boxes import tight_box
from .person import CropBox

# Impact Pack's segment; who takes one reads the fields by name.
SEG = namedtuple("SEG", ["cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label",
                         "control_net_wrapper"], defaults=[None])
_SIDES = ("x", "y", "width", "height")


def read_boxes(value: Any, pictures: int, *, xywh: bool = False) -> list[Tensor]:
    """BBOX or BOUNDING_BOX of any producer -> for each picture the boxes [N,4] x0, y0, x1, y1 in pixels.

    BBOX: (x0, y0, x1, y1), or x, y, width, height if `xywh`; one of them, a list, or a list of lists.
    BOUNDING_BOX: {"x", "y", "width", "height"}, nested alike. A list of lists is one per picture, the last
    one repeats. A flat list of as many tuples as pictures is one each; any other flat list holds for every
    picture. Raises ValueError for anything else.
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping) or _is_box(value):
        value = [value]
    if not isinstance(value, list | tuple):
        raise ValueError(f"boxes should be a list of (x0, y0, x1, y1) or of dictionaries with "
                         f"{', '.join(_SIDES)}; got {type(value).__name__}.")
    nested = [item.tolist() if hasattr(item, "tolist") else item for item in value]
    if any(isinstance(item, Mapping) or _is_box(item) for item in nested):
        one_each = len(nested) == pictures and not isinstance(nested[0], Mapping)
        nested = [[item] for item in nested] if one_each else [nested]
    nested = nested or [[]]
    return [_box_tensor(nested[min(i, len(nested) - 1)], xywh) for i in range(pictures)]


def write_boxes(boxes: Sequence[Tensor]) -> list[list[tuple[float, ...]]]:
    """Per picture [N,4] x0, y0, x1, y1 -> BBOX."""
    return [[tuple(box) for box in one.tolist()] for one in boxes]


def write_bounding_boxes(boxes: Sequence[Tensor], scores: Sequence[Tensor]) -> list[list[dict[str, float]]]:
    """Per picture [N,4] x0, y0, x1, y1 and scores [N] -> BOUNDING_BOX."""
    return [[{"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "score": score}
             for (x0, y0, x1, y1), score in zip(one.tolist(), sure.tolist(), strict=True)]
            for one, sure in zip(boxes, scores, strict=True)]


def write_segs(masks: Tensor, scores: Sequence[float], *, label: str = "person",
               crop_factor: float = 3.0) -> tuple[tuple[int, int], list[SEG]]:
    """[N,H,W] bool, one mask per person of a picture -> SEGS; empty masks are left out.

    `crop_factor`: size of the region around a person that detailers work on, in sizes of the person's box.
    """
    height, width = masks.shape[1:]
    segments = []
    for mask, score in zip(masks, scores, strict=True):
        box = tight_box(mask)
        if box is None:
            continue
        region = _around(box, crop_factor).clipped(height, width)
        cropped = mask[region.y0:region.y1, region.x0:region.x1].float().cpu().numpy()
        segments.append(SEG(None, cropped, float(score), [region.x0, region.y0, region.x1, region.y1],
                            (box.x0, box.y0, box.x1, box.y1), label))
    return (height, width), segments


def read_segs(value: Any) -> Tensor:
    """SEGS -> [N,H,W] bool, a mask per segment on the whole picture. Raises ValueError for anything else."""
    try:
        (height, width), segments = value
        masks = torch.zeros(len(segments), int(height), int(width), dtype=torch.bool)
        for mask, segment in zip(masks, segments, strict=True):
            x0, y0, x1, y1 = (int(side) for side in segment.crop_region)
            mask[y0:y1, x0:x1] = torch.as_tensor(segment.cropped_mask) > 0.5
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"segs should be SEGS as Impact Pack makes them, ((height, width), segments); "
                         f"these cannot be read ({error}).") from None
    return masks


def read_points(value: Any, width: int, height: int, name: str = "points") -> Tensor:
    """[N,2] x, y in pixels from what a points editor writes, `[{"x": 10, "y": 20}, …]`, or `[[10, 20], …]`.

    The list may come as such or as a text, where single quotes are tolerated; keys besides x and y do not
    count. Points that are all fractions within 0..1 refer to the size of the picture. `name`: the input they
    came by. Raises ValueError for anything else.
    """
    try:
        points = torch.tensor([[float(number) for number in _coordinates(point)]
                               for point in parse_points(value, name)]).view(-1, 2)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ValueError(f'{name} should be points like [{{"x": 10, "y": 20}}] or [[10, 20]]; '
                         f"got {str(value)[:60]!r}.") from None
    if not torch.isfinite(points).all():
        raise ValueError(f"{name} hold a number that is not finite; every x and y should be a pixel.")
    fractions = bool(((points >= 0) & (points <= 1)).all()) and bool((points != points.round()).any())
    return points * torch.tensor([width, height]) if fractions else points


def parse_points(value: Any, name: str = "points") -> list[Any]:
    """The list that a text holds, `[]` if it holds none, or that `value` is. Raises ValueError otherwise."""
    if isinstance(value, str):
        try:
            value = json.loads(value.replace("'", '"')) if value.strip() else []
        except (ValueError, RecursionError):
            raise ValueError(f'{name} should be a text like [{{"x": 10, "y": 20}}]; '
                             f"got {value[:60]!r}.") from None
    if not isinstance(value, list | tuple):
        raise ValueError(f'{name} should be a list like [{{"x": 10, "y": 20}}]; got {str(value)[:60]!r}.')
    return list(value)


def write_points(points: Tensor) -> str:
    """[N,2] x, y in pixels -> the text points editors write, whole pixels."""
    return json.dumps([{"x": int(x), "y": int(y)} for x, y in points.floor().tolist()])


def _coordinates(point: Any) -> tuple[Any, Any]:
    x, y = (point["x"], point["y"]) if isinstance(point, Mapping) else point
    return x, y


def _is_box(value: Any) -> bool:
    """Four numbers, maybe a score after them."""
    return isinstance(value, list | tuple) and len(value) in (4, 5) and \
        all(isinstance(number, int | float) for number in value)


def _box_tensor(boxes: Any, xywh: bool) -> Tensor:
    """[N,4] x0, y0, x1, y1 of one picture's boxes."""
    if not isinstance(boxes, list | tuple):
        raise ValueError(f"boxes hold {str(boxes)[:60]}, expected one list of boxes per picture.")
    return torch.tensor([_corners(box, xywh) for box in boxes], dtype=torch.float32).view(-1, 4)


def _corners(box: Any, xywh: bool) -> list[float]:
    try:
        if isinstance(box, Mapping):
            box, xywh = [float(box[side]) for side in _SIDES], True
        x0, y0, x1, y1 = (float(number) for number in list(box)[:4])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"boxes hold {str(box)[:60]}, expected four numbers or a dictionary with "
                         f"{', '.join(_SIDES)}.") from None
    x1, y1 = (x0 + x1, y0 + y1) if xywh else (x1, y1)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError(f"boxes hold {str(box)[:60]}, with a number that is not finite.")
    return [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]


def _around(box: CropBox, factor: float) -> CropBox:
    """The box grown about its middle."""
    dx, dy = (round(side * (factor - 1) / 2) for side in (box.width, box.height))
    return CropBox(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)
