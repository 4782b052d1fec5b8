"""Procedural people, each in two poses, larger than a network draws them."""
from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from anyone.core.pose import Pose
from anyone.core.synthetic import render_people, sample_identity, sample_pose
from torch import Tensor


@dataclass(frozen=True)
class View:
    """Picture [3,H,W], mask [H,W] bool, pose."""

    picture: Tensor
    mask: Tensor
    pose: Pose


@pytest.fixture(scope="session")
def pairs() -> list[tuple[View, View]]:
    """The same person in two poses, 512x256, nobody of whom was trained on."""
    ids = torch.tensor([990001, 990003, 990008])
    people = sample_identity(ids)
    sides = [render_people(ids, 512, 256, mode="studio", identity=people, pose=sample_pose(ids + offset))
             for offset in (100, 200)]
    return list(zip(*map(views, sides), strict=True))


def views(drawn) -> list[View]:
    height, width = drawn.image.shape[2:]
    poses = [Pose(keypoints[0], (visible[0] > 0).float(), width, height)
             for keypoints, visible in zip(drawn.keypoints, drawn.visibility, strict=True)]
    return [View(*one) for one in zip(drawn.image, drawn.mask, poses, strict=True)]
