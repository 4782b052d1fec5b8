"""People brought into a generator's frame and back."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.pose import JOINTS, Pose
from anyone.core.stylegan.align import (
    align_nobody,
    align_person,
    aligned_frame,
    lay_back,
    paste_aligned,
    trunk_centre,
)


@pytest.fixture
def pose(standing):
    return Pose(standing[0], torch.ones(18), 64, 128)


def without(pose, *names):
    scores = pose.scores.clone()
    scores[[JOINTS.index(name) for name in names]] = 0
    return Pose(pose.keypoints, scores, pose.width, pose.height)


def block(y0, y1, x0, x1, height=128, width=64):
    mask = torch.zeros(height, width)
    mask[y0:y1, x0:x1] = 1
    return mask


def picture(height=128, width=64, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def smooth():
    """No detail to lose."""
    return torch.nn.functional.avg_pool2d(picture(136, 72)[None], 9, 1)[0]


def test_the_middle_is_that_of_the_trunk(pose):
    assert trunk_centre(pose) == pytest.approx((32 + (26 + 38) / 2) / 2)
    assert trunk_centre(without(pose, "left_hip")) == pytest.approx((32 + 26) / 2)
    assert trunk_centre(without(pose, "neck", "left_hip")) == pytest.approx(((22 + 42) / 2 + 26) / 2)
    assert trunk_centre(without(pose, "neck", "left_shoulder", "left_hip")) == pytest.approx((22 + 26) / 2)


def test_the_frame_holds_the_person_and_a_margin(pose):
    frame, centre = aligned_frame(pose, block(10, 110, 20, 45), 256, 128), trunk_centre(pose)
    assert frame.pixel == pytest.approx(110 / 256)        # 5 % of 100 above and below
    assert frame.y0 == pytest.approx(5)
    assert frame.x0 == pytest.approx(centre - 55 / 2)
    wide = aligned_frame(pose, block(30, 60, 2, 40), 256, 128)
    assert wide.pixel == pytest.approx(2 * (centre - 2) / 128) and wide.x0 == pytest.approx(2)
    assert wide.y0 + wide.pixel * 128 == pytest.approx(45)


def test_without_a_mask_the_silhouette_counts(pose):
    frame = aligned_frame(pose, None, 256, 128)
    top, bottom = frame.y0, frame.y0 + 256 * frame.pixel
    assert top < 8 and bottom > 113 and bottom - top < 150
    assert frame.x0 + 64 * frame.pixel == pytest.approx(trunk_centre(pose))


def test_cut_at_the_pictures_own_size_it_is_the_picture(pose):
    """A frame whose pixels are the picture's: 110 rows of them."""
    image, mask = picture(), block(14, 114, 20, 45)
    found = align_person(image, pose, mask, 110, 54)
    assert (found.frame.pixel, found.frame.x0, found.frame.y0) == pytest.approx((1, 5, 9))
    torch.testing.assert_close(found.picture, image[:, 9:119, 5:59], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.mask, mask[9:119, 5:59], atol=1e-4, rtol=0)


def test_a_plain_background(pose):
    image, mask = picture(), block(20, 100, 20, 45)
    found = align_person(image, pose, mask, 64, 32, behind=1.0)
    assert (found.picture[:, found.mask == 0] == 1).all()
    inside, kept = found.mask == 1, align_person(image, pose, mask, 64, 32)
    torch.testing.assert_close(found.picture[:, inside], kept.picture[:, inside])
    assert (kept.picture[:, kept.mask == 0] < 1).any()
    assert found.plain and not kept.plain
    with pytest.raises(ValueError, match="A plain background needs the person's mask"):
        align_person(image, pose, None, 64, 32, behind=1.0)


def test_beyond_the_photograph_its_border_goes_on(pose):
    found = align_person(torch.full((3, 128, 64), 0.25), pose, None, 64, 48)
    assert found.frame.x0 < 0 and found.mask is None and (found.opacity == 1).all()
    torch.testing.assert_close(found.picture, torch.full((3, 64, 48), 0.25))


def test_there_and_back(pose):
    image = smooth()
    mask = block(10, 110, 20, 45)
    found = align_person(image, pose, mask, 256, 128)
    back, share = lay_back(image, found.picture, found.frame, found.mask)
    assert back.shape == image.shape and (back - image).abs().max() < 0.02
    assert torch.equal(back[:, share == 0], image[:, share == 0])
    assert ((share > 0.5) == (mask > 0.5)).all()


def test_what_was_drawn_shows_where_its_mask_is(pose):
    image, found = picture(), aligned_frame(pose, block(10, 110, 20, 45), 128, 64)
    drawn, mask = torch.full((3, 128, 64), 0.5), torch.zeros(128, 64)
    mask[40:80] = 1
    before = image.clone()
    out, share = lay_back(image, drawn, found, mask)
    assert torch.equal(image, before) and torch.equal(out[:, share == 0], image[:, share == 0])
    top, bottom = (found.y0 + row * found.pixel for row in (40, 80))
    rows = (share[:, 32] > 0.5).nonzero()[:, 0] + 0.5
    assert rows.min() == pytest.approx(top, abs=1) and rows.max() == pytest.approx(bottom, abs=1)
    torch.testing.assert_close(out[:, share == 1], torch.full_like(out[:, share == 1], 0.5))
    whole = lay_back(image, drawn, found)[1]
    assert whole[:, 32].sum() == pytest.approx(110, abs=1) and whole[60].sum() == pytest.approx(55, abs=1)


