import pytest
import torch
from anyone.core.people import person_regions
from anyone.core.pose import JOINTS, Pose
from anyone.core.regions import ATR_LABELS, PERSON_REGIONS
from anyone.core.synthetic import render_people

POINTS = {"nose": (50, 12), "neck": (50, 25), "right_shoulder": (40, 25), "left_shoulder": (60, 25),
          "right_elbow": (20, 25), "right_wrist": (5, 25), "left_elbow": (80, 25), "left_wrist": (95, 25),
          "right_hip": (44, 60), "left_hip": (56, 60)}


@pytest.fixture
def pose():
    """Arms stretched out."""
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, place in POINTS.items():
        keypoints[JOINTS.index(name)], scores[JOINTS.index(name)] = torch.tensor(place).float(), 1.0
    return Pose(keypoints, scores, 100, 100)


def dressed(**rectangles):
    """[100,100] ATR labels from name -> (y0, y1, x0, x1)."""
    labels = torch.zeros(100, 100, dtype=torch.uint8)
    for name, (y0, y1, x0, x1) in rectangles.items():
        labels[y0:y1, x0:x1] = ATR_LABELS.index(name.replace("_", "-"))
    return labels


def named(regions, y, x):
    return PERSON_REGIONS[regions[y, x]]


def test_sleeves_are_nearer_to_the_arms(pose):
    labels = dressed(upper_clothes=(20, 60, 5, 95))
    regions = person_regions(labels, labels > 0, pose)
    assert named(regions, 26, 20) == named(regions, 26, 80) == "sleeves"
    assert named(regions, 45, 50) == named(regions, 27, 50) == "top"
    assert set(person_regions(labels, labels > 0).unique().tolist()) == {0, PERSON_REGIONS.index("top")}


def test_the_rule_agrees_with_the_renderer():
    drawn = render_people(torch.arange(12), 128, 128, mode="studio")
    right = total = 0
    for regions, keypoints, visible in zip(drawn.regions, drawn.keypoints, drawn.visibility, strict=True):
        upper = (regions == 4) | (regions == 5)
        labels = torch.where(upper, ATR_LABELS.index("upper-clothes"), 0)
        pose = Pose(keypoints[0], (visible[0] > 0).float(), 128, 128)
        right += int((person_regions(labels, upper, pose) == regions)[upper].sum())
        total += int(upper.sum())
    assert right / total > 0.85


def test_a_dress_is_top_and_skirt(pose):
    labels = dressed(dress=(20, 90, 42, 58))
    regions = person_regions(labels, labels > 0, pose)
    assert named(regions, 40, 50) == "top" and named(regions, 65, 50) == "skirt"
    alone = person_regions(labels, labels > 0)            # without a pose: the lower half
    assert named(alone, 54, 50) == "top" and named(alone, 57, 50) == "skirt"


def test_a_belt_belongs_to_what_it_touches_most(pose):
    labels = dressed(upper_clothes=(30, 58, 46, 52), pants=(60, 95, 42, 58), belt=(58, 60, 42, 58))
    assert named(person_regions(labels, labels > 0, pose), 58, 50) == "trousers"
    lonely = dressed(belt=(58, 60, 42, 58))
    assert named(person_regions(lonely, lonely > 0, pose), 58, 50) == "accessory"


def test_the_throat_is_skin_and_holes_take_what_is_near(pose):
    labels = dressed(face=(5, 15, 44, 56), upper_clothes=(26, 60, 40, 60), hat=(0, 5, 44, 56))
    mask = torch.zeros(100, 100, dtype=torch.bool)
    mask[0:62, 40:60] = True
    regions = person_regions(labels, mask, pose)
    assert named(regions, 20, 50) == "head"               # on the line from nose to neck
    assert named(regions, 61, 50) == "top" and named(regions, 2, 41) == "headwear"
    assert torch.equal(regions > 0, mask)


def test_what_is_not_the_person_is_background(pose):
    labels = dressed(upper_clothes=(20, 60, 5, 95))
    mask = labels > 0
    mask[:, :50] = False
    assert not person_regions(labels, mask, pose)[:, :50].any()
    assert not person_regions(labels, torch.zeros_like(mask), pose).any()
