import cv2
import pytest
import torch
from anyone.core.people import grabcut_people
from anyone.core.pose import Pose
from anyone.core.synthetic import render_people


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def people():
    """Pictures, masks and poses of procedural people who stand alone."""
    ids = torch.tensor([3, 5, 8, 13, 21, 34])
    drawn = render_people(ids, 128, 128, mode="scene", bystanders=0.0, occluders=0.0, crops=0.0)
    poses = [Pose(keypoints[0], (visible[0] > 0).float(), 128, 128)
             for keypoints, visible in zip(drawn.keypoints, drawn.visibility, strict=True)]
    return list(zip(drawn.image, drawn.regions > 0, poses, strict=True))


def test_masks_fit_procedural_people(people):
    found = [overlap(grabcut_people(picture, [pose])[0], truth) for picture, truth, pose in people]
    assert sum(found) / len(found) >= 0.9 and min(found) > 0.75


def test_the_pose_may_be_on_another_canvas(people):
    picture, truth, pose = people[0]
    assert overlap(grabcut_people(picture, [pose.scaled(1000, 700)])[0], truth) > 0.85


def test_large_pictures_are_cut_small(people):
    picture, truth, pose = people[1]
    large, = torch.nn.functional.interpolate(picture[None], (1280, 1280), mode="bilinear")
    fine, = torch.nn.functional.interpolate(truth[None, None].float(), (1280, 1280), mode="bilinear")[0] > 0.5
    assert overlap(grabcut_people(large, [pose.scaled(1280, 1280)])[0], fine) > 0.85


def test_always_the_same_and_nobodys_random_numbers(people):
    picture, _, pose = people[2]
    cv2.setRNGSeed(7)
    expected = cv2.randu(torch.zeros(4, 4).numpy(), 0, 1).copy()
    first = grabcut_people(picture, [pose])
    cv2.setRNGSeed(7)
    again = grabcut_people(picture, [pose])
    assert torch.equal(first, again)
    assert (cv2.randu(torch.zeros(4, 4).numpy(), 0, 1) == expected).all()


def test_two_people_share_no_pixel(people):
    (left, left_truth, left_pose), (right, right_truth, right_pose) = people[0], people[3]
    picture = torch.cat([left, right], 2)
    poses = [left_pose.cropped(0, 0, 256, 128), right_pose.cropped(-128, 0, 256, 128)]
    masks = grabcut_people(picture, poses)
    assert masks.shape == (2, 128, 256) and not (masks[0] & masks[1]).any()
    assert overlap(masks[0, :, :128], left_truth) > 0.8 and overlap(masks[1, :, 128:], right_truth) > 0.8


def test_nobody_and_single_joints(people):
    picture = people[0][0]
    nothing = Pose(torch.zeros(18, 2), torch.zeros(18), 128, 128)
    one = Pose(torch.full((18, 2), 50.0), torch.eye(18)[0], 128, 128)
    assert grabcut_people(picture, []).shape == (0, 128, 128)
    assert not grabcut_people(picture, [nothing, one]).any()
    outside = people[0][2].moved(5000, 0)
    assert not grabcut_people(picture, [outside]).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 300)])
def test_tiny_pictures(people, size):
    masks = grabcut_people(torch.rand(3, *size), [people[0][2]])
    assert masks.shape == (1, *size) and masks.dtype == torch.bool
