"""POSE_KEYPOINT, the pose wire of ComfyUI: one dict per picture, OpenPose's JSON with a canvas size.

Producers differ in coordinates (pixels, or 0..1 of a map padded to multiples of 64), in how they mark a
missing joint and in what they leave out; `read_poses` takes them all, `write_poses` writes what all accept.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .coco import with_neck
from .coco_json import group_coco
from .pose import JOINTS, Pose, PoseFrame

SCORES_KEY = "anyone_scores"
_FRAME_KEYS = "canvas_width, canvas_height and people"
_MAXIMUM_SIDE = 1 << 16
# BODY_25 has the middle of the hips at 8 and feet from 19 on.
_BODY_25 = [*range(8), *range(9, 19)]
_UNKNOWN_PARTS = {"face_keypoints_2d": 70, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21,
                  "foot_keypoints_2d": 6}


def read_poses(value: Any, *, padded_to_64: bool = True,
               canvas: tuple[int, int] | None = None) -> list[PoseFrame]:
    """Every pose of a POSE_KEYPOINT value; the value is not changed.

    `value`: a list of frames, one frame, `{"__value__": [...]}`, or JSON text of any of these. COCO's key
    points are read, too, see `group_coco`; these do not tell their canvas.
    `padded_to_64`: coordinates of 0..1 refer to the canvas rounded up to multiples of 64, as controlnet_aux
    writes them; False if they refer to the canvas itself.
    `canvas`: width and height for frames that do not tell theirs, such as OpenPose's own files.
    Frames keep their own canvas (see `PoseFrame.scaled`). Hands, face and feet are dropped. Animals (AP-10K)
    give a frame without people whose `note` says so. Raises ValueError for anything that is no pose.
    """
    default = {} if canvas is None else {"canvas_width": canvas[0], "canvas_height": canvas[1]}
    frames = [{**default, **frame} if isinstance(frame, Mapping) else frame for frame in _frames(value)]
    return [_read_frame(frame, f"frame {i}", padded_to_64) for i, frame in enumerate(frames)]


def write_poses(frames: Sequence[PoseFrame]) -> list[dict[str, Any]]:
    """Plain lists, dicts and numbers: pixels, confidence exactly 1.0 or 0.0, all five arrays present.

    The true scores are in the extra key `anyone_scores`, which `read_poses` understands and others ignore.
    """
    return [{"canvas_width": int(frame.width), "canvas_height": int(frame.height),
             "people": [_write_person(pose) for pose in frame.people]} for frame in frames]


def _frames(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The pose is no valid JSON text ({error}); paste the whole POSE_KEYPOINT text, "
                             f"from its first bracket to its last.") from None
    if isinstance(value, Mapping) and "__value__" in value:
        value = value["__value__"]
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list | tuple):
        return group_coco(list(value))
    raise ValueError(f"The pose should be a list of frames or one frame with {_FRAME_KEYS}; "
                     f"got {type(value).__name__}.")


def _read_frame(frame: Any, where: str, padded_to_64: bool) -> PoseFrame:
    if not isinstance(frame, Mapping):
        raise ValueError(f"In the pose, {where} should be a dictionary with {_FRAME_KEYS}; "
                         f"got {type(frame).__name__}.")
    if not {"canvas_width", "canvas_height"} <= frame.keys():
        raise ValueError(f"In the pose, {where} should have {_FRAME_KEYS}; it has "
                         f"{', '.join(str(key)[:20] for key in list(frame)[:5]) or 'nothing'}. "
                         f"Give the width and height of the picture if the file does not tell them.")
    width, height = (_side(frame, key, where) for key in ("canvas_width", "canvas_height"))
    people = frame.get("people")
    if people is None:
        return PoseFrame(width, height, note=_why_nobody(frame, where))
    if not isinstance(people, list | tuple):
        raise ValueError(f"In the pose, people of {where} should be a list; got {type(people).__name__}.")
    joints = [_read_person(person, f"person {i} of {where}") for i, person in enumerate(people)]
    if _is_normalised(joints):
        grain = 64 if padded_to_64 else 1
        size = torch.tensor([math.ceil(side / grain) * grain for side in (width, height)])
        joints = [torch.cat([j[:, :2] * size, j[:, 2:]], dim=1) for j in joints]
    return PoseFrame(width, height, tuple(Pose(j[:, :2], j[:, 2], width, height) for j in joints))


def _side(frame: Mapping[str, Any], key: str, where: str) -> int:
    value = _number(frame.get(key), f"{key} of {where}")
    if not 1 <= value <= _MAXIMUM_SIDE:
        raise ValueError(f"In the pose, {key} of {where} should be a side of the picture in pixels; "
                         f"got {str(frame.get(key))[:40]}.")
    return int(value)


def _why_nobody(frame: Mapping[str, Any], where: str) -> str:
    if "animals" in frame or frame.get("version") == "ap10k":
        return f"The pose of {where} is of animals (AP-10K), it has no people; connect a pose of persons."
    return f"The pose of {where} lists no people."


def _read_person(person: Any, where: str) -> Tensor:
    """[18,3] x, y, score; missing joints are all zero."""
    if not isinstance(person, Mapping):
        raise ValueError(f"In the pose, {where} should be a dictionary with pose_keypoints_2d; "
                         f"got {type(person).__name__}.")
    if "keypoints" in person and "pose_keypoints_2d" not in person:
        joints = _coco(person["keypoints"], where)
    else:
        joints = _triples(person.get("pose_keypoints_2d"), where)
    xy, confidence = joints[:, :2], joints[:, 2]
    readable = torch.isfinite(joints).all(1) & (xy.abs() <= 16 * _MAXIMUM_SIDE).all(1)
    ours = _own_scores(person.get(SCORES_KEY), where)
    present = readable & (confidence > 0) & ((xy >= 0).any(1) | (ours > 0))
    confidence = torch.where(ours > 0, ours, confidence)
    joints = torch.cat([xy, confidence[:, None]], dim=1)
    return torch.where(present[:, None], joints, 0.0)


def _triples(values: Any, where: str) -> Tensor:
    numbers = _numbers(values, f"pose_keypoints_2d of {where}")
    count, rest = divmod(len(numbers), 3)
    if count == 0 and rest == 0:
        return torch.zeros(len(JOINTS), 3)
    if rest or count not in (len(JOINTS), 25):
        coco = " (the 17 joints of COCO or AP-10K)" if len(numbers) == 51 else ""
        raise ValueError(f"In the pose, pose_keypoints_2d of {where} has {len(numbers)} numbers{coco}; "
                         f"expected 54 (18 OpenPose joints of x, y, confidence) or 75 (BODY_25).")
    joints = torch.tensor(numbers, dtype=torch.float32).view(count, 3)
    return joints[_BODY_25] if count == 25 else joints


def _coco(values: Any, where: str) -> Tensor:
    """COCO's 17 joints, flat or a row each."""
    rows = values if isinstance(values, list) else []
    flat = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    numbers = _numbers(flat, f"keypoints of {where}")
    if len(numbers) != 51:
        raise ValueError(f"In the pose, keypoints of {where} has {len(numbers)} numbers; "
                         f"expected 51 (COCO's 17 joints of x, y, confidence).")
    return with_neck(torch.tensor(numbers, dtype=torch.float32).view(17, 3))


