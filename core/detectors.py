"""One way to ask any detector who is in a picture, and detectors put together from several networks."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import detect, openpose
from .checkpoints.system import LoadedNet
from .detr.infer import Found, find_people
from .image import image_to_bchw
from .parsers import parse_people
from .people import Detection, divide_masks, fill_regions, grabcut_people
from .pose import Pose, PoseFrame, from_coco, oks
from .runtime import Runtime
from .sam.infer import refine_masks
from .sam.prompt import make_prompts
from .vitpose.infer import estimate_poses

ENOUGH_JOINTS = 4                                         # fewer are no pose
LEAST_MEAN_SCORE = 0.3                                    # of the joints of a pose
REACH = 0.1                                               # how far outside a joint may lie, in pictures
SAME_POSE = 0.9                                           # OKS from which two poses are one person


@dataclass(frozen=True, eq=False)
class Detector:
    """What finds people, and what helps it; a bare `LoadedNet` of role detector is a detector, too.

    `finder`: role detector. `poses`: role estimator, for a finder of boxes. `masks`: role refiner, makes the
    masks of any finder anew. `clothes`: role parser, says which region is which.
    """

    finder: LoadedNet
    poses: LoadedNet | None = None
    masks: LoadedNet | None = None
    clothes: LoadedNet | None = None

    def __post_init__(self) -> None:
        for name, role in (("finder", "detector"), ("poses", "estimator"), ("masks", "refiner"),
                           ("clothes", "parser")):
            net = getattr(self, name)
            if net is not None and net.system.role != role:
                raise ValueError(f"{name} should be of role {role}; {net.name} is a {net.system.title}.")


def detect_people(detector: LoadedNet | Detector, image: Tensor, *, threshold: float = 0.3,
                  max_people: int = 20, flip: bool = False, runtime: Runtime) -> list[Detection]:
    """`image` [B,H,W,C] 0..1, any size -> one `Detection` per picture, on the CPU.

    `threshold`: least score of a person (where the finder scores people) and of a joint. `flip`: poses are
    looked for in the mirrored picture, too (ViTPose). Raises ValueError for a tensor that is no picture, and
    for a finder of boxes with nothing that could make masks of them.
    """
    detector = detector if isinstance(detector, Detector) else Detector(detector)
    pictures = list(image_to_bchw(image))
    finders: dict[str, Callable[..., list[Detection]]] = {
        "detect": detect.detect_people, "openpose": openpose.detect_people}
    if detector.finder.system.name in finders:
        found = finders[detector.finder.system.name](
            detector.finder, image, threshold=threshold, max_people=max_people, runtime=runtime)
        if detector.masks is not None:
            found = [_refined(detector.masks, picture, one, runtime)
                     for picture, one in zip(pictures, found, strict=True)]
    else:
        found = _find_in_boxes(detector, pictures, threshold, max_people, flip, runtime)
    if detector.clothes is not None:
        regions = parse_people(detector.clothes, image, found, runtime=runtime).labels
        found = [replace(one, regions=labels) for one, labels in zip(found, regions, strict=True)]
    return found


def _refined(refiner: LoadedNet, picture: Tensor, found: Detection, runtime: Runtime) -> Detection:
    """The same people with the masks a refiner makes of their joints; known regions are spread over them."""
    poses = found.frame.people
    logits = refine_masks(refiner, picture, make_prompts(poses), runtime=runtime)
    masks = divide_masks(logits, torch.ones(len(poses)), *picture.shape[1:])
    return replace(_largest_first(poses, masks, picture), regions=fill_regions(found.regions, masks.any(0)))


def _find_in_boxes(detector: Detector, pictures: list[Tensor], threshold: float, max_people: int, flip: bool,
                   runtime: Runtime) -> list[Detection]:
    """A finder of boxes or masks, then the joints in each box."""
    progress = runtime.progress(len(pictures), "Detecting people")
    people = find_people(detector.finder, pictures, threshold=threshold, max_people=max_people,
                         runtime=runtime)
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
        raise ValueError(f"{detector.finder.name} finds boxes only; give the detector a pose estimator "
                         "(ViTPose) or a mask refiner (SAM 2), or take a finder with masks (RF-DETR-Seg).")
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
    return _largest_first(poses, masks, picture)


def _each_once(poses: Sequence[Pose]) -> list[int]:
    """Indices without the poses that repeat an earlier, surer one."""
    alike = torch.nan_to_num(oks(poses, poses)) > SAME_POSE                       # [N,N]
    kept: list[int] = []
    for i in range(len(poses)):
        if not alike[kept, i].any():
            kept.append(i)
    return kept


def _largest_first(poses: Sequence[Pose], masks: Tensor, picture: Tensor) -> Detection:
    """People of whom neither joints nor pixels are left are left out."""
    height, width = picture.shape[1:]
    areas = masks.sum((1, 2))
    order = [i for i in areas.argsort(descending=True, stable=True).tolist()
             if areas[i] or poses[i].present.any()]
    frame = PoseFrame(width, height, tuple(poses[i] for i in order))
    return Detection(frame, masks[order], torch.zeros(height, width, dtype=torch.uint8))