def test_a_feathered_rim_fades_inside(pose):
    image, frame = picture(), aligned_frame(pose, block(10, 110, 20, 45), 128, 64)
    black = torch.zeros(3, 128, 64)
    hard, soft = (lay_back(image, black, frame, feather=feather)[1] for feather in (0.0, 4.0))
    assert not soft[hard == 0].any() and (soft <= hard).all()
    column = soft[:, 32]
    rim = column.nonzero()[0, 0]
    torch.testing.assert_close(column[rim:rim + 5], torch.arange(1, 6) / 5)
    assert soft[64, 32] == 1


def test_what_was_drawn_may_have_any_size(pose):
    """A drawing of another size lies where the frame does, at its own resolution."""
    image, mask = smooth(), block(14, 114, 20, 45)
    found = align_person(image, pose, mask, 110, 54)       # whose pixels are the picture's
    black = torch.zeros(3, 128, 64)
    same = paste_aligned(black, found.picture, found)
    torch.testing.assert_close(same, image * mask, atol=1e-4, rtol=0)
    fine = found.picture.repeat_interleave(4, 1).repeat_interleave(4, 2)
    torch.testing.assert_close(paste_aligned(black, fine, found)[:, 20:100, 24:40],
                               image[:, 20:100, 24:40], atol=0.02, rtol=0)
    wide = torch.ones(3, 55, 80)                           # of another aspect: stretched
    inside = paste_aligned(black, wide, found)[0] > 0.5
    assert (inside != (mask > 0.5)).float().mean() < 0.01


def test_who_moved_leaves_nothing_behind(pose):
    old, new = block(14, 114, 20, 32), torch.zeros(110, 54)
    new[:, 35:40] = 1
    image = torch.where(old > 0, 0.9, 0.2).expand(3, -1, -1).clone()
    aligned = align_person(image, pose, old, 110, 54)
    grey = torch.full_like(aligned.picture, 0.5)
    still, moved = (paste_aligned(image, grey, aligned, mask) for mask in (None, new))
    columns = round(aligned.frame.x0) + torch.arange(35, 40)
    assert (still[:, 15:113, 21:31] == 0.5).all() and (still[:, :, columns] == 0.2).all()
    torch.testing.assert_close(moved[:, 15:113, columns[1:-1]], torch.full((3, 98, 3), 0.5), atol=0.01,
                               rtol=0)
    torch.testing.assert_close(moved[:, :, :33], torch.full((3, 128, 33), 0.2), atol=0.02, rtol=0)
    assert torch.equal(moved[:, :, :10], image[:, :, :10])


def test_a_plain_background_leaves_no_rim(pose):
    mask = block(14, 114, 20, 45)
    image = torch.where(mask > 0, 0.6, 0.2).expand(3, -1, -1)
    aligned = align_person(image, pose, mask, 48, 24, behind=1.0)
    back = paste_aligned(image, aligned.picture, aligned)
    rough = lay_back(image, aligned.picture, aligned.frame, aligned.mask)[0]
    assert rough.max() > 0.7 and back.max() < 0.62 and back.min() > 0.18
    assert (back - image).abs().mean() < (rough - image).abs().mean()


def test_nobody_is_the_middle_of_the_picture():
    image = picture(20, 64)
    found = align_nobody(image, 20, 10)
    torch.testing.assert_close(found.picture, image[:, :, 27:37], atol=1e-5, rtol=0)
    assert not found.mask.any() and not found.plain
    assert torch.equal(paste_aligned(image, torch.zeros(3, 40, 20), found), image)


def test_a_frame_outside_changes_nothing(pose):
    image = picture()
    frame = replace(aligned_frame(pose, None, 128, 64), x0=500.0)
    out, share = lay_back(image, torch.zeros(3, 128, 64), frame)
    assert torch.equal(out, image) and not share.any()


def test_people_without_a_middle_or_an_extent_are_refused(pose):
    with pytest.raises(ValueError, match="lacks neck and shoulders, or both hips"):
        trunk_centre(without(pose, "right_hip", "left_hip"))
    with pytest.raises(ValueError, match="lacks neck and shoulders"):
        trunk_centre(without(pose, "neck", "right_shoulder", "left_shoulder"))
    with pytest.raises(ValueError, match="too few joints"):
        aligned_frame(Pose.empty(64, 128), None, 8, 4)
    with pytest.raises(ValueError, match="mask shows nobody"):
        aligned_frame(pose, torch.zeros(128, 64), 8, 4)
