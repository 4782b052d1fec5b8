"""Moving a painted person's limbs: joints that handles hold are taken along, and the person is painted anew.

Limbs follow the pose and the outline that the network is given. The pose that reaches the targets is found by
`pose.reach`; on the way to it limbs swing about their joints. What the person covered before becomes
background first, closed from the rim inwards; left to the network, the old limb would shine through.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ..people import (
    CropSettings,
    Person,
    PersonCrop,
    crop_onto,
    crop_picture,
    moved_masks,
    paste_person,
    person_box,
)
from ..people.background import without_person
from ..people.silhouette import HEIGHT, Silhouette
from ..pose import JOINTS, Pose, from_coco, interpolate_poses, reach, to_coco
from ..runtime import Runtime

RADIUS = 0.1                                              # heights of the person: near enough to hold a joint


@dataclass(frozen=True, eq=False)
class Grip:
    """What handles hold of a person in `pose`: `joints`, the nearest to each, and whether it is `held`."""

    pose: Pose
    joints: list[int]
    held: list[bool]

    @property
    def loose(self) -> list[int]:
        """The numbers of handles that hold no joint."""
        return [number for number, held in enumerate(self.held) if not held]

    def led(self, ways: Tensor, count: int) -> list[Pose]:
        """`count` poses in which held joints go along `ways` [N,2] of the handles; one where none is held."""
        pulls: dict[int, list[Tensor]] = {}
        for joint, held, way in zip(self.joints, self.held, ways, strict=True):
            if held:
                pulls.setdefault(joint, []).append(way)
        if not pulls:
            return [self.pose]
        goals = {joint: (self.pose.keypoints[joint] + torch.stack(some).mean(0)).tolist()
                 for joint, some in pulls.items()}
        return interpolate_poses(self.pose, reach(self.pose, goals), count)

    def carried(self, points: Tensor, pose: Pose) -> Tensor:
        """Where handles at `points` [N,2] are in another pose."""
        return points + (pose.keypoints - self.pose.keypoints)[self.joints]

    def names(self) -> list[str]:
        """What the handles hold, in words."""
        return [f", {JOINTS[joint].replace('_', ' ') if held else 'no joint'}"
                for joint, held in zip(self.joints, self.held, strict=True)]


def take_hold(person: Person, points: Tensor, radius: float) -> Grip:
    """`points`: [N,2] x, y, pixel centres at integers. `radius`: in heights of the person, 0 = none held."""
    height, width = person.mask.shape
    pose = from_coco(person.keypoints, width, height)
    distance = torch.cdist(points + 0.5, pose.keypoints).masked_fill(~pose.present, torch.inf)     # [N,18]
    nearest = distance.min(1)
    near = nearest.values < radius * HEIGHT * Silhouette(pose).scale
    return Grip(pose, nearest.indices.tolist(), near.tolist())


def move(picture: Tensor, person: Person, poses: Sequence[Pose], settings: CropSettings,
         runtime: Runtime) -> tuple[Tensor, list[PersonCrop]]:
    """The picture [3,H,W] without the person, who stands in the first of the poses, and cut out of that, all
    with one box, how they stand in each."""
    progress = runtime.progress(2 * len(poses), "moving a person")
    masks = list(progress.each(moved_masks(person.mask, poses[0], poses)))
    box = person_box(reduce(torch.logical_or, masks), settings)
    assert box is not None, "who was large enough to be chosen still is"
    seen = person.keypoints[:, 2:]
    people = [Person(mask, torch.cat([to_coco(pose)[:, :2], seen], 1))
              for mask, pose in zip(masks, poses, strict=True)]
    white = torch.ones(3, settings.height, settings.width)
    hole = paste_person(torch.zeros_like(picture), white, crop_onto(white, people[0], box, settings))[0] > 0
    empty = without_person(picture, hole | person.mask)
    pixels = crop_picture(empty, box, settings)
    return empty, [crop_onto(pixels, one, box, settings) for one in progress.each(people)]
