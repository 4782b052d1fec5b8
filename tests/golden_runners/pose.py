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
    found = {}
    for one in case.json["cases"]:
        height, width = one["height"], one["width"]
        joints = published_joints(case.inputs[f"in.{one['id']}.kp"])
        discs = maps.disc_maps(joints, height, width)
        indices = discs.movedim(0, -1).flatten()
        outputs = {"mask_polygon_u8": packed(maps.polygon_mask(joints, height, width)),
                   "mask_r4_open_u8": packed(maps.pose_mask(joints, height, width, closing=1)),
                   "sparse_count": indices.sum()[None], "sparse_first": sparse(discs)}
        for name, expected in case.expected.items():
            radius = re.fullmatch(rf"out\.{one['id']}\.mask_r(\d+)_u8", name)
            if radius:
                mask = maps.pose_mask(joints, height, width, radius=int(radius[1]))
                outputs[name.split(".")[-1]] = packed(mask)
            elif name == f"out.{one['id']}.pose_u8":
                stride = height // expected.shape[1]
                outputs["pose_u8"] = packed(discs[:, ::stride, ::stride])
        found |= {f"out.{one['id']}.{name}": value for name, value in outputs.items()}
    return found


def sparse(discs: Tensor, count: int = 49) -> Tensor:
    """[18,H,W] -> the first indices row*W*18 + column*18 + joint, joint by joint."""
    joint, row, column = discs.nonzero().T[:, :count]
    return ((row * discs.shape[2] + column) * len(discs) + joint).float()


def packed(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.numpy().astype(bool), axis=-1))


RUNNERS = {"pg2-mask": run_pg2_mask}
