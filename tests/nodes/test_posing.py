"""People of a pose chosen, changed, filled in between and steadied."""
from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from anyone.core.pose import Pose, PoseFrame, read_poses, write_poses
from anyone.nodes import (
    AnyoneInterpolatePoses,
    AnyoneRetargetPose,
    AnyoneSelectPerson,
    AnyoneSmoothPoses,
    AnyoneTransformPose,
)

NOBODY = {"canvas_width": 200, "canvas_height": 100, "people": []}


def someone(x: float, size: float = 1.0, score: float = 1.0, joints: int = 18) -> Pose:
    """Joints on a diagonal of 17 `size` pixels each way, from (x, 20) on."""
    steps = torch.arange(18.0) * size
    scores = torch.where(torch.arange(18) < joints, score, 0.0)
    return Pose(torch.stack([x + steps, 20 + steps], 1), scores, 200, 100)


def value(*frames) -> list[dict]:
    """POSE_KEYPOINT of frames given as tuples of poses."""
    return write_poses([PoseFrame(200, 100, people) for people in frames])


def xs(pose) -> list[list[float]]:
    """x of everybody's first joint, frame by frame."""
    return [[float(person.keypoints[0, 0]) for person in frame.people] for frame in read_poses(pose)]


CROWD = value((someone(80, 2, 0.5), someone(10, 1, 0.9), someone(150, 1.5, 0.7, joints=4)))


@pytest.mark.parametrize("inputs, expected", [
    ({}, [10]), ({"index": -1}, [150]), ({"index": 3}, []), ({"index": -4}, []),
    ({"order": "size"}, [80]), ({"order": "confidence"}, [10]), ({"order": "index"}, [80]),
    ({"keep": "all"}, [10, 80, 150]), ({"keep": "all", "order": "confidence"}, [10, 150, 80]),
    ({"keep": "all", "minimum_score": 0.6}, [10, 150]), ({"keep": "all", "minimum_joints": 5}, [10, 80]),
    ({"keep": "all", "minimum_size": 30}, [80]), ({"keep": "all", "minimum_joint_score": 0.6}, [10, 150]),
    ({"index": 1, "minimum_score": 0.6}, [150])])
def test_people_are_chosen_by_place_size_and_score(run, inputs, expected):
    assert xs(run(AnyoneSelectPerson, pose=CROWD, **inputs).args[0]) == [expected]


def test_numbers_are_not_shifted_by_people_who_are_dropped(run):
    numbered = value((Pose.empty(200, 100), someone(30)), (someone(90, score=0.2), someone(40)))
    for index, expected in ((1, [[30], [40]]), (0, [[], []])):
        pose = run(AnyoneSelectPerson, pose=numbered, order="index", index=index, minimum_score=0.5).args[0]
        assert xs(pose) == expected
    assert len(run(AnyoneSelectPerson, pose=numbered, keep="all", minimum_joints=0).args[0][0]["people"]) == 2


def test_faint_joints_are_dropped_one_by_one(run):
    person = replace(someone(10), scores=torch.linspace(0.05, 0.9, 18))
    (frame,) = read_poses(run(AnyoneSelectPerson, pose=value((person,)), minimum_joint_score=0.475).args[0])
    assert frame.people[0].present.tolist() == [i >= 9 for i in range(18)]


def test_two_poses_are_put_together_frame_by_frame(run):
    again = someone(10.25, 1, 0.95)                                               # the same, seen better
    other = value((again, someone(120)), (someone(60),))
    pose = run(AnyoneSelectPerson, pose=[*CROWD, NOBODY, *CROWD], other=other, keep="all").args[0]
    assert xs(pose) == [[10.25, 80, 120, 150], [60], [10.25, 80, 120, 150]]


def test_the_note_says_who_stays_and_where_nobody_is(run):
    frames = [*CROWD, NOBODY, NOBODY, *CROWD, NOBODY]
    assert run(AnyoneSelectPerson, pose=frames).args[1] == "2 people in 5 frames. Nobody in frame 2-3, 5."
    output = run(AnyoneSelectPerson, pose=CROWD)
    assert output.args[1] == "1 person in 1 frame." and output.ui["text"] == [output.args[1]]


