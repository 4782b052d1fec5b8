"""Frames: framing, cutting, joints, and the way back."""
from __future__ import annotations

import pytest
import torch
from anyone.core.people import CropBox, mask_from_pose, tight_box
from anyone.core.people.frame import TALL, WIDE, Drawn, Frame, clean_rim, frame_person, smoothed
from anyone.core.pose import Pose


@pytest.fixture
def pose(standing):
    """Someone upright on a canvas of 64x128."""
    return Pose(standing[0] + 0.5, torch.ones(18), 64, 128)


def ramp(height, width):
    """[2,H,W]: x and y of the pixels' centres."""
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])


def test_a_tall_person_takes_the_height_and_stands_in_the_middle(pose):
    frame = frame_person(pose, None, 128, 64)
    seen = tight_box(mask_from_pose(Pose(frame.joints(pose) + 0.5, pose.scores, 64, 128), 128, 64))
    assert seen.height == pytest.approx(TALL * 128, abs=2)
    assert (seen.x0 + seen.x1) / 2 == pytest.approx(32, abs=1)
    assert (seen.y0 + seen.y1) / 2 == pytest.approx(64, abs=1)


def test_a_wide_person_takes_the_width(pose):
    mask = torch.zeros(128, 64, dtype=torch.bool)
    mask[60:70, 4:60] = True
    frame = frame_person(Pose.empty(64, 128), mask, 128, 64)
    assert frame.pixel == pytest.approx(56 / (WIDE * 64))
    assert frame.outwards(torch.tensor([31.5, 63.5])).tolist() == pytest.approx([32, 65])


def test_mask_and_pose_count_together(pose):
    mask = torch.zeros(128, 64, dtype=torch.bool)
    mask[0:2, 30:34] = True                                # a tall hat
    alone, hat = frame_person(pose, None, 128, 64), frame_person(pose, mask, 128, 64)
    assert hat.pixel > alone.pixel
    assert hat.inwards(torch.tensor([32.0, 0.0]))[1] == pytest.approx((1 - TALL) / 2 * 128 - 0.5, abs=0.1)


def test_joints_outside_the_picture_are_framed(pose):
    frame = frame_person(pose.moved(0, 60), None, 128, 64)
    joints = frame.joints(pose.moved(0, 60))
    assert frame.y0 + 128 * frame.pixel > 160
    assert ((joints > 0) & (joints < torch.tensor([63, 127]))).all()


def test_nobody_has_no_frame():
    one = Pose(torch.full((18, 2), 30.0), torch.eye(18)[0], 64, 128)
    assert frame_person(Pose.empty(64, 128), None, 128, 64) is None
    assert frame_person(one, torch.zeros(128, 64, dtype=torch.bool), 128, 64) is None


def test_joints_lie_where_the_pixels_do(pose):
    """A dot at a joint of a large picture is at the joint in the frame."""
    large = pose.scaled(419, 777).moved(35.3, -4.2)
    frame = frame_person(large, None, 128, 64)
    points = frame.joints(large)
    for joint in (0, 4, 13):
        column, row = (large.keypoints[joint] - 0.5).round().int().tolist()
        picture = torch.zeros(1, 777, 419)
        picture[0, row - 6:row + 7, column - 6:column + 7] = 1
        seen = frame.cut(picture, 0.0)[0]
        x, y = (seen * torch.arange(64)).sum(), (seen.T * torch.arange(128)).sum()
        assert (torch.stack([x, y]) / seen.sum() - points[joint]).abs().max() < 0.1


def test_missing_joints_stay_missing(pose):
    some = Pose(pose.keypoints, (torch.arange(18) != 4).float(), 64, 128)
    joints = Frame(3.0, 4.0, 2.0, 128, 64).joints(some)
    assert joints[4].isnan().all() and joints.isnan().sum() == 2
    assert joints[0].tolist() == [(32.5 - 3) / 2 - 0.5, (16.5 - 4) / 2 - 0.5]


def test_a_frame_of_whole_pixels_is_a_crop():
    picture = torch.rand(3, 9, 13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Frame(2, 1, 1, 6, 5).cut(picture), picture[:, 1:7, 2:7])
    over = Frame(-2, 5, 1, 6, 5).cut(picture, 0.25)
    assert torch.allclose(over[:, :4, 2:], picture[:, 5:9, :3], atol=1e-7)
    assert (over[:, :, :2] == 0.25).all() and (over[:, 4:] == 0.25).all()
    repeated = Frame(-2, 5, 1, 6, 5).cut(picture)
    assert torch.equal(repeated[:, 4:, 2:], picture[:, 8:9, :3].expand(-1, 2, -1))
    assert torch.equal(repeated[:, :4, 0], picture[:, 5:9, 0])


