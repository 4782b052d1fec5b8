"""One way to ask any detector who is in a picture, and detectors put together from several networks."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import detect, openpose
from .checkpoints.system import LoadedNet
from .detr.infer import Found, find_people
from .image import bchw_to_image, image_to_bchw
from .parsers import finds, parse_people
from .people import CropBox, Detection, divide_masks, fill_regions, grabcut_people
from .pose import Pose, PoseFrame, from_coco, oks
from .runtime import Runtime
from .sam.infer import refine_masks
from .sam.prompt import make_prompts
from .vitpose.infer import estimate_poses

ENOUGH_JOINTS = 4                                         # fewer are no pose
LEAST_MEAN_SCORE = 0.3                                    # of the joints of a pose
REACH = 0.1                                               # how far outside a joint may lie, in pictures
SAME_POSE = 0.9                                           # OKS from which two poses are one person
AIR = 0.25                                                # round a given box, in sizes of the box
RIVALS = 5                                                # people looked at in a given box
# What the parts of a detector are, by role.
ROLES = {"finder": "detector", "poses": "estimator", "masks": "refiner", "clothes": "parser",
         "faces": "parser"}
_Finder = Callable[..., list[Detection]]
_WHOLE_PICTURES: dict[str, _Finder] = {"detect": detect.detect_people, "openpose": openpose.detect_people}


@dataclass(frozen=True, eq=False)
class Detector:
    """What finds people, and what helps it; a bare `LoadedNet` of role detector is a detector, too.

    `finder`: role detector. `poses`: role estimator, sees the joints of whom the finder found. `masks`: role
    refiner, makes the masks of any finder anew. `clothes`: role parser, says which region is which. `faces`:
    role parser, for whoever asks for the parts of faces. Raises ValueError for a network of another role.
    """

    finder: LoadedNet
    poses: LoadedNet | None = None
    masks: LoadedNet | None = None
    clothes: LoadedNet | None = None
    faces: LoadedNet | None = None

    def __post_init__(self) -> None:
        for part, role in ROLES.items():
            net = getattr(self, part)
            if net is not None and net.system.role != role:
                raise ValueError(f"{part} should be of role {role}; {net.name} is a {net.system.title}.")
            if net is not None and role == "parser" and finds(net) != part:
                raise ValueError(f"{part} should be a parser of {part}; {net.name} parses {finds(net)}.")

    def __repr__(self) -> str:
        parts = [part for part in ROLES if part != "finder" and getattr(self, part) is not None]
        return f"<Detector {self.finder.name}{' with ' if parts else ''}{', '.join(parts)}>"

    @property
    def knows_regions(self) -> bool:
        """Whether people come with regions of body and clothing."""
        return self.clothes is not None or self.finder.system.name == "detect"


def detect_people(detector: LoadedNet | Detector, image: Tensor, *, threshold: float = 0.3,
                  max_people: int = 20, flip: bool = False, boxes: Sequence[Tensor] | None = None,
                  runtime: Runtime) -> list[Detection]:
    """`image` [B,H,W,C] 0..1, any size -> one `Detection` per picture, on the CPU.

    `threshold`: least score of a person (where the finder scores people) and of a joint. `flip`: an estimator
    looks for poses in the mirrored picture, too. `boxes`: for each picture [N,4] x0, y0, x1, y1 in pixels,
    the only places to look at, one person each whatever `max_people` is; a finder of boxes is not asked then.
    Raises ValueError for a tensor that is no picture, and for a finder of boxes with nothing that could make
    masks of them.
    """
    detector = detector if isinstance(detector, Detector) else Detector(detector)
    pictures = list(image_to_bchw(image))
    if boxes is not None:
        boxes = [_inside(some, picture) for some, picture in zip(boxes, pictures, strict=True)]
    look = _WHOLE_PICTURES.get(detector.finder.system.name)
    if look is None:
        found = _find_in_boxes(detector, pictures, boxes, threshold, max_people, flip, runtime)
    else:
        found = _find_whole(look, detector, pictures, boxes, threshold, max_people, flip, runtime)
    if detector.clothes is not None:
        regions = parse_people(detector.clothes, image, found, runtime=runtime).labels
        found = [replace(one, regions=labels) for one, labels in zip(found, regions, strict=True)]
    return found


def _inside(boxes: Tensor, picture: Tensor) -> Tensor:
    """[N,4], cut at the border of the picture; boxes beside it are left out."""
    height, width = picture.shape[1:]
    boxes = boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2))
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]


def _find_whole(look: _Finder, detector: Detector, pictures: list[Tensor], boxes: Sequence[Tensor] | None,
                threshold: float, max_people: int, flip: bool, runtime: Runtime) -> list[Detection]:
    """A finder that looks at whole pictures and sees joints, with the help that the detector has."""
    if boxes is None:
        found = look(detector.finder, torch.stack(pictures).movedim(1, -1), threshold=threshold,
                     max_people=max_people, runtime=runtime)
    else:
        found = [_look_into_boxes(look, detector.finder, picture, some, threshold, runtime)
                 for picture, some in zip(pictures, boxes, strict=True)]
    if detector.poses is not None:
        found = _posed(detector.poses, pictures, found, threshold, flip, runtime)
    if detector.masks is not None:
        found = [_refined(detector.masks, picture, one, runtime)
                 for picture, one in zip(pictures, found, strict=True)]
    return found


def _look_into_boxes(look: _Finder, finder: LoadedNet, picture: Tensor, boxes: Tensor, threshold: float,
                     runtime: Runtime) -> Detection:
    """Each box is shown as a picture of its own, with some air. Who of the people there has the most pixels
    and joints in the box is taken; pixels that several people claim stay with the earlier box."""
    height, width = picture.shape[1:]
    regions = torch.zeros(height, width, dtype=torch.uint8)
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    poses: list[Pose] = []
    for box in boxes:
        window = _with_air(box).clipped(height, width)
        rows, columns = slice(window.y0, window.y1), slice(window.x0, window.x1)
        seen, = look(finder, bchw_to_image(picture[None, :, rows, columns]), threshold=threshold,
                     max_people=RIVALS, runtime=runtime)
        best = most_inside(seen, box - torch.tensor([window.x0, window.y0] * 2))
        if best is None:
            continue
        own = seen.masks[best] & ~masks[:, rows, columns].any(0)
        masks[len(poses), rows, columns] = own
        regions[rows, columns] = torch.where(own, seen.regions, regions[rows, columns])
        poses.append(seen.frame.people[best].cropped(-window.x0, -window.y0, width, height))
    return _largest_first(poses, masks[:len(poses)], picture, regions=regions)


def _with_air(box: Tensor) -> CropBox:
    x0, y0, x1, y1 = box.tolist()
    dx, dy = AIR * (x1 - x0), AIR * (y1 - y0)
    return CropBox(math.floor(x0 - dx), math.floor(y0 - dy), math.ceil(x1 + dx), math.ceil(y1 + dy))


def most_inside(seen: Detection, box: Tensor) -> int | None:
    """Index of the person with the most pixels and joints in a box [4]; None when nobody has any."""
    x0, y0, x1, y1 = box.round().int().tolist()
    amounts = [int(mask[y0:y1, x0:x1].sum()) + int(_joints_inside(pose, box))
               for pose, mask in zip(seen.frame.people, seen.masks, strict=True)]
    return amounts.index(max(amounts)) if any(amounts) else None


def _joints_inside(pose: Pose, box: Tensor) -> Tensor:
    inside = (pose.keypoints >= box[:2]) & (pose.keypoints <= box[2:])
    return (inside.all(1) & pose.present).sum()


def _posed(estimator: LoadedNet, pictures: list[Tensor], found: Sequence[Detection], threshold: float,
           flip: bool, runtime: Runtime) -> list[Detection]:
    """The same people with the joints an estimator sees; whom it is unsure of keep the finder's."""
    joints = estimate_poses(estimator, pictures, [one.boxes.float() for one in found], flip=flip,
                            runtime=runtime)
    posed = []
    for picture, one, some in zip(pictures, found, joints, strict=True):
        seen = [read_pose(keypoints, picture, threshold) for keypoints in some]
        people = tuple(new if new.present.any() else old
                       for new, old in zip(seen, one.frame.people, strict=True))
        posed.append(replace(one, frame=replace(one.frame, people=people)))
    return posed


