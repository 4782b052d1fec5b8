"""A detector against procedural people, whose joints, masks and regions are known exactly."""
from __future__ import annotations

from collections.abc import Sequence

import torch

from ..checkpoints import LoadedNet
from ..detectors import Detector, detect_people
from ..metrics.detection import Scores
from ..people import Detection
from ..runtime import Runtime
from ..synthetic import Rendering, render_people

BATCH = 32
#: Shares of pictures with bystanders, with something in front of people, and cropped close.
SCENES = {"scenes": (.2, .1, .3), "crops": (0., 0., 1.), "crowds": (1., 0., 0.), "occluded": (0., 1., 0.)}


def score_detector(detector: LoadedNet | Detector, scene: str, *, count: int = 256, side: int = 128,
                   first_id: int = 900_000, threshold: float = 0.1, runtime: Runtime) -> dict[str, float]:
    """Scores (see `detection.Scores`) on `count` pictures of side x side; joints count within 5/128 of it.

    `scene`: one of SCENES; "scenes" is the mix detectors are trained on. `first_id` keeps clear of the people
    of training. `threshold`: least score of a joint.
    """
    bystanders, occluders, crops = SCENES[scene]
    scores = Scores(radius=side * 5 / 128)
    for ids in torch.arange(first_id, first_id + count).split(BATCH):
        made = render_people(ids, side, side, bystanders=bystanders, occluders=occluders, crops=crops)
        found = detect_people(detector, made.image.movedim(1, -1), threshold=threshold, runtime=runtime)
        add_found(scores, found, made)
    return scores.result()


def add_found(scores: Scores, found: Sequence[Detection], made: Rendering) -> None:
    """Whom a detector found in B pictures, against the main people who are there."""
    for number, one in enumerate(found):
        poses = one.frame.people
        keypoints = torch.cat([torch.zeros(0, 18, 2), *(pose.keypoints[None] for pose in poses)])
        sure = torch.cat([torch.zeros(0, 18), *(pose.scores[None] for pose in poses)])
        scores.add(keypoints, sure, one.masks, one.regions, made.keypoints[number, 0],
                   made.visibility[number, 0], made.mask[number], made.people_regions[number])
