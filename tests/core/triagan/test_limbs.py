"""Handles that hold joints: who is held, how the person moves, what is painted and what stays."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.drag import DragSettings
from anyone.core.people import Person, mask_from_pose
from anyone.core.pose import JOINTS, Pose, to_coco
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.triagan.drag import drag_inpainted
from anyone.core.triagan.limbs import take_hold
from anyone.core.triagan.weights import SYSTEM

SIZE = 220, 180
# Facing us, 100 pixels a metre, pixel centres at .5.
POINTS = {
    "nose": (80.5, 26.5), "neck": (80.5, 48.5), "right_shoulder": (63.5, 48.5), "right_elbow": (58.5, 75.5),
    "right_wrist": (56.5, 99.5), "left_shoulder": (97.5, 48.5), "left_elbow": (102.5, 75.5),
    "left_wrist": (104.5, 99.5), "right_hip": (71.5, 95.5), "right_knee": (70.5, 137.5),
    "right_ankle": (70.5, 175.5), "left_hip": (89.5, 95.5), "left_knee": (90.5, 137.5),
    "left_ankle": (90.5, 175.5), "right_eye": (77.5, 23.5), "left_eye": (83.5, 23.5),
    "right_ear": (72.5, 24.5), "left_ear": (88.5, 24.5)}
HAND, UP = (105, 101), (140, 30)                          # a little below the left wrist; beside the head
BELLY, BESIDE = (80, 72), (94, 78)


def somebody() -> Person:
    points = torch.tensor([POINTS[name] for name in JOINTS])
    pose = Pose(points, torch.ones(18), SIZE[1], SIZE[0])
    return Person(mask_from_pose(pose, *SIZE), to_coco(pose))


@pytest.fixture
def image():
    """IMAGE of a smooth background with a bright person."""
    ramp = torch.linspace(0.2, 0.4, SIZE[1]).expand(*SIZE).clone()
    ramp[somebody().mask] = 0.9
    return ramp[None, ..., None].expand(1, *SIZE, 3).contiguous()


@pytest.fixture
def run(make_generator, image):
    """Drags the person; keyword arguments as those of `drag_inpainted`."""
    net = LoadedNet(SYSTEM.build(make_generator().state_dict(), {}), SYSTEM, "tiny")

    def drag(handles=(HAND,), targets=(UP,), **options):
        options = {"frames": 5, "settings": DragSettings(steps=3, learning_rate=0.05, motion_radius=30,
                                                         tracking_radius=60),
                   "runtime": Runtime("cpu")} | options
        return drag_inpainted(net, image, [somebody()], handles, targets, **options)
    return drag


def at(pose: Pose, name: str) -> torch.Tensor:
    return pose.keypoints[JOINTS.index(name)]


def test_handles_hold_the_nearest_joint_if_it_is_near():
    points = torch.tensor([HAND, BELLY, (81, 27), (90, 116)], dtype=torch.float32)
    grip = take_hold(somebody(), points, 0.1)
    assert grip.held == [True, False, True, False] and grip.loose == [1, 3]
    assert grip.names() == [", left wrist", ", no joint", ", nose", ", no joint"]
    assert take_hold(somebody(), points, 0.2).held == [True] * 4
    assert take_hold(somebody(), points, 0).held == [False] * 4


def test_several_handles_on_a_joint_pull_it_their_mean_way():
    grip = take_hold(somebody(), torch.tensor([[104.0, 95.0], [105.0, 103.0]]), 0.1)
    last = grip.led(torch.tensor([[4.0, -10.0], [0.0, -20.0]]), 3)[-1]
    torch.testing.assert_close(at(last, "left_wrist"), torch.tensor([106.5, 84.5]), atol=1e-3, rtol=0)


def test_the_wrist_goes_where_the_hand_is_dragged(run):
    dragged = run()
    assert dragged.outcome == "moved" and dragged.journey is None and len(dragged.frames) == 5
    moved = at(dragged.pose, "left_wrist") - torch.tensor(POINTS["left_wrist"])
    torch.testing.assert_close(moved, torch.tensor([35.0, -71.0]), atol=0.5, rtol=0)
    torch.testing.assert_close(dragged.found, torch.tensor([UP], dtype=torch.float32), atol=0.5, rtol=0)
    assert at(dragged.pose, "right_wrist").tolist() == list(POINTS["right_wrist"])
    assert dragged.report().splitlines() == [
        "moved in 5 frames; mean distance 79.2 -> 0.0 pixels",
        "handle 1, left wrist: (105, 101) -> (140, 30), 0.0 from its target (140, 30)"]


def test_the_person_is_painted_in_the_new_place_and_background_in_the_old(run, image):
    dragged = run()
    first, last = dragged.frames[0], dragged.frames[-1]
    assert torch.equal(dragged.picture[0], last)
    hand, elbow = (slice(28, 36), slice(134, 142)), (slice(84, 96), slice(102, 106))
    assert (last[hand] - image[0][hand]).abs().mean() > 0.05, "somebody is painted there"
    assert torch.equal(first[hand], image[0][hand])
    assert ((last[elbow] > 0.25) & (last[elbow] < 0.4)).all(), "between the grey tones on either side"
    assert ((first[elbow] < 0.25) | (first[elbow] > 0.4)).any()


def test_everything_outside_the_mask_is_bit_identical(run, image):
    for feather in (0.0, 4.0):
        dragged = run(feather=feather)
        kept = dragged.mask[0] == 0
        assert all(torch.equal(frame[kept], image[0][kept]) for frame in dragged.frames)
        assert kept[somebody().mask].sum() == 0 and 0.5 < kept.float().mean() < 0.9
        assert dragged.mask[0, 30, 140] == 1


def test_the_other_handles_are_dragged_through_w_when_the_limbs_are_done(run):
    dragged, limbs = run(handles=[BELLY, HAND], targets=[BESIDE, UP]), run()
    assert torch.equal(dragged.frames[:5], limbs.frames) and 5 < len(dragged.frames) <= 8
    assert dragged.journey.handles[0].tolist() == pytest.approx(BELLY, abs=1e-3)
    assert dragged.outcome == dragged.journey.outcome and dragged.journey.rows.any()
    assert torch.equal(dragged.found[0], dragged.journey.steps[-1].handles[0])
    lines = dragged.report().splitlines()
    assert lines[0].startswith(dragged.outcome) and lines[1].startswith("handle 1, no joint: (80, 72) -> ")
    assert lines[2].endswith("-> (140, 30), 0.0 from its target (140, 30)")


def test_loose_handles_are_carried_by_the_body(run):
    dragged = run(handles=[(80, 48), BELLY], targets=[(80, 58), (84, 82)])
    assert dragged.journey.handles.tolist() == [[pytest.approx(80, abs=1e-3), pytest.approx(82, abs=1e-3)]]
    assert at(dragged.pose, "left_ankle").tolist() == pytest.approx(POINTS["left_ankle"], abs=1e-3)


def test_loose_handles_that_are_carried_off_the_person_are_told_before_anything_is_painted(run):
    class Resting(Runtime):
        def use(self, net, memory=0):
            raise AssertionError("the network is not needed")

    forearm = (103, 88)                                   # goes with the wrist, and ends above the hand
    with pytest.raises(ValueError, match=r"Handle 2 comes to lie at \(138, 17\), beside the person"):
        run(handles=[HAND, forearm], targets=[UP, BESIDE], joint_radius=0.03, runtime=Resting("cpu"))


def test_a_stop_keeps_the_frames_so_far(run, impatient):
    moment = 2 * 5 + 3                                    # behind the outlines and the crops of all frames
    stopped, whole = run(handles=[BELLY, HAND], targets=[BESIDE, UP], runtime=impatient(moment)), run()
    assert stopped.outcome == "stopped" and stopped.journey is None
    assert torch.equal(stopped.frames, whole.frames[:3])
    torch.testing.assert_close(stopped.found[1] - torch.tensor(HAND),
                               at(stopped.pose, "left_wrist") - torch.tensor(POINTS["left_wrist"]))
    assert stopped.report().startswith("stopped in 3 frames; ")
    with pytest.raises(Interrupted):
        run(runtime=impatient(moment), keep=False)


@pytest.mark.parametrize("moment", [1, 5, 6, 10])
def test_a_stop_before_anybody_is_painted_stops_everything(run, impatient, moment):
    with pytest.raises(Interrupted):
        run(runtime=impatient(moment))


def test_progress_counts_frames_and_shows_them(run):
    shown = []

    class Showing(Progress):
        def show(self, preview):
            shown.append((self.label, self.done, self.total, preview))

    dragged = run(runtime=Runtime("cpu", progress_class=Showing))
    assert [step[:3] for step in shown] == [("moving a person", count, 10) for count in range(1, 11)] \
        + [("dragging a person", count, 5) for count in range(1, 6)]
    assert torch.equal(shown[13][3], dragged.frames[3])
