"""Detail moved from the source to an enlarged drawing. The network is an oracle: the true target, small."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from anyone.core.metrics.images import ssim
from anyone.core.people import CropBox
from anyone.core.people.align import alignment, sampled
from anyone.core.people.detail import Sitter, Wanted, colours_of, finer_detail, warp_preview
from anyone.core.people.frame import frame_person
from anyone.core.pose import Pose

SIZE = 128, 64
GREY = 0.5


def sitter_of(view):
    frame = frame_person(view.pose, view.mask, *SIZE)
    return Sitter(view.picture, view.mask.float(), frame, frame.joints(view.pose))


def wanted_of(view):
    frame = frame_person(view.pose, None, *SIZE)
    return Wanted(frame.joints(view.pose), frame, frame.box(*view.mask.shape))


def draw(view, wanted, blur=0):
    """Colours [3,h,w] and opacity [h,w], all that the frame can show of the target; `blur`: networks are
    softer."""
    planes = wanted.frame.cut(torch.cat([view.picture * view.mask, view.mask[None].float()]), 0.0)
    if blur:
        planes = F.avg_pool2d(F.pad(planes[None], (blur,) * 4, mode="replicate"), 2 * blur + 1, 1)[0]
    return colours_of(planes).clamp(0, 1), planes[3].clamp(0, 1)


def enlarged(wanted, colours, opacity):
    planes = torch.cat([colours * opacity, opacity[None]])
    return colours_of(wanted.frame.laid(planes, wanted.box)).clamp(0, 1)


def inside(planes, box):
    return planes[..., box.y0:box.y1, box.x0:box.x1]


def scores(picture, view, box):
    """Mean difference and SSIM in the person's pixels."""
    truth, mask = inside(view.picture, box), inside(view.mask, box)
    similarity = ssim(picture[None], truth[None], mask=mask[None])
    return float((picture - truth).abs()[:, mask].mean()), float(similarity)


@pytest.mark.parametrize("blur", [0, 1])
def test_detail_brings_enlarged_people_nearer_to_the_truth(pairs, blur):
    found = []
    for source, target in pairs:
        wanted = wanted_of(target)
        colours, opacity = draw(target, wanted, blur)
        plain = enlarged(wanted, colours, opacity)
        finer = plain + finer_detail(sitter_of(source), wanted, colours, opacity)
        found.append([*scores(plain, target, wanted.box), *scores(finer.clamp(0, 1), target, wanted.box)])
    plain_l1, plain_ssim, l1, similarity = torch.tensor(found).unbind(1)
    assert (l1 < plain_l1).all() and l1.mean() < 0.95 * plain_l1.mean()
    assert (similarity > plain_ssim - 0.001).all() and similarity.mean() > plain_ssim.mean() + 0.012


def test_who_does_not_move_comes_back_sharp(pairs):
    view = pairs[1][0]
    wanted = wanted_of(view)
    colours, opacity = draw(view, wanted)
    plain = enlarged(wanted, colours, opacity)
    finer = plain + finer_detail(sitter_of(view), wanted, colours, opacity)
    assert scores(finer, view, wanted.box)[0] < 0.5 * scores(plain, view, wanted.box)[0]


def test_other_colours_add_nothing(pairs):
    source, target = pairs[1]
    wanted = wanted_of(target)
    colours, opacity = draw(target, wanted)
    magenta = torch.tensor([1.0, 0.0, 1.0])[:, None, None].expand_as(colours)
    right, wrong = (finer_detail(sitter_of(source), wanted, planes, opacity) for planes in (colours, magenta))
    assert wrong.abs().max() < 0.01 < right.abs().max()


def test_the_preview_shows_the_person_and_nothing_behind(pairs):
    source, target = pairs[1]
    green = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    sitter = replace(sitter_of(source), picture=torch.where(source.mask, source.picture * 0 + 0.9, green))
    wanted = wanted_of(target)
    preview, there = warp_preview(sitter, wanted), inside(target.mask, wanted.box)
    assert (preview[0] - preview[1]).abs().max() < 1e-5             # grey to white, no green
    assert preview[0][there].mean() > 0.8 and preview[0][~there].mean() < 0.55


def test_the_preview_of_the_same_pose_is_the_person(pairs):
    view = pairs[2][0]
    wanted = wanted_of(view)
    preview = warp_preview(sitter_of(view), wanted)
    difference = (preview - inside(view.picture, wanted.box)).abs()[:, inside(view.mask, wanted.box)]
    assert difference.median() < 0.01 and difference.mean() < 0.05


