from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.pose import (
    JOINTS,
    LIMBS,
    Pose,
    anchor_point,
    retarget_movement,
    retarget_pose,
    transform_pose,
)
from anyone.core.pose.retarget import bone_lengths, bone_ratios

LEGS = [LIMBS.index(limb) for limb in ((8, 9), (9, 10), (11, 12), (12, 13))]


@pytest.fixture
def dancer(person) -> Pose:
    """Another attitude: every joint moved by up to 15 pixels."""
    noise = 30 * torch.rand(18, 2, generator=torch.Generator().manual_seed(1)) - 15
    return replace(person, keypoints=person.keypoints + noise)


@pytest.fixture
def giant(person) -> Pose:
    """Twice as large, with legs half as long again, further right."""
    keypoints = person.keypoints.clone()
    for side in ("right", "left"):
        hip, knee, ankle = (JOINTS.index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        for joint in (knee, ankle):
            keypoints[joint] += (person.keypoints[joint] - person.keypoints[hip]) / 2
    return transform_pose(replace(person, keypoints=keypoints), torch.zeros(2), scale=2, dx=50)


def directions(pose: Pose) -> torch.Tensor:
    start, end = torch.tensor(LIMBS).T
    bones = pose.keypoints[end] - pose.keypoints[start]
    return bones / bones.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("root", ["neck", "mid_hip", "feet", "box"])
def test_lengths_of_one_directions_of_the_other(dancer, giant, root):
    fitted = retarget_pose(dancer, giant, root=root, limit=9)
    torch.testing.assert_close(bone_lengths(fitted), bone_lengths(giant), atol=1e-4, rtol=0)
    torch.testing.assert_close(directions(fitted), directions(dancer), atol=1e-4, rtol=0)
    torch.testing.assert_close(anchor_point(fitted, root), anchor_point(dancer, root), atol=1e-4, rtol=0)
    assert (fitted.width, fitted.height) == (200, 256)


def test_own_proportions_change_nothing(dancer):
    same = retarget_pose(dancer, dancer, root="feet")
    torch.testing.assert_close(same.keypoints, dancer.keypoints, atol=1e-4, rtol=0)


def test_the_reference_is_fitted_to_the_canvas(dancer, giant):
    larger = retarget_pose(dancer, giant.scaled(400, 512))
    torch.testing.assert_close(larger.keypoints, retarget_pose(dancer, giant).keypoints, atol=1e-3, rtol=0)


def test_the_template_is_fitted_to_the_canvas(dancer, person, giant):
    larger = retarget_pose(dancer, giant, template=person.scaled(400, 512))
    expected = retarget_pose(dancer, giant, template=person)
    torch.testing.assert_close(larger.keypoints, expected.keypoints, atol=1e-3, rtol=0)


def test_a_template_keeps_foreshortening(person, giant):
    """An arm that points at the camera is short; measured against the upright template it stays short."""
    keypoints = person.keypoints.clone()
    keypoints[4] = keypoints[3] + torch.tensor([0.0, 5.0])
    pointing = replace(person, keypoints=keypoints)
    fitted = retarget_pose(pointing, giant, template=person, limit=9)
    forearm = LIMBS.index((3, 4))
    assert float(bone_lengths(fitted)[forearm]) == pytest.approx(10, abs=1e-3)
    assert float(bone_lengths(retarget_pose(pointing, giant, limit=9))[forearm]) == pytest.approx(
        float(bone_lengths(giant)[forearm]), abs=1e-3)


def test_keeping_the_size_changes_proportions_only(person, giant):
    ratios = bone_ratios(person, giant, keep_size=True)
    legs = ratios[LEGS]
    rest = ratios[[i for i in range(17) if i not in LEGS]]
    assert float(legs.min()) > 1.1
    assert float(rest.max()) < 0.9
    assert float(rest.max() - rest.min()) < 1e-5
    fitted = bone_lengths(retarget_pose(person, giant, keep_size=True))
    assert float(fitted.sum()) == pytest.approx(float(bone_lengths(person).sum()), rel=1e-4)


def test_missing_bones_use_the_other_side_then_the_size(person, giant, without):
    expected = bone_ratios(person, giant)
    one_sided = bone_ratios(person, without(giant, "left_wrist", "left_ankle"))
    torch.testing.assert_close(one_sided, expected, atol=1e-2, rtol=0)
    headless = bone_ratios(person, without(transform_pose(person, torch.zeros(2), scale=1.5), "nose"))
    torch.testing.assert_close(headless, torch.full((17,), 1.5))
    assert bone_ratios(person, Pose.empty(9, 9)).tolist() == [1] * 17


def test_missing_joints_stay_missing_and_are_bridged(dancer, giant, without):
    pose = without(dancer, "right_elbow", "neck")
    fitted = retarget_pose(pose, giant, root="feet")
    assert torch.equal(fitted.present, pose.present)
    wrist, shoulder = 4, 2
    before, after = (p.keypoints[wrist] - p.keypoints[shoulder] for p in (pose, fitted))
    torch.testing.assert_close(after / after.norm(), before / before.norm())
    empty = Pose.empty(200, 256)
    assert retarget_pose(empty, giant) is empty


def test_no_bone_leaves_the_limit(person):
    keypoints = person.keypoints.clone()
    keypoints[4] = keypoints[3] + torch.tensor([0.0, 0.5])
    stump = replace(person, keypoints=keypoints)
    forearm = LIMBS.index((3, 4))
    size = float(bone_lengths(stump).sum() / bone_lengths(person).sum())
    assert float(bone_ratios(person, stump)[forearm]) == pytest.approx(size / 2, rel=1e-4)
    assert float(bone_ratios(stump, person)[forearm]) == pytest.approx(2 / size, rel=1e-4)
    assert float(bone_ratios(person, stump, limit=1)[forearm]) == pytest.approx(size, rel=1e-4)


def moved_on(pose: Pose, steps: int) -> list[Pose]:
    """The pose walking right and up, ten and two pixels a step."""
    return [transform_pose(pose, torch.zeros(2), dx=10 * i, dy=-2 * i) for i in range(steps)]


def test_a_movement_starts_where_the_reference_stands_and_steps_in_its_size(person):
    large = transform_pose(replace(person, width=400, height=500), torch.zeros(2), scale=2, dx=30, dy=7)
    movement = retarget_movement(moved_on(person, 3), large)
    for step, pose in enumerate(movement):
        expected = large.keypoints + torch.tensor([20.0, -4.0]) * step
        torch.testing.assert_close(pose.keypoints, expected, atol=1e-3, rtol=0)
        assert (pose.width, pose.height) == (400, 500)


@pytest.mark.parametrize("who", ["reference", "movement"])
def test_without_ankles_necks_meet(person, giant, without, who):
    movement = moved_on(person, 2)
    if who == "movement":
        movement = [without(pose, "right_ankle", "left_ankle") for pose in movement]
    else:
        giant = without(giant, "right_ankle", "left_ankle")
    first, _ = retarget_movement(movement, giant)
    torch.testing.assert_close(first.keypoints[1], giant.keypoints[1], atol=1e-3, rtol=0)


def test_a_movement_is_measured_by_its_middle_and_the_size_by_most_bones(person):
    """In the first of three poses an arm points at the camera; in the reference, the other."""
    pointing, other = (person.keypoints.clone() for _ in range(2))
    pointing[4] = pointing[3] + (pointing[4] - pointing[3]) / 9
    other[7] = other[6] + (other[7] - other[6]) / 9
    movement = [replace(person, keypoints=pointing), person, person]
    reference = transform_pose(replace(person, keypoints=other), torch.zeros(2), scale=3)
    first, second, _ = retarget_movement(movement, reference, limit=1.1)
    forearms = [LIMBS.index(limb) for limb in ((3, 4), (6, 7))]
    old, new = bone_lengths(person), bone_lengths(second)
    assert torch.allclose(new[forearms], old[forearms] * torch.tensor([3, 3 / 1.1]), rtol=1e-4)
    others = [limb for limb in range(17) if limb not in forearms]
    assert torch.allclose(new[others], 3 * old[others], rtol=1e-4)
    assert float(bone_lengths(first)[forearms[0]]) == pytest.approx(3 * float(old[forearms[0]]) / 9, rel=1e-3)


def test_proportions_change_within_the_limit(person, giant):
    """The giant is twice as large with legs three times as long; most bones say twice."""
    (pose,) = retarget_movement([person], giant, limit=1.2)
    ratios = bone_lengths(pose) / bone_lengths(person)
    assert torch.allclose(ratios[LEGS], torch.tensor(2.4), rtol=1e-4)
    assert float(ratios[LIMBS.index((2, 3))]) == pytest.approx(2, rel=1e-4)


def test_nothing_to_measure_changes_no_size(person, without):
    head = without(person, *JOINTS[1:])
    (pose,) = retarget_movement([head], person)
    assert torch.equal(pose.present, head.present)
    torch.testing.assert_close(pose.keypoints[0], anchor_point(person, "neck"), atol=1e-3, rtol=0)
