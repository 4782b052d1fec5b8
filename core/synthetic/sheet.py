"""A contact sheet: people, and below each row the same pictures with regions and skeletons."""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..pose.draw import draw_poses
from ..pose.pose import Pose, PoseFrame
from ..sheet import save_sheet
from .palette import REGION_PALETTE
from .render import Rendering


def write_sheet(path: Path, people: Rendering, columns: int = 8) -> None:
    """A PNG. Incomplete rows are filled with white."""
    count = len(people.image)
    columns = min(columns, count)
    overlay = torch.stack([annotated(people, k) for k in range(count)])
    rows = []
    for first in range(0, count, columns):
        for pictures in (people.image, overlay):
            row = pictures[first:first + columns]
            missing = columns - len(row)
            rows.append(torch.cat([row, row.new_ones(missing, *row.shape[1:])]) if missing else row)
    save_sheet(path, torch.stack(rows))


def annotated(people: Rendering, k: int) -> Tensor:
    """[3,H,W]: regions of everybody over the picture, skeletons on top; hidden joints are left out."""
    colours = REGION_PALETTE[people.people_regions[k].long()].float() / 255                  # [H,W,3]
    picture = .35 * people.image[k].movedim(0, -1) + .65 * colours
    height, width = picture.shape[:2]
    poses = tuple(Pose(points, (seen == 2).float(), width, height)
                  for points, seen in zip(people.keypoints[k], people.visibility[k], strict=True))
    return draw_poses(PoseFrame(width, height, poses), picture).movedim(-1, 0)
