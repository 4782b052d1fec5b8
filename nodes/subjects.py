"""Who is in the picture: people from any mix of a mask, a pose and a detector."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.checkpoints import LoadedNet, load_as
from ..core.detectors import detect_people
from ..core.image import bchw_to_image, cycle_to, fit_mask, image_to_bchw, mask_to_bhw
from ..core.people import Detection, Person, mask_from_pose, split_mask
from ..core.pose import Pose, PoseFrame, to_coco
from . import host
from .load import DETECTOR_WEIGHTS
from .wires import cycled, expect_net, read_frames

VISIBLE = 0.3                                              # joints below this score count as missing
MEANT = 0.1                                                # of a detected person, for a mask to mean them


@dataclass(frozen=True, eq=False)
class Subjects:
    """Pictures with their people, all of one length."""

    pictures: Tensor                                       # [B,3,H,W]
    people: list[list[Person]]
    frames: list[PoseFrame]

    @property
    def note(self) -> str:
        reasons = {frame.note for frame in self.frames if frame.note}
        return " ".join([found_note([len(people) for people in self.people]), *sorted(reasons)])


def found_note(counts: list[int]) -> str:
    """How many people each picture has, in a sentence or two."""
    total, empty = sum(counts), [str(i + 1) for i, count in enumerate(counts) if not count]
    if not total:
        return "No person found; the picture is unchanged."
    found = f"{total} {'person' if total == 1 else 'people'} found."
    return found if not empty else f"{found} Nobody in picture {', '.join(empty)}, which stays unchanged."


def find_subjects(image: Tensor, mask: Tensor | None, pose: Any, detector: LoadedNet | None) -> Subjects:
    """A mask says where people are, a pose how they stand; the detector or one of them fills in the other.

    There are as many results as the largest of the three batches has items; shorter batches repeat.
    """
    pictures = image_to_bchw(image)
    height, width = pictures.shape[-2:]
    masks = read_masks(mask, height, width)
    frames = [] if pose is None else [frame.scaled(width, height) for frame in read_frames(pose)]
    count = max(len(pictures), len(masks), len(frames))
    pictures, masks = cycle_to(pictures, count), cycled(masks, count)
    if pose is None:
        found = [detected(one, mask) for one, mask in zip(detect(pictures, detector), masks, strict=True)]
    else:
        found = [(frame, posed_people(frame, mask))
                 for frame, mask in zip(cycled(frames, count), masks, strict=True)]
    return Subjects(pictures, [people for _, people in found], [frame for frame, _ in found])


def read_masks(mask: Tensor | None, height: int, width: int) -> list[Tensor | None]:
    """MASK -> one [H,W] bool per item, or a single None for no mask.

    For a file without alpha ComfyUI's LoadImage gives zeros of 64x64, whatever the picture's size: no mask.
    """
    if mask is None:
        return [None]
    values = mask_to_bhw(mask)
    if values.shape[1:] == (64, 64) != (height, width) and not values.any():
        return [None]
    return list(fit_mask(values, height, width) > 0.5)


def detected(found: Detection, mask: Tensor | None) -> tuple[PoseFrame, list[Person]]:
    """The people a detector found, or those of them a mask means."""
    if mask is None:
        return found.frame, [person(*one) for one in zip(found.masks, found.frame.people, strict=True)]
    frame = meant(found, mask)
    return frame, posed_people(frame, mask)


def detect(pictures: Tensor, detector: LoadedNet | None, **options: Any) -> list[Detection]:
    """Asks `detector`, or the embedded one when that is None; one answer per picture [B,3,H,W]."""
    runtime = host.runtime()
    net = load_as(DETECTOR_WEIGHTS, "detector", runtime) if detector is None else detector
    return detect_people(expect_net(net, "detector", "Load Person Detector"), bchw_to_image(pictures),
                         runtime=runtime, **options)


def meant(found: Detection, mask: Tensor) -> PoseFrame:
    """Of the people found, those a noticeable part of whom lies in the mask [H,W]."""
    area, inside = found.masks.sum((1, 2)), (found.masks & mask).sum((1, 2))       # [N]
    keep = (inside > MEANT * area).tolist()
    people = tuple(pose for pose, kept in zip(found.frame.people, keep, strict=True) if kept)
    return PoseFrame(found.frame.width, found.frame.height, people)


def posed_people(frame: PoseFrame, mask: Tensor | None) -> list[Person]:
    """Everybody of a frame, and a person without joints for each part of the mask [H,W] far from every pose.

    Without a mask it is made from the joints.
    """
    if mask is None:
        masks = [mask_from_pose(pose, frame.height, frame.width) for pose in frame.people]
    else:
        masks = split_mask(mask, frame.people)
    poses = [*frame.people, *[None] * (len(masks) - len(frame.people))]
    return [person(part, pose) for part, pose in zip(masks, poses, strict=True) if part.any()]


def person(mask: Tensor, pose: Pose | None) -> Person:
    keypoints = torch.zeros(17, 3) if pose is None else to_coco(pose)              # [17,3]
    visible = (keypoints[:, 2:] >= VISIBLE).float()
    return Person(mask, torch.cat([keypoints[:, :2], visible], 1))