def _refined(refiner: LoadedNet, picture: Tensor, found: Detection, runtime: Runtime) -> Detection:
    """The same people with the masks a refiner makes of their joints; known regions are spread over them."""
    poses = found.frame.people
    logits = refine_masks(refiner, picture, make_prompts(poses), runtime=runtime)
    masks = divide_masks(logits, torch.ones(len(poses)), *picture.shape[1:])
    return _largest_first(poses, masks, picture, regions=fill_regions(found.regions, masks.any(0)))


def _find_in_boxes(detector: Detector, pictures: list[Tensor], boxes: Sequence[Tensor] | None,
                   threshold: float, max_people: int, flip: bool, runtime: Runtime) -> list[Detection]:
    """A finder of boxes or masks, or boxes from elsewhere, then the joints in each box."""
    progress = runtime.progress(len(pictures), "Detecting people")
    if boxes is None:
        people = find_people(detector.finder, pictures, threshold=threshold, max_people=max_people,
                             runtime=runtime)
    else:
        people = [Found(some, torch.ones(len(some)), None) for some in boxes]
    if detector.poses is None:
        joints = [torch.zeros(len(one.boxes), 17, 3) for one in people]
    else:
        joints = estimate_poses(detector.poses, pictures, [one.boxes for one in people], flip=flip,
                                runtime=runtime)
    found = []
    for picture, one, some in zip(pictures, people, joints, strict=True):
        poses = [read_pose(keypoints, picture, threshold) for keypoints in some]
        found.append(_put_together(detector, picture, one, poses, runtime))
        progress.update()
    return found