@pytest.mark.parametrize("pixel", [0.3, 0.9, 1.0, 2.7, 7.3])
def test_a_slope_stays_a_slope(pixel):
    """Wherever the frame begins, and whether it shrinks or enlarges."""
    picture = ramp(181, 203)
    frame = Frame(60.37, 51.81, pixel, 6, 5)
    expected = frame.outwards(ramp(6, 5).movedim(0, -1) - 0.5).movedim(-1, 0)
    assert torch.allclose(frame.cut(picture), expected, atol=0.06)
    wide, box = Frame(66.2 - 3 * pixel, 56.3 - 3 * pixel, pixel, 80, 80), CropBox(70, 60, 75, 66)
    assert torch.allclose(wide.laid(wide.cut(picture), box), picture[:, 60:66, 70:75], atol=0.06)


def test_shrinking_averages():
    picture = torch.zeros(1, 64, 64)
    picture[:, :, ::2] = 1                                 # too fine for the frame: grey
    assert torch.allclose(Frame(0, 0, 8, 8, 8).cut(picture)[:, 1:-1, 1:-1], torch.tensor(0.5), atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (2, 300)])
def test_any_size_of_picture(pose, size):
    height, width = size
    frame = frame_person(pose.scaled(width, height), None, 128, 64)
    cut = frame.cut(torch.full((3, height, width), 0.7), 0.7)
    assert cut.shape == (3, 128, 64) and torch.allclose(cut, torch.tensor(0.7), atol=1e-5)
    box = frame.box(height, width)
    assert frame.laid(cut, box).shape == (3, box.height, box.width)


def test_a_frame_far_away_sees_only_the_border():
    picture = ramp(20, 30)
    assert (Frame(1000, -1000, 3, 4, 4).cut(picture) == picture[:, :1, -1:]).all()
    assert (Frame(1000, -1000, 3, 4, 4).cut(picture, 0.5) == 0.5).all()
    assert Frame(1000, -1000, 3, 4, 4).box(20, 30) == CropBox(30, 0, 30, 0)


def test_a_frame_seen_from_a_window():
    picture = torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(0))
    frame, window = Frame(12.5, 9.25, 1.75, 8, 6), CropBox(5, 3, 45, 38)
    assert torch.allclose(frame.seen_from(window).cut(picture[:, 3:38, 5:45]), frame.cut(picture), atol=1e-6)


def test_colours_are_freed_from_the_grey():
    person, opacity = torch.tensor([0.9, 0.1, 0.3]), torch.tensor([1.0, 0.5, 0.2, 0.0])
    planes = torch.cat([opacity * person[:, None] + (1 - opacity) * 0.5, opacity[None]])       # [4,4]
    drawn = Drawn.read(planes[None, :, None])
    assert torch.allclose(drawn.picture[0, :, 0, :3], person[:, None].expand(-1, 3), atol=1e-5)
    assert drawn.picture[0, :, 0, 3].tolist() == [0.5, 0.5, 0.5]
    assert torch.equal(drawn.opacity[0, 0], opacity)
    picture, share = next(drawn.each())
    assert torch.equal(picture, drawn.picture[0]) and torch.equal(share, drawn.opacity[0])


def test_a_greyish_rim_takes_the_colours_within():
    solid = torch.zeros(20, 20)
    solid[4:16, 4:16] = 1
    soft = torch.nn.functional.avg_pool2d(solid[None], 5, 1, 2)
    colours = 0.5 + 0.4 * soft.expand(3, -1, -1)           # 0.9 within, greyer towards the rim
    clean = clean_rim(colours, solid)
    assert colours[0, 4, 10] < 0.75 and clean[0, 4, 10] > 0.85
    assert clean[0, 10, 10] == pytest.approx(0.9, abs=1e-5)


def test_smoothing_evens_out_dots():
    dots = (torch.arange(6)[:, None] + torch.arange(6)).remainder(2).float()
    assert torch.allclose(smoothed(dots)[1:-1, 1:-1], torch.tensor(0.5))
    assert torch.equal(smoothed(torch.ones(4, 5)), torch.ones(4, 5))


def test_three_planes_have_no_opacity():
    planes = torch.rand(2, 3, 4, 4)
    drawn = Drawn.read(planes)
    assert drawn.opacity is None and torch.equal(drawn.picture, planes)
    assert [share for _, share in drawn.each()] == [None, None]
