from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.pose import JOINTS, Pose, PoseFrame, follow_people, track_people


def crossing(person: Pose, length: int = 21) -> tuple[list[Pose], list[Pose]]:
    """Two people of different build who walk through each other, 12 pixels per frame each."""
    other = replace(person, keypoints=person.keypoints * torch.tensor([1.0, 0.9]) + torch.tensor([0.0, 14.0]))
    steps = [12.0 * (i - length // 2) for i in range(length)]
    return [person.moved(x, 0) for x in steps], [other.moved(-x, 0) for x in steps]


def frames_of(*tracks: list[Pose | None]) -> list[PoseFrame]:
    return [PoseFrame(200, 256, tuple(pose for pose in people if pose))
            for people in zip(*tracks, strict=True)]


def is_track(frames: list[PoseFrame], number: int, track: list[Pose | None]) -> bool:
    return all(frame.people[number].present.any() == (pose is not None)
               and (pose is None or torch.equal(frame.people[number].keypoints, pose.keypoints))
               for frame, pose in zip(frames, track, strict=True))


def test_two_people_keep_their_numbers_through_a_crossing(person):
    a, b = crossing(person)
    frames = [replace(frame, people=frame.people if i % 3 else frame.people[::-1])
              for i, frame in enumerate(frames_of(a, b))]
    tracked = track_people(frames)
    assert [len(frame.people) for frame in tracked] == [2] * 21
    assert is_track(tracked, 0, a)                                                # the larger one comes first
    assert is_track(tracked, 1, b)


def test_numbers_count_up_in_order_of_appearance(person):
    late = [None, None] + [person.moved(300, 0)] * 4
    early = [replace(person, keypoints=person.keypoints / 2)] * 6
    tracked = track_people(frames_of(late, early))
    assert is_track(tracked, 0, early)
    assert is_track(tracked, 1, late)
    assert tracked[0].people[1].width == 200


@pytest.mark.parametrize(("missing", "same"), [(4, True), (5, False)])
def test_who_is_away_too_long_comes_back_as_somebody_new(person, missing, same):
    track = [person] * 3 + [None] * missing + [person] * 3
    tracked = track_people(frames_of(track), max_age=4)
    assert len(tracked[0].people) == (1 if same else 2)
    if same:
        assert is_track(tracked, 0, track)
    else:
        assert is_track(tracked, 1, [None] * 8 + [person] * 3)


def test_ghosts_are_left_out(person):
    ghost = [person.moved(400, 0) if i in (3, 4) else None for i in range(8)]
    assert len(track_people(frames_of([person] * 8, ghost))[0].people) == 1
    assert len(track_people(frames_of([person] * 8, ghost), minimum_hits=2)[0].people) == 2
    assert len(track_people(frames_of([person]))[0].people) == 1                  # one picture is no video


def test_a_faint_pose_continues_a_person_but_starts_none(person):
    faint, dim = (replace(person, scores=person.scores * score) for score in (0.2, 0.05))
    track = [person, faint, faint, person]
    assert is_track(track_people(frames_of(track)), 0, track)
    assert track_people(frames_of([faint] * 4))[0].people == ()
    assert len(track_people(frames_of([faint] * 4), start_score=0.15)[0].people) == 1
    assert is_track(track_people(frames_of([person, dim, person, person])), 0, [person, None, person, person])


def test_a_runner_is_expected_where_the_run_leads(person):
    """In the end 110 pixels per frame: the boxes of one frame and the next hardly meet."""
    steps = torch.tensor([0, 20, 40, 60, 80, 100, 110, 110, 110]).cumsum(0).tolist()
    track = [person.moved(x, 0) for x in steps]
    assert is_track(track_people(frames_of(track)), 0, track)


def test_people_of_two_joints_are_tracked_by_their_boxes(person):
    arm = Pose(person.keypoints, (torch.arange(18) == 3) | (torch.arange(18) == 4), 200, 256)
    track = [arm.moved(3.0 * i, 0) for i in range(4)]
    assert is_track(track_people(frames_of(track)), 0, track)


def test_nobody(person):
    assert track_people([]) == []
    empty = [PoseFrame(9, 8, (Pose.empty(9, 8),))] * 3
    assert [frame.people for frame in track_people(empty)] == [(), (), ()]
    with_note = track_people([PoseFrame(9, 8, note="why")])
    assert with_note[0].note == "why"


def test_canvases_may_differ(person):
    track = [person, person.scaled(400, 512).moved(2, 0), person]
    tracked = track_people([PoseFrame(pose.width, pose.height, (pose,)) for pose in track])
    assert is_track(tracked, 0, track)
    assert [frame.people[0].width for frame in tracked] == [200, 400, 200]


def test_key_frames_far_apart_are_followed_to_the_nearest(person):
    """400 pixels a step: nothing overlaps, and each comes nearer to where the other was."""
    a, b = (person, person.moved(400, 0)), (person.moved(390, 0), person.moved(790, 0))
    followed = follow_people([PoseFrame(200, 256, a), PoseFrame(200, 256, b[::-1])])
    assert is_track(followed, 0, [a[0], b[0]])
    assert is_track(followed, 1, [a[1], b[1]])


def test_followed_people_keep_their_number_while_away(person):
    left, right = person, person.moved(500, 0)
    newcomer, back = person.moved(200, 0), person.moved(520, 0)
    nobody = Pose.empty(200, 256)
    frames = [PoseFrame(200, 256, people)
              for people in ((left, right), (nobody, left), (back, newcomer, left))]
    followed = follow_people(frames)
    assert [len(frame.people) for frame in followed] == [2, 2, 3]
    assert is_track(followed, 0, [left] * 3)
    assert is_track(followed, 1, [right, None, back])
    assert is_track(followed[2:], 2, [newcomer])
    assert follow_people([]) == []


def test_following_knows_people_without_common_joints(person, without):
    legs = without(person, *JOINTS[:8], *JOINTS[14:])
    bust = without(person, *JOINTS[8:14])
    followed = follow_people([PoseFrame(200, 256, (legs, bust.moved(500, 0))),
                              PoseFrame(400, 512, tuple(one.scaled(400, 512) for one in (
                                  legs.moved(500, 0), bust)))])
    assert is_track(followed, 0, [legs, bust.scaled(400, 512)])
