"""Detectors put together from several networks; the networks are stand-ins that know where people are."""
from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from anyone.core.checkpoints import LoadedNet, embedded, load
from anyone.core.detectors import Detector, detect_people, most_inside, read_pose
from anyone.core.detr.weights import SYSTEM as DETR
from anyone.core.people import Detection
from anyone.core.pose import COCO_JOINTS, Pose, PoseFrame
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
        with pytest.raises(ValueError, match="only boxes of people, from finder or given; give the"):
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


def test_parsers_have_their_places(model):
    with pytest.raises(ValueError, match="clothes should be a parser of clothes; faces parses faces"):
        Detector(finder(), clothes=model("faces"))
    with pytest.raises(ValueError, match="faces should be a parser of faces; clothes parses clothes"):
        Detector(finder(), faces=model("clothes"))
    detector = Detector(finder(), estimator(), faces=model("faces"))
    assert repr(detector) == "<Detector finder with poses, faces>" and not detector.knows_regions
    assert Detector(finder(), clothes=model("clothes")).knows_regions


def test_everybody_has_a_box_and_a_score(image):
    one, = detect_people(Detector(finder(), estimator()), image, runtime=Runtime("cpu"))
    assert torch.allclose(one.person_scores, SCORES[[1, 0]])
    size = torch.tensor([120, 160] * 2)
    assert (one.boxes - BOXES[[1, 0]] * size).abs().max() <= 4, "masks of the stand-in have 32 cells a side"
    joints_only = Detection(one.frame, torch.zeros_like(one.masks), one.regions)
    assert torch.allclose(joints_only.person_scores, torch.ones(2), atol=0.05)
    for box, pose in zip(joints_only.boxes, one.frame.people, strict=True):
        x0, y0, x1, y1 = pose.box()
        assert box.tolist() == [max(0, math.floor(x0)), math.floor(y0), math.ceil(x1), math.ceil(y1)]


def test_given_boxes_are_not_looked_for(image):
    """The finder's own boxes play no role; each given one is a person, however many are allowed."""
    given = torch.tensor([[20.0, 30, 80, 150], [70, 40, 110, 140], [-50, -50, -1, -1], [30, 30, 30, 90]])
    detector = Detector(finder(masks=False), estimator())
    one, = detect_people(detector, image, boxes=[given], max_people=1, runtime=Runtime("cpu"))
    assert len(one.frame.people) == 2 and one.person_scores.tolist() == [1.0, 1.0]
    for box in given[:2]:
        middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        size = torch.maximum(size, size.flip(0) * torch.tensor([0.75, 4 / 3]))
        nose = middle + (JOINTS[0] - 0.5) * size + 0.5
        assert min(float((pose.keypoints[0] - nose).norm()) for pose in one.frame.people) < 1.0
    nobody, = detect_people(detector, image, boxes=[given[2:]], runtime=Runtime("cpu"))
    assert nobody.masks.shape == (0, 160, 120)
    with pytest.raises(ValueError, match="only boxes of people, from finder or given"):
        detect_people(finder(), image, boxes=[given], runtime=Runtime("cpu"))


def test_a_refiner_takes_given_boxes_without_joints(model, image):
    given = torch.tensor([[20.0, 30, 80, 150], [70, 40, 110, 140]])
    one, = detect_people(Detector(finder(masks=False), masks=model("sam")), image, boxes=[given],
                         runtime=Runtime("cpu"))
    assert one.masks.shape[1:] == (160, 120) and (one.masks.sum(0) <= 1).all()
    assert not any(pose.present.any() for pose in one.frame.people)


@pytest.fixture
def couple():
    """[1,128,256,3]: two people side by side; where each is [2,128,256]."""
    drawn = render_people(torch.tensor([3, 11]), 128, 128, mode="studio")
    masks = torch.zeros(2, 128, 256, dtype=torch.bool)
    masks[0, :, :128], masks[1, :, 128:] = drawn.mask[0] > 0.5, drawn.mask[1] > 0.5
    return torch.cat(list(drawn.image), 2).movedim(0, -1)[None], masks


def test_a_finder_of_whole_pictures_looks_into_boxes(couple):
    image, shown = couple
    boxes = torch.tensor([[130.0, 2, 250, 126], [2, 2, 126, 126]])
    one, = detect_people(load(embedded()["detect-person"]), image, boxes=[boxes], runtime=Runtime("cpu"))
    assert len(one.masks) == 2 and not (one.masks[0] & one.masks[1]).any()
    assert torch.equal(one.regions > 0, one.masks.any(0))
    order = one.masks.sum((1, 2))
    assert order[0] >= order[1]
    for mask, pose in zip(one.masks, one.frame.people, strict=True):
        right = bool(mask[:, 128:].any())
        assert (mask & shown[int(right)]).sum() > 0.8 * (mask | shown[int(right)]).sum()
        assert ((pose.keypoints[pose.present][:, 0] > 128) == right).all()
        assert (pose.width, pose.height) == (256, 128)


def test_the_earlier_box_keeps_its_pixels(couple):
    image, _ = couple
    box = torch.tensor([[2.0, 2, 126, 126]])
    once, = detect_people(load(embedded()["detect-person"]), image, boxes=[box], runtime=Runtime("cpu"))
    twice, = detect_people(load(embedded()["detect-person"]), image, boxes=[box.repeat(2, 1)],
                           runtime=Runtime("cpu"))
    assert torch.equal(twice.masks[0], once.masks[0]) and not twice.masks[1].any()
    assert torch.equal(twice.frame.people[1].keypoints, twice.frame.people[0].keypoints)


def test_who_is_meant_by_a_box():
    """The most pixels and joints in it, not the largest."""
    masks = torch.zeros(2, 20, 20, dtype=torch.bool)
    masks[0, :, :12], masks[1, 5:15, 12:] = True, True
    people = tuple(Pose(torch.full((18, 2), x), torch.ones(18), 20, 20) for x in (5.0, 15.0))
    seen = Detection(PoseFrame(20, 20, people), masks, masks.any(0).byte())
    assert most_inside(seen, torch.tensor([11.0, 4, 20, 16])) == 1
    assert most_inside(seen, torch.tensor([0.0, 0, 12, 20])) == 0
    assert most_inside(seen, torch.tensor([16.0, 17, 20, 20])) is None
    assert most_inside(replace(seen, masks=masks & False), torch.tensor([11.0, 4, 20, 16])) == 1


def test_an_estimator_serves_any_finder(couple):
    """Its joints replace the finder's, in the finder's people; where it sees nobody the finder's stay."""
    image, _ = couple
    net = load(embedded()["detect-person"])
    plain, = detect_people(net, image, runtime=Runtime("cpu"))
    posed, = detect_people(Detector(net, estimator()), image, runtime=Runtime("cpu"))
    assert torch.equal(posed.masks, plain.masks) and torch.equal(posed.regions, plain.regions)
    for pose, (x0, y0, x1, y1) in zip(posed.frame.people, plain.boxes.tolist(), strict=True):
        size = torch.tensor([x1 - x0, y1 - y0], dtype=torch.float32)
        size = torch.maximum(size, size.flip(0) * torch.tensor([0.75, 4 / 3]))
        nose = torch.tensor([x0 + x1, y0 + y1]) / 2 + (JOINTS[0] - 0.5) * size + 0.5
        assert (pose.keypoints[0] - nose).abs().max() < 1.5
    unsure, = detect_people(Detector(net, estimator(0.2)), image, runtime=Runtime("cpu"))
    assert all(torch.equal(a.keypoints, b.keypoints)
               for a, b in zip(unsure.frame.people, plain.frame.people, strict=True))


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
