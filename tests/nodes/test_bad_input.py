"""What people connect without meaning harm: odd shapes, types, sizes and values."""
from __future__ import annotations

import pytest
import torch
from anyone.nodes import (
    AnyoneCropPerson,
    AnyoneDetectPeople,
    AnyoneDrawPose,
    AnyoneInpaintPerson,
    AnyonePastePerson,
    AnyoneSyntheticPeople,
)

NOBODY = {"canvas_width": 8, "canvas_height": 8, "people": []}


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("make", [
    lambda image: image.half(), lambda image: image.double(), lambda image: image[0],
    lambda image: torch.cat([image, image[..., :1]], -1), lambda image: image[..., :1]],
    ids=["fp16", "fp64", "no batch", "RGBA", "grey"])
def test_every_kind_of_picture_is_painted(run, pose, inpainter, make):
    given = make(noise(1, 160, 240, 3))
    picture, mask, *_ = run(AnyoneInpaintPerson, image=given, inpainter=inpainter, pose=pose).args
    assert picture.shape == (1, 160, 240, 3) and mask.any()
    kept = given[..., :3].float().reshape(1, 160, 240, -1).expand(-1, -1, -1, 3)
    assert torch.equal(picture[mask == 0], kept[mask == 0])


@pytest.mark.parametrize("mask", [
    torch.zeros(1, 64, 64), torch.ones(160, 240), torch.ones(1, 1, 160, 240).half(), torch.ones(3, 16, 24),
    torch.full((1, 160, 240), torch.nan)],
    ids=["placeholder", "[H,W]", "[B,1,H,W] fp16", "batch of 3", "NaN"])
def test_every_kind_of_mask_is_taken(run, pose, inpainter, mask):
    image = noise(1, 160, 240, 3)
    output = run(AnyoneInpaintPerson, image=image, inpainter=inpainter, mask=mask, pose=pose)
    picture, painted, *_ = output.args
    assert len(picture) == max(1, mask.shape[0] if mask.ndim == 3 else 1)
    assert painted.any() != mask.isnan().any(), "NaN is no mask"


@pytest.mark.parametrize("size", [(17, 9), (9, 17), (1, 1), (3000, 4000)])
def test_every_size_of_picture_comes_back_in_its_size(run, inpainter, pose, size):
    image = noise(1, *size, 3)
    picture, mask, *_ = run(AnyoneInpaintPerson, image=image, inpainter=inpainter, pose=pose).args
    assert picture.shape == image.shape and mask.shape == image.shape[:3]
    assert bool(mask.any()) == (size == (3000, 4000)), "small people are left alone"


@pytest.mark.parametrize("size", [(17, 9), (1, 1), (300, 40)])
def test_crops_of_odd_pictures_paste_back(run, pose, size):
    image = noise(1, *size, 3)
    cropped, _, _, crop, _ = run(AnyoneCropPerson, image=image, pose=pose).args
    assert run(AnyonePastePerson, image=image, result=cropped, crop=crop).args[0].shape == image.shape


BROKEN = [(noise(1, 8, 8, 3) * torch.nan, "NaN"), (noise(0, 8, 8, 3), "empty"), (noise(1, 8, 8, 2), "image"),
          (noise(8, 8), "image"), ("a text", "image")]


@pytest.mark.parametrize("image, words", BROKEN)
def test_broken_pictures_are_refused_by_name(run, inpainter, pose, image, words):
    for node, inputs in ((AnyoneInpaintPerson, {"inpainter": inpainter, "pose": pose}),
                         (AnyoneCropPerson, {}), (AnyoneDetectPeople, {})):
        with pytest.raises(ValueError, match=words):
            run(node, image=image, **inputs)


@pytest.mark.parametrize("pose, words", [
    (5, "list of frames"), ([5], "dictionary"), ([], "empty list"), ([{"people": []}], "canvas_width"),
    ([{**NOBODY, "people": [{"pose_keypoints_2d": [1, 2]}]}], "54")])
def test_broken_poses_are_refused_in_a_sentence(run, inpainter, pose, words):
    for node, inputs in ((AnyoneInpaintPerson, {"image": noise(1, 8, 8, 3), "inpainter": inpainter}),
                         (AnyoneDrawPose, {})):
        with pytest.raises(ValueError, match=words):
            run(node, pose=pose, **inputs)


def test_broken_masks_are_refused_by_name(run, inpainter, pose):
    with pytest.raises(ValueError, match="mask"):
        run(AnyoneInpaintPerson, image=noise(1, 8, 8, 3), inpainter=inpainter, pose=pose,
            mask=noise(1, 2, 3, 4, 5))


@pytest.mark.parametrize("inputs", [{"pose": "swim"}, {"mode": "film"}])
def test_unknown_options_are_refused_although_old_hosts_let_them_through(run, inputs):
    with pytest.raises(ValueError, match="should be one of"):
        run(AnyoneSyntheticPeople, width=32, height=32, **inputs)


def test_synthetic_people_are_as_declared_and_repeatable(run):
    image, pose, mask, regions = run(AnyoneSyntheticPeople, count=5, width=48, height=64, seed=2**64 - 1).args
    again = run(AnyoneSyntheticPeople, count=5, width=48, height=64, seed=2**64 - 1).args[0]
    assert torch.equal(image, again) and image.shape == (5, 64, 48, 3)
    assert torch.equal(mask > 0, regions.labels > 0) and all(mask.flatten(1).any(1))
    assert all(frame["people"] for frame in pose)
