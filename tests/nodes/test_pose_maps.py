"""Maps and masks of poses, and poses compared."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.people import grabcut_people, mask_from_pose
from anyone.core.pose import (
    Pose,
    PoseFrame,
    disc_maps,
    gaussian_maps,
    pixel_joints,
    polygon_mask,
    pose_mask,
    write_poses,
)
from anyone.nodes import AnyoneComparePoses, AnyonePoseMaps, AnyonePoseMask, AnyoneSyntheticPeople
from anyone.nodes.pose import METHODS

NOBODY = {"canvas_width": 120, "canvas_height": 80, "people": []}


def test_deformable_gan_s_maps_are_the_library_s(run, pose, two):
    joints = pixel_joints(two[0].people[1], 80, 120)
    for options, expected in (({}, gaussian_maps(joints, 80, 120)),
                              ({"sigma": 3.0, "stepped": False},
                               gaussian_maps(joints, 80, 120, sigma=3.0, stepped=False))):
        maps = run(AnyonePoseMaps, pose=pose, index=1, **options).args[0]
        assert torch.equal(maps, expected) and maps.amax() > 0.99


def test_pg2_s_maps_are_the_library_s(run, pose, two):
    maps = run(AnyonePoseMaps, pose=pose, convention="pg2", width=60, height=100, radius=3).args[0]
    assert torch.equal(maps, disc_maps(pixel_joints(two[0].people[0], 100, 60), 100, 60, radius=3))
    assert maps.flatten(1).sum(1).amax() == 29, "pixels of a disc of radius 3"


def test_maps_come_frame_by_frame_and_a_missing_person_is_black(run, pose):
    maps, preview = run(AnyonePoseMaps, pose=[*pose, NOBODY, *pose], convention="pg2").args
    assert maps.shape == (54, 80, 120) and preview.shape == (3, 80, 120, 3)
    assert torch.equal(maps[:18], maps[36:]) and maps[:18].flatten(1).any(1).all()
    assert not maps[18:36].any() and not preview[1].any()
    assert not run(AnyonePoseMaps, pose=pose, index=2).args[0].any()


def test_the_preview_shows_joints_in_openpose_s_colours(run, pose, two):
    preview = run(AnyonePoseMaps, pose=pose, convention="pg2", radius=1).args[1][0]
    for joint, colour in ((4, (170, 255, 0)), (10, (0, 170, 255))):               # right wrist, right ankle
        x, y = pixel_joints(two[0].people[0], 80, 120)[joint].int().tolist()
        assert (preview[y, x] * 255).round().tolist() == list(colour)
    assert (preview.amax(-1) == 0).float().mean() > 0.9


def test_maps_take_the_first_canvas(run, pose):
    small = {"canvas_width": 60, "canvas_height": 40, "people": [
        {"pose_keypoints_2d": [number / 2 if i % 3 < 2 else number for i, number in enumerate(
            pose[0]["people"][0]["pose_keypoints_2d"])]}]}
    maps = run(AnyonePoseMaps, pose=[*pose, small]).args[0]
    assert torch.equal(maps[:18], maps[18:])


DRAWN = {"body": mask_from_pose,
         "pg2": lambda pose, h, w: pose_mask(pixel_joints(pose, h, w), h, w),
         "deformable-gan": lambda pose, h, w: polygon_mask(pixel_joints(pose, h, w), h, w)}


@pytest.mark.parametrize("method", DRAWN)
def test_masks_of_everybody_and_of_one(run, pose, two, method):
    first, second = (DRAWN[method](person, 80, 120) for person in two[0].people)
    everybody = run(AnyonePoseMask, pose=pose, method=method).args[0]
    assert torch.equal(everybody[0] > 0, first | second) and set(everybody.unique().tolist()) == {0, 1}
    assert torch.equal(run(AnyonePoseMask, pose=pose, method=method, index=1).args[0][0] > 0, second)
    assert not run(AnyonePoseMask, pose=pose, method=method, index=2).args[0].any()


@pytest.mark.parametrize("method", METHODS)
def test_masks_have_the_size_of_the_picture_unless_told(run, pose, image, method):
    assert run(AnyonePoseMask, pose=pose, image=image[:, :40], method=method).args[0].shape == (1, 40, 120)
    larger = run(AnyonePoseMask, pose=pose, image=image, method=method, width=200).args[0]
    assert larger.shape == (1, 80, 200) and larger.any()


def test_grabcut_follows_the_picture(run):
    image, pose, truth, _ = run(AnyoneSyntheticPeople, count=2, width=128, height=192, seed=5).args
    mask = run(AnyonePoseMask, pose=pose, image=image, method="grabcut").args[0]
    overlap = [float((a & b).sum() / (a | b).sum()) for a, b in zip(mask > 0, truth > 0, strict=True)]
    drawn = run(AnyonePoseMask, pose=pose).args[0]
    guess = [float((a & b).sum() / (a | b).sum()) for a, b in zip(drawn > 0, truth > 0, strict=True)]
    assert min(overlap) > 0.85 and sum(overlap) > sum(guess)


def test_people_compete_for_pixels_even_when_one_is_asked_for(run, pose, two, image):
    masks = grabcut_people(image[0].movedim(-1, 0), two[0].people)
    for index in (0, 1):
        mask = run(AnyonePoseMask, pose=pose, image=image, method="grabcut", index=index).args[0]
        assert torch.equal(mask[0] > 0, masks[index]) and mask.any()


@pytest.mark.parametrize("method", METHODS)
def test_poses_and_pictures_repeat_to_the_longer(run, pose, image, method):
    one = run(AnyonePoseMask, pose=pose, image=image, method=method).args[0]
    both = run(AnyonePoseMask, pose=[*pose, NOBODY], image=image.repeat(3, 1, 1, 1), method=method).args[0]
    assert torch.equal(both, torch.cat([one, torch.zeros_like(one), one]))
    assert len(run(AnyonePoseMask, pose=[*pose, NOBODY], image=image, method=method).args[0]) == 2


def test_grabcut_asks_for_its_picture(run, pose):
    with pytest.raises(ValueError, match="image is missing; grabcut"):
        run(AnyonePoseMask, pose=pose, method="grabcut")


@pytest.mark.parametrize("image, words", [(torch.rand(0, 8, 8, 3), "empty"),
                                          (torch.rand(8, 8), "image should")])
def test_broken_pictures_are_refused(run, pose, image, words):
    with pytest.raises(ValueError, match=words):
        run(AnyonePoseMask, pose=pose, image=image)


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_one_pixel(run, pose, method):
    mask = run(AnyonePoseMask, pose=pose, image=torch.zeros(1, 1, 1, 3), method=method).args[0]
    assert mask.shape == (1, 1, 1)
    maps, preview = run(AnyonePoseMaps, pose=pose, width=1, height=1).args
    assert maps.shape == (18, 1, 1) and preview.shape == (1, 1, 1, 3)


def shifted(pose: Pose, pixels: float, joints: slice) -> Pose:
    keypoints = pose.keypoints.clone()
    keypoints[joints, 0] += pixels
    return replace(pose, keypoints=keypoints)


def test_people_are_compared_in_any_order(run, pose, two):
    left, right = two[0].people
    judged = PoseFrame(120, 80, (right, shifted(left, 7, slice(0, 9))))
    oks, pck, note = run(AnyoneComparePoses, pose=write_poses([judged]), reference=pose, radius=5,
                         unit="pixels").args
    assert pck == pytest.approx((0.5 + 1) / 2)
    assert 0.5 < oks < 1
    assert note.splitlines() == [
        f"OKS {oks:.3f}, PCK 0.750; 2 of 2 found.",
        f"Frame 1, index 0: index 1 in pose, OKS {2 * oks - 1:.3f}, PCK 0.500.",
        "Frame 1, index 1: index 0 in pose, OKS 1.000, PCK 1.000."]


def test_the_radius_counts_in_units(run, pose, two):
    judged = write_poses([PoseFrame(120, 80, tuple(one.moved(0, 6) for one in two[0].people))])
    head = float(two[0].people[0].keypoints[1, 1] - two[0].people[0].keypoints[0, 1])    # 10.4 pixels
    for radius, expected in ((5.9 / head, 0), (6.1 / head, 1)):
        assert run(AnyoneComparePoses, pose=judged, reference=pose, radius=radius,
                   unit="head").args[1] == expected


def test_who_is_missing_counts_zero_and_who_is_too_many_does_not(run, pose, two):
    left, right = two[0].people
    one = write_poses([PoseFrame(120, 80, (right,))])
    oks, pck, note = run(AnyoneComparePoses, pose=one, reference=pose).args
    assert (oks, pck) == (0.5, 0.5) and "Frame 1, index 0: not found." in note
    oks, pck, note = run(AnyoneComparePoses, pose=pose, reference=one).args
    assert (oks, pck) == (1, 1) and "Frame 1: 1 more in pose." in note


def test_canvases_and_lengths_may_differ(run, pose, two):
    twice = write_poses([two[0].scaled(240, 160)])
    oks, pck, note = run(AnyoneComparePoses, pose=[*twice, *pose, *twice], reference=pose).args
    assert oks == pytest.approx(1) and pck == 1 and note.count("Frame") == 6


def test_nobody_is_a_result(run, pose):
    assert run(AnyoneComparePoses, pose=NOBODY, reference=NOBODY).args == (
        1.0, 1.0, "Nobody in reference nor in pose.")
    oks, pck, note = run(AnyoneComparePoses, pose=pose, reference=NOBODY).args
    assert (oks, pck) == (0, 0) and note == "Nobody in reference.\nFrame 1: 2 more in pose."
    oks, pck, note = run(AnyoneComparePoses, pose=NOBODY, reference=pose).args
    assert (oks, pck) == (0, 0) and note.count("not found") == 2


def test_nothing_to_measure_by_is_said(run, two):
    legs = [replace(one, scores=(torch.arange(18) >= 14).float()) for one in two[0].people[:1]]
    value = write_poses([PoseFrame(120, 80, tuple(legs))])
    oks, pck, note = run(AnyoneComparePoses, pose=value, reference=value).args
    assert (oks, pck) == (1, 0) and "choose another unit" in note


@pytest.mark.parametrize("node, inputs", [
    (AnyonePoseMaps, {"convention": "hourglass"}), (AnyonePoseMask, {"method": "magic"}),
    (AnyoneComparePoses, {"unit": "cm", "reference": NOBODY})])
def test_unknown_options_are_refused(run, pose, node, inputs):
    with pytest.raises(ValueError, match=f"{next(iter(inputs))} should be one of"):
        run(node, pose=pose, **inputs)
