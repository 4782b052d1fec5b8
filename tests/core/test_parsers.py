"""Parsers of clothes and faces; the networks are stand-ins that know colours."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from anyone.core import parsers
from anyone.core.bisenet.infer import REGIONS as BISENET_REGIONS
from anyone.core.bisenet.weights import SYSTEM as BISENET
from anyone.core.checkpoints import LoadedNet
from anyone.core.parsers import finds, parse_faces, parse_people
from anyone.core.people import Detection
from anyone.core.pose import JOINTS, Pose, PoseFrame
from anyone.core.regions import ATR_LABELS, FACE_REGIONS, PERSON_REGIONS
from anyone.core.runtime import Runtime
from anyone.core.segformer.weights import SYSTEM as SEGFORMER
from torch import nn

COLOURS = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
MEAN = torch.tensor([.485, .456, .406])[:, None, None]
DEVIATION = torch.tensor([.229, .224, .225])[:, None, None]


class KnowsColours(nn.Module):
    """Red, green and blue are the three named regions, everything else is the first one."""

    def __init__(self, names, regions):
        super().__init__()
        self.config = SimpleNamespace(id2label=dict(enumerate(names)))
        self.places = [list(names).index(region) for region in regions]

    def scores(self, x):
        x = x * DEVIATION + MEAN
        out = torch.zeros(len(x), len(self.config.id2label), *x.shape[2:])
        out[:, 0] = 0.1
        for place, colour in zip(self.places, COLOURS, strict=True):
            out[:, place] = 1 - (x - colour[:, None, None]).abs().sum(1)
        return out


class Segformer(KnowsColours):
    def forward(self, pixel_values):
        return SimpleNamespace(logits=self.scores(pixel_values)[..., ::4, ::4])


class Bisenet(KnowsColours):
    forward = KnowsColours.scores


@pytest.fixture
def clothes():
    return LoadedNet(Segformer(ATR_LABELS, ("upper-clothes", "pants", "face")), SEGFORMER, "clothes")


@pytest.fixture(params=["bisenet", "segformer"])
def faces(request):
    regions = ("skin", "l_eye", "hair")
    if request.param == "bisenet":
        return LoadedNet(Bisenet(BISENET_REGIONS, regions), BISENET, "faces")
    return LoadedNet(Segformer(FACE_REGIONS[::-1][-1:] + FACE_REGIONS[:0:-1], regions), SEGFORMER, "faces")


def pose_of(**points):
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, place in points.items():
        keypoints[JOINTS.index(name)], scores[JOINTS.index(name)] = torch.tensor(place), 1.0
    return Pose(keypoints, scores, 200, 100)


def striped(*stripes):
    """[100,200,3]: (y0, y1, colour) painted across."""
    image = torch.ones(100, 200, 3)
    for y0, y1, colour in stripes:
        image[y0:y1] = COLOURS[colour]
    return image


@pytest.mark.parametrize("flip", [False, True])
def test_people_are_parsed_one_by_one(clothes, flip):
    image = torch.stack([striped((0, 30, 2), (30, 60, 0), (60, 100, 1)), torch.ones(100, 200, 3)])
    masks = torch.zeros(2, 100, 200, dtype=torch.bool)
    masks[0, 10:90, 20:60], masks[1, 50:99, 120:180] = True, True
    nobody, unknown = pose_of(), torch.zeros(100, 200, dtype=torch.uint8)
    found = [Detection(PoseFrame(200, 100, (nobody, nobody)), masks, unknown),
             Detection(PoseFrame(200, 100), masks[:0], unknown)]
    regions = parse_people(clothes, image, found, flip=flip, runtime=Runtime("cpu"))
    assert regions.names == PERSON_REGIONS and regions.labels.shape == (2, 100, 200)
    assert [PERSON_REGIONS[regions.labels[0, y, 40]] for y in (15, 45, 80)] == ["head", "top", "trousers"]
    assert [PERSON_REGIONS[regions.labels[0, y, 150]] for y in (55, 80)] == ["top", "trousers"]
    assert torch.equal(regions.labels[0] > 0, masks.any(0)) and not regions.labels[1].any()


def test_faces_are_parsed_where_heads_are(faces):
    image = striped((0, 30, 2), (30, 60, 0))[None]
    near = pose_of(nose=(40.0, 38.0), right_eye=(35.0, 32.0), left_eye=(45.0, 32.0))        # a square of 42
    edge = pose_of(nose=(198.0, 38.0), right_eye=(193.0, 32.0), left_eye=(203.0, 32.0))
    away = near.moved(5000, 0)
    regions = parse_faces(faces, image, [PoseFrame(200, 100, (near, edge, away))], runtime=Runtime("cpu"))
    assert regions.names == FACE_REGIONS and len(regions.palette) == 19
    assert [FACE_REGIONS[regions.labels[0, y, 40]] for y in (20, 45)] == ["hair", "skin"]
    assert [FACE_REGIONS[regions.labels[0, y, 199]] for y in (20, 45)] == ["hair", "skin"]
    assert not regions.labels[0, :, 90:150].any() and not regions.labels[0, 65:].any()


def test_mirrored_parts_change_sides():
    swapped = [FACE_REGIONS[i] for i in parsers._other_side(FACE_REGIONS)]
    changed = {name: other for name, other in zip(FACE_REGIONS, swapped, strict=True) if name != other}
    assert changed == {"l_eye": "r_eye", "r_eye": "l_eye", "l_brow": "r_brow", "r_brow": "l_brow",
                       "l_ear": "r_ear", "r_ear": "l_ear"}                        # but l_lip is the lower lip
    assert [ATR_LABELS[i] for i in parsers._other_side(ATR_LABELS)][9:16] == \
        ["right-shoe", "left-shoe", "face", "right-leg", "left-leg", "right-arm", "left-arm"]


def test_the_mirrored_picture_votes():
    """A network that calls whatever is on the picture's left the left eye agrees with its mirrored self."""
    class Sides(nn.Module):
        def forward(self, x):
            out = torch.zeros(len(x), 19, *x.shape[2:])
            out[:, BISENET_REGIONS.index("l_eye"), :, :x.shape[3] // 2] = 1
            out[:, BISENET_REGIONS.index("r_eye"), :, x.shape[3] // 2:] = 1
            return out

    near = pose_of(nose=(40.0, 38.0), right_eye=(35.0, 32.0), left_eye=(45.0, 32.0))
    net, frame = LoadedNet(Sides(), BISENET, "sides"), PoseFrame(200, 100, (near,))
    regions = parse_faces(net, striped()[None], [frame], flip=True, runtime=Runtime("cpu"))
    assert [FACE_REGIONS[regions.labels[0, 40, x]] for x in (25, 55)] == ["l_eye", "r_eye"]


def test_large_faces_are_decided_small(faces, monkeypatch):
    monkeypatch.setattr(parsers, "LARGEST", 20)
    near = pose_of(nose=(40.0, 38.0), right_eye=(35.0, 32.0), left_eye=(45.0, 32.0))
    labels = parse_faces(faces, striped((30, 60, 0))[None], [PoseFrame(200, 100, (near,))],
                         runtime=Runtime("cpu")).labels
    assert FACE_REGIONS[labels[0, 45, 40]] == "skin"


def test_the_wrong_parser(clothes, faces):
    with pytest.raises(ValueError, match="clothes parses clothes; faces need"):
        parse_faces(clothes, torch.ones(1, 4, 4, 3), [PoseFrame(4, 4)], runtime=Runtime("cpu"))
    with pytest.raises(ValueError, match="faces parses faces; whole people need"):
        parse_people(faces, torch.ones(1, 4, 4, 3), [], runtime=Runtime("cpu"))
    with pytest.raises(ValueError, match="which is no parser"):
        finds(LoadedNet(nn.Identity(), SimpleNamespace(role="detector", title="finder"), "x"))