def test_a_limb_that_the_source_lacks_comes_from_the_other_side(pairs):
    source, target = pairs[1]
    whole, wanted = sitter_of(source), wanted_of(target)
    joints = whole.joints.clone()
    joints[[6, 7]] = torch.nan                             # left elbow and wrist
    lacking = replace(whole, joints=joints)
    colours, opacity = draw(target, wanted)
    plain, detail = enlarged(wanted, colours, opacity), finer_detail(lacking, wanted, colours, opacity)
    assert detail.isfinite().all()
    l1, similarity = scores((plain + detail).clamp(0, 1), target, wanted.box)
    plain_l1, plain_ssim = scores(plain, target, wanted.box)
    assert l1 < plain_l1 and similarity > plain_ssim
    x, y = wanted.frame.seen_from(wanted.box).outwards(wanted.joints[7]).int().tolist()
    hand = inside(warp_preview(lacking, wanted), CropBox(x - 8, y - 8, x + 8, y + 8))
    assert (hand - GREY).abs().mean() > 0.02


def test_without_a_trunk_nothing_but_the_head_is_moved(pairs):
    source, target = pairs[1]
    sitter, wanted = sitter_of(source), wanted_of(target)
    drawn = draw(target, wanted)
    for lost in (slice(None), slice(1, 14)):
        joints = sitter.joints.clone()
        joints[lost] = torch.nan
        lacking = replace(sitter, joints=joints)
        below = int(wanted.frame.outwards(wanted.joints)[1, 1]) + 40 if lost.start else 0
        assert (warp_preview(lacking, wanted)[:, below:] == GREY).all()
        assert (finer_detail(lacking, wanted, *drawn)[:, below:] == 0).all()
    trunkless = replace(wanted, joints=joints)
    assert (warp_preview(sitter, trunkless) == GREY).all()


def test_people_partly_outside_have_detail_inside(pairs):
    source, target = pairs[1]
    wanted, box = wanted_of(target), wanted_of(target).box
    half = CropBox(box.x0, box.y0, (box.x0 + box.x1) // 2, box.y1 - 37)
    drawn = draw(target, wanted)
    whole, part = (finer_detail(sitter_of(source), replace(wanted, box=some), *drawn) for some in (box, half))
    assert part.shape == (3, half.height, half.width) and part.abs().max() > 0.05
    inner = CropBox(0, 0, half.width - 8, half.height - 8)          # at its rim the window ends
    assert (inside(part, inner) - inside(whole, inner)).abs().mean() < 2e-3


def test_a_larger_source_is_averaged(pairs):
    """A source four times as large gives what the source itself gives."""
    source, target = pairs[1]
    sitter, wanted = sitter_of(source), wanted_of(target)
    large = replace(sitter, picture=sitter.picture.repeat_interleave(4, 1).repeat_interleave(4, 2),
                    mask=sitter.mask.repeat_interleave(4, 0).repeat_interleave(4, 1),
                    frame=replace(sitter.frame, x0=4 * sitter.frame.x0, y0=4 * sitter.frame.y0,
                                  pixel=4 * sitter.frame.pixel))
    difference = (warp_preview(large, wanted) - warp_preview(sitter, wanted)).abs()
    assert difference.mean() < 5e-3


def smooth(seed):
    noise = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(F.avg_pool2d(F.pad(noise, (4,) * 4), 5, 1), 5, 1)


def test_alignment_finds_the_shift():
    source = torch.cat([smooth(0), torch.ones(1, 40, 40)])
    rows, columns = torch.arange(40.0), torch.arange(40.0)
    points = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]           # [1,40,40,2]
    drawn = sampled(source[None], points + torch.tensor([1.6, -0.8]))[0, :3]
    found = alignment(source, points, drawn, torch.ones(1, 40, 40))[0, 8:-8, 8:-8]
    assert (found - torch.tensor([1.6, -0.8])).abs().mean() < 0.1


def test_alignment_leaves_the_plain_and_the_unseen_alone():
    plain = torch.full((4, 20, 20), 0.6)
    points = torch.rand(2, 20, 20, 2) * 19
    assert (alignment(plain, points, plain[:3] * 0.5, torch.ones(2, 20, 20)) == 0).all()
    assert (alignment(torch.rand(4, 20, 20), points, plain[:3], torch.zeros(2, 20, 20)) == 0).all()


def test_poses_of_wanted_people(pairs):
    view = pairs[0][1]
    pose = wanted_of(view).pose
    assert (pose.width, pose.height) == (64, 128) and isinstance(pose, Pose)
    expected = (view.pose.keypoints - torch.tensor([wanted_of(view).frame.x0, wanted_of(view).frame.y0]))
    seen = pose.present
    torch.testing.assert_close(pose.keypoints[seen], expected[seen] / wanted_of(view).frame.pixel)
