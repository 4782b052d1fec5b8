from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from anyone.core.pose import JOINTS, SIGMAS, UNITS, Pose, compare_people, match_people, oks, pck
from anyone.core.pose.assignment import assign
from anyone.core.pose.distance import unit_length
from hypothesis import given, settings
from hypothesis import strategies as st


def test_sigmas_are_coco_s():
    named = dict(zip(JOINTS, (round(float(sigma), 3) for sigma in SIGMAS), strict=True))
    sides = {"shoulder": .079, "elbow": .072, "wrist": .062, "hip": .107, "knee": .087, "ankle": .089,
             "eye": .025, "ear": .035}
    assert named == {"nose": .026, "neck": .079} | {f"{side}_{name}": sigma for name, sigma in sides.items()
                                                    for side in ("left", "right")}


def test_oks_of_the_same_pose_is_one_and_of_a_far_one_zero(person):
    assert float(oks([person], [person])) == 1
    assert float(oks([person], [person.moved(500, 0)])) < 1e-6


def test_oks_formula(person):
    """All joints 5 pixels off; the area is 0.53 of the joints' box of 76 x 208."""
    squared = 2 * 0.53 * 76 * 208 * (2 * SIGMAS) ** 2
    expected = float(torch.exp(-25 / squared).mean())
    assert float(oks([person], [person.moved(3, -4)])) == pytest.approx(expected, abs=1e-5)
    assert float(oks([person], [person.moved(3, -4)])) == pytest.approx(
        float(oks([person.scaled(400, 512)], [person.moved(3, -4).scaled(400, 512)])), abs=1e-5)


def test_oks_speaks_of_common_joints_only(person, without):
    noseless = without(person, "nose")
    assert oks([person, noseless], [person, noseless]).tolist() == [[1, 1], [1, 1]]
    two = Pose(person.keypoints, torch.arange(18) < 2, 200, 256)
    assert math.isnan(float(oks([two], [person])))
    assert float(oks([two], [person], minimum_common=2)) == 1
    assert oks([], [person]).shape == (0, 1)
    assert oks([person], []).shape == (1, 0)


def test_oks_of_people_seen_edge_on(person):
    line = Pose(person.keypoints * torch.tensor([0.0, 1.0]) + 50, person.scores, 200, 256)
    assert 0.5 < float(oks([line], [line.moved(3, 0)])) < 1


@pytest.mark.parametrize(("unit", "length"), [
    ("torso", math.hypot(34, 65)), ("head", 30), ("box", 208), ("pixels", 1)])
def test_units(person, without, unit, length):
    assert unit in UNITS
    assert unit_length(person, unit) == pytest.approx(length)
    if unit != "pixels":
        assert math.isnan(unit_length(Pose.empty(9, 9), unit))
    one_sided = without(person, "left_shoulder", "left_eye")
    assert unit_length(one_sided, unit) == pytest.approx(length)


def test_pck_counts_joints_within_reach(person, without):
    moved = person.keypoints.clone()
    moved[4] += torch.tensor([6.0, 8.0])                                          # the wrist, 10 pixels
    other = without(Pose(moved, person.scores, 200, 256), "nose")
    assert pck(person, other, threshold=10, unit="pixels") == pytest.approx(17 / 18)
    assert pck(person, other, threshold=9.9, unit="pixels") == pytest.approx(16 / 18)
    assert pck(person, other, threshold=10.1 / 30, unit="head") == pytest.approx(17 / 18)
    assert pck(other, person, threshold=9.9, unit="pixels") == pytest.approx(16 / 17)  # the nose is not asked
    assert pck(person, person, threshold=0.01) == 1
    assert math.isnan(pck(Pose.empty(9, 9), person))
    assert math.isnan(pck(without(person, "nose"), person, unit="head"))
    with pytest.raises(ValueError, match="torso, head, box, pixels; got 'feet'"):
        pck(person, person, unit="feet")


def test_people_are_matched_by_their_best_total(person):
    near, far = person.moved(4, 0), person.moved(90, 0)
    assert match_people([person, far], [far.moved(1, 0), near, person.moved(-400, 0)]) == [(0, 1), (1, 0)]
    assert match_people([person], [near], minimum=0.99) == []
    assert match_people([], [person]) == match_people([person], []) == []


def test_the_greedy_choice_is_not_always_the_best():
    assert assign(torch.tensor([[0.9, 0.8], [0.8, 0.1]])) == [(0, 1), (1, 0)]
    assert assign(torch.tensor([[0.9, 0.8], [0.8, 0.1]]), 0.85) == [(0, 0)]
    assert assign(torch.ones(2, 3)) == [(0, 0), (1, 1)]
    assert assign(torch.zeros(2, 2)) == []


def test_everybody_of_the_reference_is_compared_with_whoever_is_nearest(person, without):
    near, far = person.moved(5, 0), person.moved(900, 0)
    found = compare_people([far, person, Pose.empty(200, 256)], [near, far], threshold=4, unit="pixels")
    assert [(one.number, one.other) for one in found] == [(0, 1), (1, 0)]
    assert [one.pck for one in found] == [1, 0]                                   # 5 pixels are too many
    assert found[0].oks == 1 and found[1].oks == pytest.approx(float(oks([person], [near])))


def test_who_is_not_found_scores_zero(person):
    (missed,) = compare_people([person], [])
    assert (missed.number, missed.other, missed.oks, missed.pck) == (0, None, 0, 0)
    assert compare_people([], [person]) == []


def test_without_a_torso_there_is_no_pck_by_torsos(person, without):
    head = without(person, *JOINTS[2:14])
    (one,) = compare_people([head], [person])
    assert one.oks == 1 and math.isnan(one.pck)
    assert compare_people([head], [person], unit="head")[0].pck == 1


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6), st.sampled_from([0.0, 0.4]))
def test_assignment_is_optimal(rows, columns, seed, minimum):
    table = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    gain = torch.where(table > minimum, table, 0.0)
    wide = gain if rows <= columns else gain.T
    best = max(sum(float(wide[i, j]) for i, j in enumerate(order))
               for order in permutations(range(wide.shape[1]), len(wide)))
    pairs = assign(table, minimum)
    assert sum(float(table[i, j]) for i, j in pairs) == pytest.approx(best)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(float(table[i, j]) > minimum for i, j in pairs)
