"""Pose maps and pose masks: `pg2-mask`."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from anyone.core.pose import maps
from torch import Tensor


def published_joints(rows: Tensor) -> Tensor:
    """[18,2] y, x with -1 = missing -> x, y with NaN = missing."""
    return torch.where((rows == -1).any(1, keepdim=True), torch.nan, rows).flip(1)


def run_pg2_mask(case: Any) -> dict[str, Tensor]:
    sizes = {one["id"]: (one["height"], one["width"]) for one in case.json["cases"]}
    found = {}
    for name, expected in case.expected.items():
        _, number, kind = name.split(".")
        joints = published_joints(case.inputs[f"in.{number}.kp"])
        found[name] = output(kind, joints, *sizes[number], expected.shape)
    return found


def output(kind: str, joints: Tensor, height: int, width: int, shape: torch.Size) -> Tensor:
    """One output of the case by the last part of its name, cut down to `shape`."""
    mask = re.fullmatch(r"mask_r(\d+)(_open)?_u8", kind)
    if mask:
        closing = {"closing": 1} if mask[2] else {}
        return packed(maps.pose_mask(joints, height, width, radius=int(mask[1]), **closing))
    if kind == "mask_polygon_u8":
        return packed(maps.polygon_mask(joints, height, width))
    discs = maps.disc_maps(joints, height, width)
    if kind == "pose_u8":
        stride = height // shape[1]
        return packed(discs[:, ::stride, ::stride])
    joint, row, column = discs.nonzero().T
    indices = (row * width + column) * len(discs) + joint
    return torch.tensor([len(indices)]) if kind == "sparse_count" else indices[:shape[0]]


def packed(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.numpy().astype(bool), axis=-1))


RUNNERS = {"pg2-mask": run_pg2_mask}