def transformed(run, **inputs) -> Pose:
    """A person of joints from (40, 20) to (57, 37) after the node."""
    (frame,) = read_poses(run(AnyoneTransformPose, pose=value((someone(40),)), **inputs).args[0])
    return frame.people[0]


@pytest.mark.parametrize("inputs, first, last", [
    ({}, (40, 20), (57, 37)), ({"x": 5, "y": -3}, (45, 17), (62, 34)),
    ({"scale": 2}, (-20, -10), (14, 24)),                                         # about (100, 50)
    ({"scale": 2, "anchor": "box"}, (31.5, 11.5), (65.5, 45.5)),
    ({"rotation": 90, "anchor": "box"}, (57, 20), (40, 37)),                      # clockwise
    ({"rotation": 90, "anchor": "box", "x": 1}, (58, 20), (41, 37)),
    ({"width": 400, "height": 200}, (80, 40), (114, 74)),
    ({"width": 400}, (140, 20), (157, 37)),
    ({"width": 400, "fit": "fill"}, (80, -10), (114, 24)),
    ({"width": 400, "fit": "stretch"}, (80, 20), (114, 37))])
def test_where_joints_go(run, inputs, first, last):
    pose = transformed(run, **inputs)
    assert pose.keypoints[0].tolist() == pytest.approx(first, abs=1e-4)
    assert pose.keypoints[17].tolist() == pytest.approx(last, abs=1e-4)
    assert (pose.width, pose.height) == (inputs.get("width", 200), inputs.get("height", 100))


def test_a_mirrored_person_has_left_and_right_exchanged(run):
    points = someone(40).keypoints
    mirrored = transformed(run, mirror=True)
    assert mirrored.keypoints[0].tolist() == [160, 20]                            # the nose stays the nose
    assert mirrored.keypoints[7].tolist() == [200 - points[4, 0], points[4, 1]]  # left wrist <- right wrist
    in_place = transformed(run, mirror=True, anchor="box")
    assert in_place.box() == someone(40).box()


def test_one_person_of_many_is_transformed(run):
    pose = run(AnyoneTransformPose, pose=[*CROWD, NOBODY], x=1, index=2).args[0]
    assert xs(pose) == [[80, 10, 151], []]
    assert xs(run(AnyoneTransformPose, pose=CROWD, x=1).args[0]) == [[81, 11, 151]]


def longest(pose: Pose) -> float:
    return float((pose.keypoints[4] - pose.keypoints[3]).norm())


def test_one_reference_serves_everybody(run, two):
    tall = replace(two[0].people[0], keypoints=two[0].people[0].keypoints * torch.tensor([1.0, 1.5]))
    reference = write_poses([PoseFrame(120, 80, (tall,)), PoseFrame(120, 80)])
    (frame,) = read_poses(run(AnyoneRetargetPose, pose=write_poses(two[:1]), reference=reference).args[0])
    for before, after in zip(two[0].people, frame.people, strict=True):
        assert longest(after) == pytest.approx(longest(tall), rel=1e-4)
        assert after.keypoints[1].tolist() == pytest.approx(before.keypoints[1].tolist(), abs=1e-4)


def test_several_references_go_by_number(run, pose, two):
    small = two[0].people[0].moved(0, 0)
    large = replace(small, keypoints=small.keypoints * 1.5)
    reference = write_poses([PoseFrame(120, 80, (small, large))])
    three = write_poses([PoseFrame(120, 80, (*two[0].people, two[0].people[0]))])
    (frame,) = read_poses(run(AnyoneRetargetPose, pose=three, reference=reference).args[0])
    sizes = [longest(person) / longest(small) for person in frame.people]
    assert sizes == pytest.approx([1, 1.5, 1], rel=1e-4)


