"""Crop, paste and detect nodes, and who counts as being in the picture."""
from __future__ import annotations

import pytest
import torch
from anyone.core.people import read_segs
from anyone.core.pose import PoseFrame, read_poses
from anyone.core.synthetic import render_people
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
    pose, mask, regions, note, *_ = output.args
    assert [len(frame["people"]) for frame in pose] == [2, 2]
    assert torch.equal(mask[1] > 0, two[1].any(0)) and regions.labels.shape == (2, 80, 120)
    assert note == "4 people found." and output.ui["text"] == [note]


def test_an_empty_picture_is_reported_as_such(run, image, seen):
    seen(PoseFrame(120, 80), torch.zeros(0, 80, 120, dtype=torch.bool))
    pose, mask, _, note, boxes, segs = run(AnyoneDetectPeople, image=image).args
    assert pose == [{"canvas_width": 120, "canvas_height": 80, "people": []}]
    assert not mask.any() and "No person found" in note
    assert boxes == [[]] and segs == ((80, 120), [])


def test_boxes_and_segments_are_of_the_masks(run, image, two, seen):
    """Whole pixels, for consumers slice with them."""
    seen(*two)
    *_, boxes, segs = run(AnyoneDetectPeople, image=image.expand(2, -1, -1, -1)).args
    assert len(boxes) == 2 and boxes[0] == boxes[1]
    for box, mask, person in zip(boxes[0], two[1], two[0].people, strict=True):
        y, x = mask.nonzero().T
        assert (box["x"], box["width"]) == (int(x.min()), int(x.max() + 1 - x.min()))
        assert (box["y"], box["height"]) == (int(y.min()), int(y.max() + 1 - y.min()))
        assert all(type(box[side]) is int for side in ("x", "y", "width", "height"))
        assert box["score"] == pytest.approx(float(person.scores.mean()))
    assert torch.equal(read_segs(segs), two[1]), "of the first picture only"
    assert [segment.label for segment in segs[1]] == ["person", "person"]
    assert segs[1][0].bbox == (boxes[0][0]["x"], boxes[0][0]["y"], boxes[0][0]["x"] + boxes[0][0]["width"],
                               boxes[0][0]["y"] + boxes[0][0]["height"])


@pytest.fixture(scope="module")
def couple():
    """IMAGE [1,128,256,3]: two people who do not exist, side by side, and where each is [2,128,256]."""
    drawn = render_people(torch.tensor([3, 11]), 128, 128, mode="studio")
    masks = torch.zeros(2, 128, 256, dtype=torch.bool)
    masks[0, :, :128], masks[1, :, 128:] = drawn.mask[0] > 0.5, drawn.mask[1] > 0.5
    return torch.cat(list(drawn.image), 2).movedim(0, -1)[None], masks


@pytest.mark.parametrize("boxes", [
    {"x": 128, "y": 0, "width": 128, "height": 128}, [{"x": 128, "y": 0, "width": 128, "height": 128}],
    [[{"x": 128.0, "y": 0, "width": 128, "height": 128, "score": 0.7}]], (128, 0, 256, 128),
    [(128, 0, 256, 128)], [[[128.0, 0.0, 256.0, 128.0]]]],
    ids=["dict", "dicts", "dicts per picture", "tuple", "tuples", "lists per picture"])
def test_only_the_boxes_given_are_looked_at(run, couple, boxes):
    image, masks = couple
    assert len(run(AnyoneDetectPeople, image=image).args[0][0]["people"]) == 2
    pose, mask, regions, note, *_ = run(AnyoneDetectPeople, image=image, boxes=boxes).args
    (person,) = read_poses(pose)[0].people
    found = mask[0] > 0
    assert (found & masks[1]).sum() > 0.8 * (found | masks[1]).sum()
    assert torch.equal(regions.labels[0] > 0, found) and note == "1 person found."
    assert (person.keypoints[person.present][:, 0] > 120).all()


def test_every_box_is_a_person_however_many(run, couple):
    """`max_people` is for detectors that find, not for boxes that somebody gave."""
    image = couple[0][:, :, :128].repeat(1, 1, 4, 1)
    boxes = [[(128 * (i % 4), i / 10, 128 * (i % 4) + 128, 128) for i in range(12)]]
    pose, _, _, note, found, _ = run(AnyoneDetectPeople, image=image, boxes=boxes, max_people=3).args
    assert len(pose[0]["people"]) == len(found[0]) == 12 and note == "12 people found."


def test_a_hundred_people_come_out_of_every_socket(run, image, two, seen):
    crowd = PoseFrame(120, 80, two[0].people[:1] * 100)
    masks = torch.zeros(100, 80, 120, dtype=torch.bool)
    masks[torch.arange(100), :, torch.arange(100)] = True
    seen(crowd, masks)
    pose, mask, _, note, boxes, segs = run(AnyoneDetectPeople, image=image).args
    assert len(pose[0]["people"]) == len(boxes[0]) == len(segs[1]) == 100 and note == "100 people found."
    assert mask[0, :, :100].all() and not mask[0, :, 100:].any()
    assert [box["x"] for box in boxes[0]] == list(range(100)) and {box["width"] for box in boxes[0]} == {1}


@pytest.mark.parametrize("boxes", [[], [[]], [(500, 10, 600, 50)], [(30, 30, 30, 60)]],
                         ids=["none", "none per picture", "beside the picture", "without width"])
def test_no_box_no_person(run, couple, boxes):
    pose, mask, *_ = run(AnyoneDetectPeople, image=couple[0], boxes=boxes).args
    assert pose[0]["people"] == [] and not mask.any()


@pytest.mark.parametrize("boxes", ["a text", [5], [(1, 2, 3)], {"x": 1, "y": 2}, [(0, 0, float("nan"), 9)]])
def test_broken_boxes_are_refused_in_a_sentence(run, couple, boxes):
    with pytest.raises(ValueError, match="^boxes (should be|hold) "):
        run(AnyoneDetectPeople, image=couple[0], boxes=boxes)


@pytest.mark.parametrize("boxes", [None, (0, 0, 1, 1)])
def test_a_picture_of_one_pixel_shows_nobody(run, boxes):
    pose, mask, *_ = run(AnyoneDetectPeople, image=torch.zeros(1, 1, 1, 3), boxes=boxes).args
    assert pose[0]["people"] == [] and mask.shape == (1, 1, 1)
