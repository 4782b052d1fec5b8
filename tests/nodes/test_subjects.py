"""Who is to be changed, for every mix of mask, pose and detector."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pose import PoseFrame
from anyone.nodes.subjects import find_subjects, found_note


def masks_of(people) -> list[torch.Tensor]:
    return [person.mask for person in people]


def test_with_a_mask_and_a_pose_each_gets_their_part(image, pose, two):
    mask = two[1].any(0, keepdim=True).float()
    found = find_subjects(image, mask, pose, None)
    assert torch.equal(torch.stack(masks_of(found.people[0])), two[1])
    assert all(person.keypoints[:, 2].all() for person in found.people[0])


def test_a_pose_alone_makes_its_mask(image, pose):
    (people,) = find_subjects(image, None, pose, None).people
    left, right = masks_of(people)
    assert left[:, :60].any() and not left[:, 70:].any()
    assert right[:, 60:].any() and not right[:, :50].any()


def test_the_hosts_placeholder_for_no_mask_is_none(image, pose):
    with_placeholder = find_subjects(image, torch.zeros(1, 64, 64), pose, None)
    without = find_subjects(image, None, pose, None)
    assert torch.equal(masks_of(with_placeholder.people[0])[0], masks_of(without.people[0])[0])


def test_a_real_empty_mask_selects_nobody(image, pose):
    found = find_subjects(image, torch.zeros(1, 80, 120), pose, None)
    assert found.people == [[]] and found.note() == "No person found; the picture is unchanged."


def test_with_neither_the_detector_is_asked(image, two, seen):
    seen(*two)
    found = find_subjects(image, None, None, None)
    assert torch.equal(torch.stack(masks_of(found.people[0])), two[1])
    assert len(found.frames[0].people) == 2


def test_a_mask_without_a_pose_narrows_the_detector_down(image, two, seen):
    seen(*two)
    found = find_subjects(image, two[1][1:].float(), None, None)
    assert len(found.people[0]) == 1 and torch.equal(found.people[0][0].mask, two[1][1])
    assert len(found.frames[0].people) == 1


def test_a_mask_where_nobody_is_found_is_changed_without_joints(image, seen):
    seen(PoseFrame(120, 80), torch.zeros(0, 80, 120, dtype=torch.bool))
    mask = torch.zeros(1, 80, 120)
    mask[:, 20:60, 30:60] = 1
    (person,), = find_subjects(image, mask, None, None).people
    assert torch.equal(person.mask, mask[0] > 0) and not person.keypoints[:, 2].any()


def test_a_pose_on_another_canvas_is_scaled(image, pose):
    double = [{**pose[0], "canvas_width": 240, "canvas_height": 160}]
    found = find_subjects(image, None, double, None)
    nose = pose[0]["people"][0]["pose_keypoints_2d"][0]
    assert float(found.people[0][0].keypoints[0, 0]) == pytest.approx(nose / 2)


def test_unsure_joints_count_as_missing(image, pose):
    scores = pose[0]["people"][0]["anyone_scores"] = [1.0] * 18
    scores[0] = 0.1
    (people,) = find_subjects(image, None, pose, None).people
    assert people[0].keypoints[:, 2].tolist() == [0.0] + [1.0] * 16


def test_batches_repeat_to_the_longest(image, pose):
    nobody = {**pose[0], "people": []}
    found = find_subjects(image.expand(3, -1, -1, -1), None, [pose[0], nobody], None)
    assert [len(people) for people in found.people] == [2, 0, 2]
    assert len(found.pictures) == len(found.frames) == 3
    assert found.note() == "4 people found. Nobody in picture 2, which is unchanged."


def test_the_note_says_why_a_pose_is_empty(image):
    animals = {"version": "ap10k", "canvas_width": 120, "canvas_height": 80, "animals": [[[1, 2, 1]] * 17]}
    assert "AP-10K" in find_subjects(image, None, animals, None).note()


@pytest.mark.parametrize("counts, note", [
    ([1], "1 person found."), ([2, 3], "5 people found."),
    ([0, 0], "No person found; the picture is unchanged."),
    ([1, 0, 0], "1 person found. Nobody in picture 2, 3, which is unchanged.")])
def test_the_note(counts, note):
    assert found_note(counts) == note


def test_a_wrong_network_is_refused(image):
    with pytest.raises(ValueError, match="detector should come from Load Person Detector"):
        find_subjects(image, None, None, "a text")