def test_a_template_keeps_short_limbs_short(run, two):
    person = two[0].people[0]
    points = person.keypoints.clone()
    points[4] = points[3] + (points[4] - points[3]) / 4                          # points at the camera
    moving = write_poses([PoseFrame(120, 80, (replace(person, keypoints=points),))])
    reference = write_poses([PoseFrame(120, 80, (replace(person, keypoints=person.keypoints * 1.5),))])
    still = write_poses([PoseFrame(120, 80, (person,))])
    for template, expected in ((still, 1.5 / 4), (None, 1.5)):
        (frame,) = read_poses(run(AnyoneRetargetPose, pose=moving, reference=reference, template=template,
                                  limit=10).args[0])
        assert longest(frame.people[0]) == pytest.approx(expected * longest(person), rel=1e-3)


def test_the_root_and_the_size_can_be_kept(run, pose, two):
    reference = write_poses([two[0].scaled(60, 40)])
    reference[0].update(canvas_width=120, canvas_height=80)                       # half as large
    feet = [max(person.keypoints[[10, 13], 1].tolist()) for person in two[0].people]
    (frame,) = read_poses(run(AnyoneRetargetPose, pose=pose, reference=reference, root="feet").args[0])
    assert [max(person.keypoints[[10, 13], 1].tolist()) for person in frame.people] == pytest.approx(feet)
    assert longest(frame.people[0]) == pytest.approx(longest(two[0].people[0]) / 2, rel=1e-3)
    (frame,) = read_poses(run(AnyoneRetargetPose, pose=pose, reference=reference, keep_size=True).args[0])
    assert longest(frame.people[0]) == pytest.approx(longest(two[0].people[0]), rel=1e-3)


@pytest.mark.parametrize("name", ["reference", "template"])
def test_a_reference_needs_somebody(run, pose, name):
    empty = value((Pose.empty(200, 100),))
    with pytest.raises(ValueError, match=f"{name} shows nobody"):
        run(AnyoneRetargetPose, pose=pose, **{"reference": pose, name: empty})


def test_frames_between_key_frames(run):
    moving, count = run(AnyoneInterpolatePoses, pose=value((someone(0),), (someone(40),)), between=3).args
    assert count == 5 and xs(moving) == [[0], [10], [20], [30], [40]]
    assert moving[0] == value((someone(0),))[0]


def test_more_key_frames_come_after_those_of_the_pose(run):
    moving, count = run(AnyoneInterpolatePoses, pose=value((someone(0),)),
                        end=value((someone(20),), (someone(60),)), between=1).args
    assert count == 5 and xs(moving) == [[0], [10], [20], [40], [60]]
    assert run(AnyoneInterpolatePoses, pose=moving, between=0).args[1] == 5


def test_a_loop_returns_without_showing_the_start_twice(run):
    keys = value((someone(0),), (someone(20),))
    moving, count = run(AnyoneInterpolatePoses, pose=keys, between=1, loop=True).args
    assert count == 4 and xs(moving) == [[0], [10], [20], [10]]


def test_easing(run):
    keys = value((someone(0),), (someone(40),))
    moving = run(AnyoneInterpolatePoses, pose=keys, between=1, easing="ease_in").args[0]
    assert xs(moving) == [[0], [10], [40]]


def test_people_are_matched_or_go_by_number(run):
    keys = value((someone(0), someone(100)), (someone(110), someone(10)))
    matched = run(AnyoneInterpolatePoses, pose=keys, between=1).args[0]
    assert xs(matched) == [[0, 100], [5, 105], [10, 110]]
    numbered = run(AnyoneInterpolatePoses, pose=keys, between=1, match_people=False).args[0]
    assert xs(numbered) == [[0, 100], [55, 55], [110, 10]]


def test_who_leaves_fades(run):
    keys = value((someone(0), someone(100)), (someone(100),))
    _, middle, last = read_poses(run(AnyoneInterpolatePoses, pose=keys, between=1).args[0])
    assert float(middle.people[0].scores[0]) == 0.5 and float(middle.people[1].scores[0]) == 1
    assert not last.people[0].present.any() and float(last.people[1].keypoints[0, 0]) == 100


@pytest.mark.parametrize("loop", [False, True])
def test_a_single_key_frame_has_nowhere_to_go(run, loop):
    with pytest.raises(ValueError, match="pose holds a single frame; connect another pose to end"):
        run(AnyoneInterpolatePoses, pose=CROWD, loop=loop)


