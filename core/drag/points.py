"""Handles and targets as people and points editors write them."""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..people import parse_points, read_points

_TARGET = {"tx", "ty"}


def read_drag(handles: Any, targets: Any, width: int, height: int) -> tuple[Tensor, Tensor]:
    """What to pull, [N,2], and where to, [M,2], as `read_ways`; raises ValueError where M is 0, too."""
    starts, ends = read_ways(handles, targets, width, height)
    if not len(ends):
        raise ValueError("targets is empty; say where each handle shall go, there or with tx and ty in "
                         "handles.")
    return starts, ends


def read_ways(handles: Any, targets: Any, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Handles [N,2] and targets [M,2], none perhaps, x and y in pixels of a picture of that size.

    Each as for `read_points`, or both in `handles` alone: `[{"x": 10, "y": 20, "tx": 30, "ty": 20}, …]`; of
    these, points without tx and ty come last, as handles without a target. Raises ValueError where handles is
    empty, and for what is no list of points.
    """
    starts, ends = parse_points(handles, "handles"), parse_points(targets, "targets")
    if not starts:
        raise ValueError('handles is empty; give at least one point, like [{"x": 10, "y": 20}].')
    if ends:
        return read_points(starts, width, height, "handles"), read_points(ends, width, height, "targets")
    pulled = [point for point in starts if isinstance(point, Mapping) and point.keys() & _TARGET]
    starts.sort(key=lambda point: point not in pulled)
    goals = [{"x": point.get("tx"), "y": point.get("ty")} for point in pulled]
    points = read_points([*starts, *goals], width, height, "handles")
    return points[:len(starts)], points[len(starts):]


def write_drag(handles: Tensor, targets: Tensor, width: int, height: int) -> str:
    """[N,2] and [N,2], x and y in pixels of a picture of that size -> the text of both in one.

    Made to be dragged on: handles beside the picture go to the nearest place in it.
    """
    handles = handles.clamp(min=0).minimum(torch.tensor([width - 1, height - 1]))
    points = torch.cat([handles, targets], 1)                                      # [N,4]
    if ((points >= 0) & (points <= 1)).all():             # fractions would count as shares of the picture
        points = points.round()
    return json.dumps([dict(zip(("x", "y", "tx", "ty"), map(_number, row), strict=True))
                       for row in points.tolist()])


def _number(value: float) -> float:
    """Whole pixels without a point behind them."""
    return int(value) if value == int(value) else round(value, 2)
