"""Detectors against procedural people."""
from __future__ import annotations

import pytest
import torch
from anyone.core.evaluation import scenes
from anyone.core.people import Detection
from anyone.core.pose import Pose, PoseFrame
from anyone.core.runtime import Runtime
from anyone.core.synthetic import render_people


@pytest.fixture
def omniscient(monkeypatch):
    """A detector that knows the truth, joints `off` pixels to the right."""
    def make(off: float):
        made = []

        def render(*arguments, **options):
            made.append(render_people(*arguments, **options))
            return made[-1]

        def detect(detector, image, **options):
            truth = made[-1]
            return [Detection(PoseFrame(64, 64, (Pose(truth.keypoints[i, 0] + torch.tensor([off, 0]),
                                                      torch.ones(18), 64, 64),)),
                              truth.mask[i:i + 1], truth.people_regions[i]) for i in range(len(image))]

        monkeypatch.setattr(scenes, "render_people", render)
        monkeypatch.setattr(scenes, "detect_people", detect)

    return make


@pytest.mark.parametrize("off, right", [(2.4, 1.0), (2.6, 0.0)])
def test_joints_count_within_five_of_128_pixels(omniscient, off, right):
    omniscient(off)
    scores = scenes.score_detector(None, "crowds", count=3, side=64, runtime=Runtime("cpu"))
    assert scores == {"pck": right, "hidden_pck": right, "mask_iou": 1.0, "region_miou": 1.0}


def test_nobody_found_is_nothing_right(monkeypatch):
    def blind(detector, image, **options):
        nobody = Detection(PoseFrame(64, 64), torch.zeros(0, 64, 64, dtype=torch.bool),
                           torch.zeros(64, 64, dtype=torch.uint8))
        return [nobody] * len(image)

    monkeypatch.setattr(scenes, "detect_people", blind)
    scores = scenes.score_detector(None, "crops", count=2, side=64, runtime=Runtime("cpu"))
    assert scores["pck"] == scores["mask_iou"] == 0 and scores["region_miou"] < 0.1