def _own_scores(values: Any, where: str) -> Tensor:
    """[18] of our own extra key, 0 for joints it does not speak of: an editor may have added some since.

    Elsewhere -1, -1 is a missing joint; one of ours that lies up and left of the canvas is not.
    """
    scores = torch.tensor(_numbers(values, f"{SCORES_KEY} of {where}"), dtype=torch.float32)
    if len(scores) != len(JOINTS):
        return torch.zeros(len(JOINTS))
    return torch.where(torch.isfinite(scores), scores, 0.0)


def _is_normalised(people: Sequence[Tensor]) -> bool:
    """Decided for the whole frame: every joint of everybody within 0..1."""
    present = [joints[joints[:, 2] > 0, :2] for joints in people]
    coordinates = torch.cat(present) if present else torch.empty(0)
    return coordinates.numel() > 0 and bool((coordinates.abs() <= 1).all())


def _numbers(values: Any, where: str) -> list[float]:
    if values is None:
        return []
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise ValueError(f"In the pose, {where} should be a list of numbers; got {type(values).__name__}.")
    return [_number(value, where) for value in values]


def _number(value: Any, where: str) -> float:
    """Missing and over-long numbers become NaN, which reads as a missing joint."""
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
    except (TypeError, ValueError):
        raise ValueError(f"In the pose, {where} holds {str(value)[:40]!r}, which is no number.") from None


def _write_person(pose: Pose) -> dict[str, Any]:
    body = torch.cat([pose.keypoints, pose.present[:, None].float()], dim=1)
    return {"pose_keypoints_2d": body.flatten().tolist(),
            **{part: [0.0] * (3 * count) for part, count in _UNKNOWN_PARTS.items()},
            SCORES_KEY: pose.scores.tolist()}
