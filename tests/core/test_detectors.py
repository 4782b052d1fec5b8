"""Detectors put together from several networks; the networks are stand-ins that know where people are."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from anyone.core.checkpoints import LoadedNet, embedded, load
from anyone.core.detectors import Detector, detect_people, read_pose
from anyone.core.detr.weights import SYSTEM as DETR
from anyone.core.pose import COCO_JOINTS
from anyone.core.runtime import Runtime
from anyone.core.synthetic import render_people
from anyone.core.vitpose.weights import SYSTEM as VITPOSE
from torch import nn

# A standing person in a box of width and height 1: x, y of COCO's joints.
JOINTS = torch.tensor([[.5, .1], [.55, .07], [.45, .07], [.6, .08], [.4, .08], [.7, .2], [.3, .2], [.8, .35],
                       [.2, .35], [.85, .5], [.15, .5], [.62, .52], [.38, .52], [.63, .75], [.37, .75],
                       [.64, .97], [.36, .97]])
BOXES = torch.tensor([[.1, .1, .4, .9], [.5, .2, .9, .95], [.5, .2, .9, .949]])  # the last repeats the second
SCORES = torch.tensor([.6, .9, .5])


class KnowsBoxes(nn.Module):
    """Queries with the boxes above and one that is no person; masks fill the boxes."""

    def __init__(self, boxes=BOXES, scores=SCORES, masks=True):
        super().__init__()
        self.boxes, self.scores, self.masks = boxes, scores, masks
        self.config = SimpleNamespace(id2label={0: "background", 1: "Person"}, model_type="rf_detr")

    def forward(self, pixel_values):
        batch, size = len(pixel_values), 32
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        boxes = torch.cat([(low + high) / 2, high - low], 1)
        logits = torch.stack([torch.full_like(self.scores, -9), self.scores.logit()], 1)
        answer = {"logits": logits.expand(batch, -1, -1), "pred_boxes": boxes.expand(batch, -1, -1)}
        if self.masks:
            y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
            inside = torch.stack([(x > a) & (y > b) & (x < c) & (y < d)
                                  for a, b, c, d in self.boxes.tolist()])
            answer["pred_masks"] = torch.where(inside, 4.0, -4.0).expand(batch, -1, -1, -1)
        return SimpleNamespace(**answer)


class KnowsJoints(nn.Module):
    """Sees JOINTS in every crop, whose middle four fifths are the box."""

    def __init__(self, scores=1.0):
        super().__init__()
        self.scores = scores
        self.config = SimpleNamespace(backbone_config=SimpleNamespace())

    def forward(self, pixel_values):
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
        cells = ((JOINTS - 0.5) * 0.8 + 0.5) * torch.tensor([47.0, 63.0])
        heat = torch.stack([torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in cells.tolist()])
        return SimpleNamespace(heatmaps=(heat * self.scores).expand(len(pixel_values), -1, -1, -1))


def finder(**options):
    return LoadedNet(KnowsBoxes(**options), DETR, "finder")


def estimator(scores=1.0):
    return LoadedNet(KnowsJoints(scores), VITPOSE, "estimator")


@pytest.fixture
def image():
    return torch.rand(1, 160, 120, 3, generator=torch.Generator().manual_seed(0))


def test_boxes_masks_and_joints_belong_together(image):
    one, = detect_people(Detector(finder(), estimator()), image, runtime=Runtime("cpu"))
    assert len(one.frame.people) == 2                     # the third box was the second again
    for pose, mask, box in zip(one.frame.people, one.masks, BOXES[[1, 0]], strict=True):    # largest first
        low, high = box[:2] * torch.tensor([120, 160]), box[2:] * torch.tensor([120, 160])
        middle, size = (low + high) / 2, high - low
        size = torch.maximum(size, size.flip(0) * torch.tensor([0.75, 4 / 3]))          # ViTPose's aspect
        nose = middle + (JOINTS[0] - 0.5) * size + 0.5
        assert (pose.keypoints[0] - nose).abs().max() < 1.0
        assert pose.present.all()
        shown = torch.zeros(160, 120, dtype=torch.bool)
        shown[round(float(low[1])):round(float(high[1])), round(float(low[0])):round(float(high[0]))] = True
        assert (mask & shown).sum() / (mask | shown).sum() > 0.9
    assert not (one.masks[0] & one.masks[1]).any() and not one.regions.any()


def test_a_finder_with_masks_can_be_alone(image):
    one, = detect_people(finder(), image, runtime=Runtime("cpu"))
    assert len(one.frame.people) == len(one.masks) == 2
    assert not any(pose.present.any() for pose in one.frame.people)


def test_a_finder_of_boxes_needs_help(image):
    for scores in (SCORES, SCORES / 9):                   # also where nobody is
        with pytest.raises(ValueError, match="finder finds boxes only; give the detector a pose estimator"):
            detect_people(finder(masks=False, scores=scores), image, runtime=Runtime("cpu"))
    one, = detect_people(Detector(finder(masks=False), estimator()), image, runtime=Runtime("cpu"))
    assert len(one.frame.people) == 2 and one.masks.any(2).any(1).all()                  # by GrabCut
    nobody, = detect_people(Detector(finder(masks=False, scores=SCORES / 9), estimator()), image,
                            runtime=Runtime("cpu"))
    assert nobody.masks.shape == (0, 160, 120)


def test_unsure_poses_have_no_joints(image):
    unsure = estimator(0.2)
    masked, = detect_people(Detector(finder(), unsure), image, runtime=Runtime("cpu"))
    assert [int(pose.present.sum()) for pose in masked.frame.people] == [0, 0]           # but they have masks
    boxed, = detect_people(Detector(finder(masks=False), unsure), image, runtime=Runtime("cpu"))
    assert boxed.frame.people == () and boxed.masks.shape == (0, 160, 120)


def test_threshold_and_number_of_people(image):
    detector = Detector(finder(), estimator())
    assert len(detect_people(detector, image, threshold=0.7, runtime=Runtime("cpu"))[0].frame.people) == 1
    assert len(detect_people(detector, image, max_people=1, runtime=Runtime("cpu"))[0].frame.people) == 1


@pytest.mark.parametrize(("count", "score", "expected"), [
    (3, 0.9, 0), (5, 0.9, 5), (17, 0.25, 0), (17, 0.31, 18)])
def test_few_or_unsure_joints_are_no_pose(count, score, expected):
    joints = torch.cat([JOINTS * 50, torch.zeros(17, 1)], 1)
    joints[:count, 2] = score
    assert int(read_pose(joints, torch.zeros(3, 60, 60), 0.3).present.sum()) == expected


def test_joints_far_outside_are_missing():
    joints = torch.cat([JOINTS * 50, torch.ones(17, 1)], 1)
    joints[9, :2], joints[10, :2] = torch.tensor([65.0, 30.0]), torch.tensor([67.0, 30.0])
    pose = read_pose(joints, torch.zeros(3, 60, 60), 0.3)
    wrists = {"left_wrist": True, "right_wrist": False}
    assert {name: bool(pose.present[7 if name[0] == "l" else 4]) for name in wrists} == wrists
    assert COCO_JOINTS[9] == "left_wrist"


def test_roles(image):
    with pytest.raises(ValueError, match="poses should be of role estimator; finder is a DETR person finder"):
        Detector(finder(), poses=finder())
    with pytest.raises(ValueError, match="finder should be of role detector"):
        detect_people(estimator(), image, runtime=Runtime("cpu"))


def test_the_embedded_detector_is_one_too():
    net = load(embedded()["detect-person"])
    drawn = render_people(torch.tensor([11]), 128, 128, mode="studio")
    one, = detect_people(net, drawn.image.movedim(1, -1), runtime=Runtime("cpu"))
    assert len(one.frame.people) >= 1 and one.regions.any()


@pytest.mark.parametrize("names", [("rf_detr_seg", "vitpose_plus", None), ("rt_detr", "vitpose", None),
                                   ("rf_detr", None, "sam"), ("rf_detr_seg", "vitpose", "sam")])
def test_real_networks_with_random_weights(model, image, names):
    finder, poses, masks = (name and model(name) for name in names)
    detector = Detector(finder, poses, masks, model("clothes"))
    pictures = torch.cat([image, 1 - image])
    found = detect_people(detector, pictures, threshold=0.0, max_people=4, flip=True, runtime=Runtime("cpu"))
    assert len(found) == 2
    for one in found:
        assert one.masks.shape == (len(one.frame.people), 160, 120) and (one.masks.sum(0) <= 1).all()
        assert (one.masks.sum((1, 2)).diff() <= 0).all()
        assert one.regions.shape == (160, 120) and not one.regions[~one.masks.any(0)].any()


def test_a_refiner_serves_any_detector(model, image):
    net = load(embedded()["detect-person"])
    drawn = render_people(torch.tensor([11]), 128, 128, mode="studio").image.movedim(1, -1)
    plain, = detect_people(net, drawn, runtime=Runtime("cpu"))
    refined, = detect_people(Detector(net, masks=model("sam")), drawn, runtime=Runtime("cpu"))
    assert len(refined.frame.people) == len(plain.frame.people)
    assert not torch.equal(refined.masks, plain.masks)
    assert torch.equal(refined.regions > 0, refined.masks.any(0))
    kept = refined.masks.any(0) & plain.masks.any(0)
    assert torch.equal(refined.regions[kept], plain.regions[kept])
