"""Who is in the picture: people from any mix of a mask, a pose and a detector."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core.checkpoints import load_as
from ..core.detectors import Detector, detect_people
from ..core.image import bchw_to_image, cycle_to, fit_mask, image_to_bchw, mask_to_bhw
from ..core.people import Detection, Person, mask_from_pose, split_mask
from ..core.pose import Pose, PoseFrame, to_coco
from . import host
from .load import DETECTOR_WEIGHTS
from .wires import cycled, expect_net, read_frames

VISIBLE = 0.3                                              # joints below this score count as missing
MEANT = 0.1                                                # of a detected person, for a mask to mean them
UNCHANGED = "unchanged"                                    # what most nodes leave a picture without people


@dataclass(frozen=True, eq=False)
class Subjects:
    """Pictures with their people, all of one length."""

    pictures: Tensor                                       # [B,3,H,W]
    people: list[list[Person]]
    frames: list[PoseFrame]
    found: list[Detection] | None                          # what the detector said, where it was asked

    def note(self, otherwise: str = UNCHANGED) -> str:
        """As `found_note`, and what the poses have to say."""
        reasons = {frame.note for frame in self.frames if frame.note}
        counts = [len(people) for people in self.people]
        return " ".join([found_note(counts, otherwise), *sorted(reasons)])


def found_note(counts: list[int], otherwise: str = UNCHANGED) -> str:
    """How many people each picture has, in a sentence or two. `otherwise`: what one without people is."""
    total, empty = sum(counts), [str(i + 1) for i, count in enumerate(counts) if not count]
    if not total:
        return f"No person found; the picture is {otherwise}."
    found = f"{total} {'person' if total == 1 else 'people'} found."
    return found if not empty else f"{found} Nobody in picture {', '.join(empty)}, which is {otherwise}."


def find_subjects(image: Tensor, mask: Tensor | None, pose: Any, detector: Any,
                  name: str = "pose") -> Subjects:
    """A mask says where people are, a pose how they stand; the detector or one of them fills in the other.

    There are as many results as the largest of the three batches has items; shorter batches repeat. `name`:
    the input the pose came by.
    """
    pictures = image_to_bchw(image)
    height, width = pictures.shape[-2:]
    masks = read_masks(mask, height, width)
    frames = [] if pose is None else [frame.scaled(width, height) for frame in read_frames(pose, name)]
    count = max(len(pictures), len(masks), len(frames))
    pictures, masks = cycle_to(pictures, count), cycled(masks, count)
    found = None
    if pose is None:
        found = detect(pictures, replace(expect_detector(detector), clothes=None))
        pairs = [detected(one, mask) for one, mask in zip(found, masks, strict=True)]
    else:
        pairs = [(frame, posed_people(frame, mask))
                 for frame, mask in zip(cycled(frames, count), masks, strict=True)]
    return Subjects(pictures, [people for _, people in pairs], [frame for frame, _ in pairs], found)


def read_masks(mask: Tensor | None, height: int, width: int) -> list[Tensor | None]:
    """MASK -> one [H,W] bool per item, or a single None for no mask."""
    if mask is None:
        return [None]
    values = mask_to_bhw(mask)
    if (height, width) != (64, 64) and no_mask(values):
        return [None]
    return list(fit_mask(values, height, width) > 0.5)


def no_mask(values: Tensor) -> bool:
    """Whether a mask [B,H,W] is what ComfyUI's LoadImage gives for a file without alpha: zeros of 64x64,
    whatever the picture's size."""
    return values.shape[1:] == (64, 64) and not bool(values.any())


def detected(found: Detection, mask: Tensor | None) -> tuple[PoseFrame, list[Person]]:
    """The people a detector found, or those of them a mask means."""
    if mask is None:
        return found.frame, [person(*one) for one in zip(found.masks, found.frame.people, strict=True)]
    frame = meant(found, mask)
    return frame, posed_people(frame, mask)


def expect_detector(detector: Any) -> Detector:
    """What came over the wire, or the embedded detector when that is None."""
    if isinstance(detector, Detector):
        return detector
    net = load_as(DETECTOR_WEIGHTS, "detector", host.runtime()) if detector is None else detector
    return Detector(expect_net(net, "detector", "Load Person Detector"))


def detect(pictures: Tensor, detector: Any, **options: Any) -> list[Detection]:
    """Asks the detector; one answer per picture [B,3,H,W]."""
    return detect_people(expect_detector(detector), bchw_to_image(pictures), runtime=host.runtime(),
                         **options)


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
