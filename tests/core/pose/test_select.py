from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.pose import (
    ORDERS,
    Pose,
    PoseFrame,
    filter_joints,
    filter_people,
    merge_frames,
    oks,
    select_person,
    sort_people,
)


@pytest.fixture
def frame(person) -> PoseFrame:
    """Right and sure, nobody, left and large, middle and small."""
    large = replace(person, keypoints=person.keypoints * 2 - 300, scores=person.scores * 0.5)
    small = replace(person, keypoints=person.keypoints / 2, scores=person.scores * 0.75)
    return PoseFrame(200, 256, (person, Pose.empty(200, 256), large, small))


def numbers(frame: PoseFrame, people: PoseFrame) -> list[int]:
    return [frame.people.index(pose) for pose in people.people]


@pytest.mark.parametrize(("order", "expected"), [
    ("left_to_right", [2, 3, 0, 1]), ("size", [2, 0, 3, 1]), ("confidence", [0, 3, 2, 1]),
    ("index", [0, 1, 2, 3])])
def test_orders(frame, order, expected):
    assert order in ORDERS
    assert numbers(frame, sort_people(frame, order)) == expected
    assert select_person(frame, 1, order) is frame.people[expected[1]]
    assert select_person(frame, -1, order) is frame.people[expected[3]]
    assert select_person(frame, 4, order) is select_person(frame, -5, order) is None


def test_equals_keep_their_order(person):
    twins = (person, replace(person), replace(person))
    for order in ORDERS:
        assert sort_people(PoseFrame(200, 256, twins), order).people == twins


def test_an_unknown_order_is_refused(frame):
    with pytest.raises(ValueError, match="left_to_right, size, confidence, index; got 'age'"):
        sort_people(frame, "age")


def test_filters(frame, person):
    assert numbers(frame, filter_people(frame)) == [0, 2, 3]
    assert numbers(frame, filter_people(frame, minimum_score=0.6)) == [0, 3]
    assert numbers(frame, filter_people(frame, minimum_size=221)) == [0, 2]       # the person's box: 76 x 208
    assert numbers(frame, filter_people(frame, minimum_size=222)) == [2]
    faint = replace(person, scores=torch.linspace(0.1, 0.95, 18))
    kept = filter_joints(faint, 0.5)
    assert kept.present.tolist() == [score >= 0.5 for score in faint.scores.tolist()]
    assert torch.equal(kept.scores[kept.present], faint.scores[kept.present])
    assert not filter_people(PoseFrame(200, 256, (kept,)), minimum_joints=10).people
    assert filter_people(PoseFrame(200, 256, (kept,)), minimum_joints=9).people == (kept,)


def test_merging_keeps_each_person_once_and_the_better_pose(person, without):
    other = person.moved(60, 0)
    faint = without(replace(person.moved(1, 1), scores=person.scores * 0.4), "nose", "neck")
    twice_as_large = PoseFrame(400, 512, (person.scaled(400, 512), other.scaled(400, 512)))
    merged = merge_frames([PoseFrame(200, 256, (faint,)), twice_as_large])
    assert (merged.width, merged.height, len(merged.people)) == (200, 256, 2)
    assert torch.equal(merged.people[0].keypoints, person.keypoints)
    assert torch.equal(merged.people[1].keypoints, other.keypoints)


def test_half_a_person_is_found_in_the_whole_one(person, without):
    """Measured by the small box of the upper half the two are less alike than by the whole person's."""
    whole = PoseFrame(200, 256, (person.moved(3, 3),))
    legs = [f"{side}_{name}" for side in ("right", "left") for name in ("hip", "knee", "ankle")]
    half = PoseFrame(200, 256, (without(person, *legs),))
    a, b = half.people[0], whole.people[0]
    similarity = (float(oks([a], [b])) + float(oks([b], [a]))) / 2
    for frames in ([half, whole], [whole, half]):
        (merged,) = merge_frames(frames, similarity=similarity).people
        assert torch.equal(merged.keypoints, b.keypoints)


def test_merging_leaves_different_and_unknown_people_alone(person):
    wrist = Pose(person.keypoints, torch.arange(18) == 4, 200, 256)               # too few joints to compare
    frames = [PoseFrame(200, 256, (person, wrist)), PoseFrame(200, 256, (person.moved(40, 0), wrist))]
    assert len(merge_frames(frames).people) == 4
    assert merge_frames([PoseFrame(9, 8)]).people == ()