def read_pose(keypoints: Tensor, picture: Tensor, threshold: float) -> Pose:
    """[17,3] of ViTPose -> a pose, without joints when they are too few or too unsure."""
    height, width = picture.shape[1:]
    x, y, score = keypoints.T
    beyond_x, beyond_y = (x / width - 0.5).abs() - 0.5, (y / height - 0.5).abs() - 0.5
    inside = torch.maximum(beyond_x, beyond_y) < REACH
    pose = from_coco(torch.stack([x, y, score * (inside & (score >= threshold))], 1), width, height)
    scores = pose.scores[pose.present]
    good = len(scores) >= ENOUGH_JOINTS and float(scores.mean()) >= LEAST_MEAN_SCORE
    return pose if good else replace(pose, scores=torch.zeros_like(pose.scores))


def _put_together(detector: Detector, picture: Tensor, found: Found, poses: Sequence[Pose],
                  runtime: Runtime) -> Detection:
    height, width = picture.shape[1:]
    has_masks = detector.masks is not None or found.masks is not None
    if not has_masks and detector.poses is None:
        raise ValueError(f"There are only boxes of people, from {detector.finder.name} or given; give the "
                         "detector a pose estimator (ViTPose) or a mask refiner (SAM 2) to look into them.")
    kept = [i for i in _each_once(poses) if has_masks or poses[i].present.any()]
    poses, scores = [poses[i] for i in kept], found.scores[kept]
    if detector.masks is not None:
        prompts = make_prompts(poses, found.boxes[kept])
        logits = refine_masks(detector.masks, picture, prompts, runtime=runtime)
        masks = divide_masks(logits, scores, height, width)
    elif found.masks is not None:
        masks = divide_masks(found.masks[kept], scores, height, width)
    else:
        masks = grabcut_people(picture, poses)
    return _largest_first(poses, masks, picture, scores)


def _each_once(poses: Sequence[Pose]) -> list[int]:
    """Indices without the poses that repeat an earlier, surer one."""
    alike = torch.nan_to_num(oks(poses, poses)) > SAME_POSE                       # [N,N]
    kept: list[int] = []
    for i in range(len(poses)):
        if not alike[kept, i].any():
            kept.append(i)
    return kept


def _largest_first(poses: Sequence[Pose], masks: Tensor, picture: Tensor, scores: Tensor | None = None,
                   regions: Tensor | None = None) -> Detection:
    """People of whom neither joints nor pixels are left are left out."""
    height, width = picture.shape[1:]
    areas = masks.sum((1, 2))
    order = [i for i in areas.argsort(descending=True, stable=True).tolist()
             if areas[i] or poses[i].present.any()]
    frame = PoseFrame(width, height, tuple(poses[i] for i in order))
    if regions is None:
        regions = torch.zeros(height, width, dtype=torch.uint8)
    return Detection(frame, masks[order], regions, None if scores is None else scores[order])