def jittered(count: int = 40) -> list[dict]:
    """Two people standing still, seen with noise and in changing order; a gap of 3 frames in one wrist."""
    noise = torch.randn(count, 2, 18, 2, generator=torch.Generator().manual_seed(3))
    frames = []
    for i in range(count):
        left, right = (replace(base, keypoints=base.keypoints + noise[i, j])
                       for j, base in enumerate((someone(20, 3), someone(130, 2))))
        if 10 <= i < 13:
            left = replace(left, scores=(torch.arange(18) != 4).float())
        frames.append((right, left) if i % 2 else (left, right))
    return value(*frames)


def test_smoothing_numbers_people_and_takes_out_jitter(run):
    smooth = read_poses(run(AnyoneSmoothPoses, pose=jittered()).args[0])
    for number, still in enumerate((someone(20, 3), someone(130, 2))):           # the larger one first
        points = torch.stack([frame.people[number].keypoints for frame in smooth])     # [T,18,2]
        error = (points - still.keypoints).square().mean().sqrt()
        assert error < 0.7, "the noise is 1"
    steady = read_poses(run(AnyoneSmoothPoses, pose=jittered(), min_cutoff=0.1, beta=0.0).args[0])
    spread = [torch.stack([frame.people[0].keypoints for frame in frames]).std(0).mean()
              for frames in (smooth, steady)]
    assert spread[1] < spread[0] / 2


@pytest.mark.parametrize("longest_gap, seen", [(0, False), (2, False), (3, True)])
def test_short_gaps_are_filled(run, longest_gap, seen):
    smooth = read_poses(run(AnyoneSmoothPoses, pose=jittered(), longest_gap=longest_gap).args[0])
    assert [bool(frame.people[0].present[4]) for frame in smooth[9:14]] == [True, seen, seen, seen, True]
    if seen:
        assert float((smooth[11].people[0].keypoints[4] - someone(20, 3).keypoints[4]).norm()) < 2


def test_without_tracking_people_go_by_number(run):
    swapped = value((someone(20), someone(130)), (someone(130), someone(20)))
    kept = run(AnyoneSmoothPoses, pose=swapped, track=False, min_cutoff=1000.0).args[0]
    assert xs(kept)[1][0] == pytest.approx(130, abs=1)
    assert [row[0] for row in xs(run(AnyoneSmoothPoses, pose=swapped).args[0])] == [20, 20]


def test_live_filtering_knows_nothing_of_later_frames(run):
    frames = jittered()
    moved = run(AnyoneTransformPose, pose=frames[20:], x=8).args[0]
    for both_ways, expected in ((False, 0), (True, 1)):
        first, second = (xs(run(AnyoneSmoothPoses, pose=[*frames[:20], *later], both_ways=both_ways).args[0])
                         for later in (frames[20:], moved))
        assert round(second[19][0] - first[19][0]) == expected


@pytest.mark.parametrize("node, inputs", [
    (AnyoneSelectPerson, {"order": "age"}), (AnyoneSelectPerson, {"keep": "some"}),
    (AnyoneTransformPose, {"anchor": "nose"}), (AnyoneTransformPose, {"fit": "crop"}),
    (AnyoneRetargetPose, {"root": "canvas", "reference": CROWD}),
    (AnyoneInterpolatePoses, {"easing": "bounce", "end": CROWD})])
def test_unknown_options_are_refused(run, node, inputs):
    with pytest.raises(ValueError, match=f"{next(iter(inputs))} should be one of"):
        run(node, pose=CROWD, **inputs)


def test_what_comes_in_is_not_changed(run):
    before = copy.deepcopy(CROWD)
    for node, inputs in ((AnyoneSelectPerson, {"other": CROWD, "minimum_joint_score": 0.6}),
                         (AnyoneTransformPose, {"mirror": True}), (AnyoneRetargetPose, {"reference": CROWD}),
                         (AnyoneInterpolatePoses, {"end": CROWD}), (AnyoneSmoothPoses, {})):
        run(node, pose=CROWD, **inputs)
    assert before == CROWD
