"""A joint is taken to a place: who follows, what keeps its length, how limbs bend."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anyone.core.pose import JOINTS, Pose, reach

# Facing us, 100 pixels a metre; the left arm hangs straight, the right one is bent, its elbow on the left.
POINTS = {
    "nose": (50, 16), "neck": (50, 38), "right_shoulder": (33, 38), "right_elbow": (20, 62),
    "right_wrist": (30, 85), "left_shoulder": (67, 38), "left_elbow": (67, 65), "left_wrist": (67, 90),
    "right_hip": (41, 85), "right_knee": (41, 127), "right_ankle": (41, 167), "left_hip": (59, 85),
    "left_knee": (59, 127), "left_ankle": (59, 167), "right_eye": (47, 13), "left_eye": (53, 13),
    "right_ear": (42, 14), "left_ear": (58, 14)}


def joint(name: str) -> int:
    return JOINTS.index(name)


@pytest.fixture
def pose() -> Pose:
    points = torch.tensor([POINTS[name] for name in JOINTS], dtype=torch.float32)
    return Pose(points, torch.ones(18), 100, 180)


def led(pose: Pose, **goals) -> Pose:
    return reach(pose, {joint(name): goal for name, goal in goals.items()})


def at(pose: Pose, name: str) -> tuple[float, float]:
    x, y = pose.keypoints[joint(name)].tolist()
    return pytest.approx((x, y), abs=1e-3)


def length(pose: Pose, a: str, b: str) -> float:
    return float((pose.keypoints[joint(a)] - pose.keypoints[joint(b)]).norm())


def moved(old: Pose, new: Pose) -> set[str]:
    return {name for name in JOINTS if at(old, name) != tuple(new.keypoints[joint(name)].tolist())}


def test_a_wrist_bends_its_arm_and_nothing_else(pose):
    up = led(pose, left_wrist=(100, 30))
    assert at(up, "left_wrist") == (100, 30) and moved(pose, up) == {"left_wrist", "left_elbow"}
    assert length(up, "left_shoulder", "left_elbow") == pytest.approx(27, abs=1e-3)
    assert length(up, "left_elbow", "left_wrist") == pytest.approx(25, abs=1e-3)


def test_no_goals_change_nothing(pose):
    for goals in ({}, {"left_wrist": POINTS["left_wrist"], "nose": POINTS["nose"]}):
        assert moved(pose, led(pose, **goals)) == set()


def test_straight_limbs_bend_outwards_elbows_down_knees_up(pose):
    assert led(pose, left_wrist=(105, 38)).keypoints[joint("left_elbow"), 1] > 38.5
    assert led(pose, left_ankle=(110, 120)).keypoints[joint("left_knee"), 1] < 100
    squat = led(pose, right_ankle=(41, 140), left_ankle=(59, 140))
    assert squat.keypoints[joint("right_knee"), 0] < 35 and squat.keypoints[joint("left_knee"), 0] > 65


def test_a_slightly_bent_arm_may_bend_the_other_way(pose):
    """A hanging arm has its elbow outside; raised to the side, below."""
    hanging = led(pose, left_wrist=(67, 89))
    assert hanging.keypoints[joint("left_elbow"), 0] > 70
    elbow = led(hanging, left_wrist=(100, 20)).keypoints[joint("left_elbow")]
    assert elbow[1] > 32 and elbow[0] > 75


@pytest.mark.parametrize("target", [(0, 60), (40, 8), (75, 45), (30, 86)])
def test_bent_limbs_bend_as_they_do(pose, target):
    def side(one: Pose) -> float:
        root, elbow, wrist = one.keypoints[joint("right_shoulder"):joint("right_wrist") + 1]
        (ax, ay), (bx, by) = (wrist - root).tolist(), (elbow - root).tolist()
        return ax * by - ay * bx

    up = led(pose, right_wrist=target)
    assert side(pose) * side(up) > 0
    assert length(up, "right_shoulder", "right_elbow") == pytest.approx(
        length(pose, "right_shoulder", "right_elbow"), abs=0.01)


def test_no_arm_gets_longer_than_the_other_one(pose):
    far = led(pose, left_wrist=(267, 38))
    upper, lower = length(pose, "right_shoulder", "right_elbow"), length(pose, "right_elbow", "right_wrist")
    assert upper + lower > 27 + 25 and at(far, "left_wrist") == (67 + upper + lower, 38)
    share = length(far, "left_shoulder", "left_elbow") / length(far, "left_elbow", "left_wrist")
    assert share == pytest.approx(27 / 25), "both bones grow alike"
    assert at(led(pose, left_elbow=(67, 200)), "left_elbow") == (67, 38 + upper)


def test_a_missing_joint_of_the_other_side_measures_nothing(pose):
    one_armed = replace(pose, scores=(torch.arange(18) != joint("right_elbow")).float())
    assert at(led(one_armed, left_wrist=(267, 38)), "left_wrist") == (67 + 27 + 25, 38)


def test_a_place_too_near_for_the_bones_is_reached_all_the_same(pose):
    short = replace(pose, keypoints=pose.keypoints.clone())
    short.keypoints[joint("left_wrist")] = torch.tensor([67.0, 75.0])              # a forearm of 10
    for target in ((70, 40), POINTS["left_shoulder"]):
        near = led(short, left_wrist=target)
        assert (near.keypoints[joint("left_wrist")] - torch.tensor(target)).norm() < 0.05
        assert near.keypoints.isfinite().all() and length(near, "left_elbow", "left_wrist") < 10.1


def test_joints_in_one_place_go_nowhere_and_break_nothing(pose):
    folded = replace(pose, keypoints=pose.keypoints.clone())
    folded.keypoints[joint("left_wrist")] = folded.keypoints[joint("left_shoulder")]
    still = led(folded, left_wrist=POINTS["left_shoulder"])
    assert still.keypoints[joint("left_wrist")].tolist() == pytest.approx(POINTS["left_shoulder"], abs=0.01)
    assert length(still, "left_shoulder", "left_elbow") == pytest.approx(27, abs=0.01)
    point = replace(pose, keypoints=torch.full((18, 2), 50.0))
    assert torch.allclose(led(point, left_wrist=(60, 60)).keypoints, point.keypoints, atol=0.01)


def test_an_elbow_takes_its_hand_along_unless_that_has_a_place_of_its_own(pose):
    up = led(pose, left_elbow=(90, 45))
    assert at(up, "left_elbow") == (90, 45) and at(up, "left_wrist") == (90, 70)
    both = led(pose, left_elbow=(90, 45), left_wrist=(90, 0))
    assert at(both, "left_elbow") == (90, 45)
    assert at(both, "left_wrist") == (90, 45 - length(pose, "right_elbow", "right_wrist"))


def test_the_head_turns_about_the_neck(pose):
    turned = led(pose, nose=(72, 38))
    assert moved(pose, turned) == {"nose", "right_eye", "left_eye", "right_ear", "left_ear"}
    assert at(turned, "nose") == (72, 38)
    assert at(turned, "left_eye") == (75, 41), "a quarter of a turn clockwise"


def test_the_trunk_takes_everybody_along_but_the_feet(pose):
    low = led(pose, right_hip=(46, 95))
    for name in ("neck", "nose", "left_hip", "right_wrist"):
        assert at(low, name) == (POINTS[name][0] + 5, POINTS[name][1] + 10)
    for side in ("right", "left"):
        assert at(low, f"{side}_ankle") == POINTS[f"{side}_ankle"]
        assert length(low, f"{side}_hip", f"{side}_knee") == pytest.approx(42, abs=1e-3)
    far = led(pose, neck=(50, -62))
    assert at(far, "left_ankle") == (59, 67), "legs do not stretch"
    walking = led(pose, neck=(55, 45), left_ankle=(80, 160))
    assert at(walking, "left_ankle") == (80, 160) and at(walking, "right_ankle") == (41, 167)


def test_goals_of_one_trunk_are_averaged(pose):
    shifted = led(pose, left_shoulder=(77, 38), right_shoulder=(33, 38))
    assert at(shifted, "neck") == (55, 38)


def test_missing_joints(pose):
    scores = torch.ones(18)
    scores[[joint("left_elbow"), joint("right_wrist"), joint("neck")]] = 0
    some = replace(pose, scores=scores)
    result = led(some, left_wrist=(95, 10), right_wrist=(5, 5), nose=(70, 20), right_knee=(30, 120))
    assert at(result, "left_wrist") == (95, 10) and not result.present[joint("right_wrist")]
    assert at(result, "nose") == POINTS["nose"], "no neck to turn about"
    assert result.keypoints[joint("right_wrist")].tolist() == [0, 0]
    assert at(result, "right_ankle") == (30, 160)
