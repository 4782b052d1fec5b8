"""Key points in COCO's order, as other estimators save them: 17 joints per person, without a canvas."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .coco import COCO_JOINTS


def group_coco(items: list[Any]) -> list[Any]:
    """COCO key points as frames whose people have `keypoints`; any other list is returned as it is.

    Results (COCO, AlphaPose, MMPose), one dictionary with `keypoints` per person: a frame per `image_id`, in
    the order in which these appear. Bare arrays: [17,3] is one person, [N,17,3] a frame of people, [F,N,17,3]
    frames.
    """
    if items and all(isinstance(item, Mapping) and "keypoints" in item for item in items):
        pictures: dict[str, list[Any]] = {}
        for item in items:
            pictures.setdefault(str(item.get("image_id")), []).append(item["keypoints"])
        return [_frame(people) for people in pictures.values()]
    if _is_person(items):
        return [_frame([items])]
    if items and all(map(_is_person, items)):
        return [_frame(items)]
    if any(items) and all(isinstance(item, list) and all(map(_is_person, item)) for item in items):
        return [_frame(people) for people in items]
    return items


def _is_person(value: Any) -> bool:
    return (isinstance(value, list) and len(value) == len(COCO_JOINTS)
            and all(isinstance(row, list) and len(row) == 3 for row in value)
            and not any(isinstance(number, list) for row in value for number in row))


def _frame(people: list[Any]) -> dict[str, Any]:
    return {"people": [{"keypoints": keypoints} for keypoints in people]}
