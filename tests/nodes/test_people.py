"""Crop, paste and detect nodes, and who counts as being in the picture."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pose import PoseFrame, read_poses
from anyone.nodes import AnyoneCropPerson, AnyoneDetectPeople, AnyonePastePerson


def test_a_crop_pasted_back_unchanged_moves_only_inside_the_mask(run, image, pose):
    cropped, mask, _, crop, note = run(AnyoneCropPerson, image=image, pose=pose, index=1).args
    assert cropped.shape == (1, 288, 160, 3) and mask.shape == (1, 288, 160) and note == "2 people found."
    pasted = run(AnyonePastePerson, image=image, result=torch.zeros(1, 64, 36, 3), crop=crop).args[0]
    changed = (pasted != image).any(-1)[0]
    assert changed[:, 60:].any() and not changed[:, :50].any(), "only the second, on the right"
    assert (pasted[0][changed] == 0).all()


def test_the_pose_of_the_crop_fits_the_crop(run, image, pose):
    _, mask, cropped_pose, *_ = run(AnyoneCropPerson, image=image, pose=pose).args
    (frame,) = read_poses(cropped_pose)
    (person,) = frame.people
    assert (frame.width, frame.height) == (160, 288) and person.present.all()
    inside = [bool(mask[0, int(y), int(x)]) for x, y in person.keypoints.tolist()]
    assert sum(inside) >= 16


def test_a_crop_of_another_size_keeps_the_person_whole(run, image, pose):
    cropped, mask, *_ = run(AnyoneCropPerson, image=image, pose=pose, width=96, height=64).args
    assert cropped.shape == (1, 64, 96, 3)
    assert not mask[0, :, 0].any() and not mask[0, :, -1].any() and mask.any()


def test_a_larger_margin_shows_more_around_the_person(run, pose):
    image = torch.zeros(1, 800, 1200, 3)
    pose = [{**pose[0], "canvas_width": 480, "canvas_height": 320}]
    inputs = {"image": image, "pose": pose}
    tight, wide = (run(AnyoneCropPerson, **inputs, margin=margin).args[1] for margin in (0.0, 1.0))
    assert wide.mean() < 0.5 * tight.mean()


@pytest.mark.parametrize("index", [0, 5])
def test_nobody_there_gives_a_crop_that_pastes_back_to_the_same_picture(run, image, index):
    empty = {"canvas_width": 120, "canvas_height": 80, "people": []}
    cropped, mask, pose, crop, note = run(AnyoneCropPerson, image=image, pose=empty, index=index).args
    assert not mask.any() and pose[0]["people"] == [] and "No person found" in note
    pasted = run(AnyonePastePerson, image=image, result=1 - cropped, crop=crop).args[0]
    assert torch.equal(pasted, image)


def test_pasting_into_a_picture_of_another_size_is_refused(run, image, pose):
    *_, crop, _ = run(AnyoneCropPerson, image=image, pose=pose).args
    with pytest.raises(ValueError, match="image is 50x40, but the crops are of 120x80"):
        run(AnyonePastePerson, image=torch.zeros(1, 40, 50, 3), result=image, crop=crop)
    with pytest.raises(ValueError, match="crop should come from Crop Person"):
        run(AnyonePastePerson, image=image, result=image, crop={"x": 1})


def test_a_feathered_seam_is_soft(run, image, pose):
    *_, crop, _ = run(AnyoneCropPerson, image=image, pose=pose).args
    inputs = {"image": image * 0, "result": image * 0 + 1, "crop": crop}
    hard, soft = (run(AnyonePastePerson, **inputs, feather=feather).args[0] for feather in (0.0, 6.0))
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert ((soft > 0.05) & (soft < 0.95)).any() and not soft[hard == 0].any()


def test_detection_reports_poses_masks_regions_and_words(run, image, two, seen):
    seen(*two)
    output = run(AnyoneDetectPeople, image=image.expand(2, -1, -1, -1))
    pose, mask, regions, note = output.args
    assert [len(frame["people"]) for frame in pose] == [2, 2]
    assert torch.equal(mask[1] > 0, two[1].any(0)) and regions.labels.shape == (2, 80, 120)
    assert note == "4 people found." and output.ui["text"] == [note]


def test_an_empty_picture_is_reported_as_such(run, image, seen):
    seen(PoseFrame(120, 80), torch.zeros(0, 80, 120, dtype=torch.bool))
    pose, mask, _, note = run(AnyoneDetectPeople, image=image).args
    assert pose == [{"canvas_width": 120, "canvas_height": 80, "people": []}]
    assert not mask.any() and "No person found" in note
