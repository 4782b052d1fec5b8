"""Dragging people by joints that a detector finds; here it is told where they are."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.drag import DragSettings
from anyone.core.evaluation import dragging
from anyone.core.evaluation.dragging import LIMBS, Dragged, drag_limb, find_joints, new_place, summary
from anyone.core.people import Detection
from anyone.core.pose import JOINTS, Pose, PoseFrame
from anyone.core.runtime import Runtime
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.infer import render, sample_latents
from anyone.core.stylegan.journey import drag_latent
from anyone.core.stylegan.network import Config, Generator
from anyone.core.stylegan.weights import SYSTEM

CPU = Runtime("cpu")
ELBOW = JOINTS.index("left_elbow")
PLACE = torch.tensor([7.3, 12.8])
SETTINGS = DragSettings(steps=40, learning_rate=0.03)


@pytest.fixture
def net():
    """Pictures 32x16."""
    config = Config(channels=(8, 8, 8, 6), start=(4, 2), z=6, mapping=(5, 7))
    generator = Generator(config).initialise(1)
    with torch.no_grad():
        bias = generator.mapping.get_parameter("fc0.bias")
        bias.normal_(generator=torch.Generator().manual_seed(0)).mul_(30)
    return LoadedNet(FastGenerator(generator.eval().requires_grad_(False)), SYSTEM, "tiny")


def joints_at(**places):
    joints = torch.full((18, 2), torch.nan)
    for name, place in places.items():
        joints[JOINTS.index(name)] = place
    return joints


@pytest.fixture
def told(monkeypatch):
    """told(joints, ...): what the detector answers by turns; returns the pictures it was shown."""
    def tell(*answers):
        shown, left = [], list(answers)

        def find(detector, image, runtime):
            shown.append(image)
            return left.pop(0)

        monkeypatch.setattr(dragging, "find_joints", find)
        return shown
    return tell


def test_limbs():
    assert sorted(JOINTS[joint] for joint in LIMBS) == sorted(
        f"{side}_{name}" for side in ("left", "right") for name in ("ankle", "elbow", "knee", "wrist"))


def test_a_joint_is_dragged_and_looked_for_again(net, told):
    there = PLACE + torch.tensor([3.0, -4.0])
    shown = told(joints_at(left_elbow=PLACE, nose=PLACE + 1), joints_at(left_elbow=there, nose=PLACE))
    found = drag_limb(net, None, 5, 0.8, SETTINGS, CPU)
    latent = sample_latents(net, [5], psi=0.8, runtime=CPU)
    rng = torch.Generator().manual_seed(5)
    torch.randint(1, (), generator=rng)                    # choosing among one takes its random number, too
    target = new_place(PLACE, (32, 16), rng)
    expected = drag_latent(net, latent, PLACE[None], target[None], settings=SETTINGS, runtime=CPU)
    assert len(expected.journey.steps) > 1 and expected.frames[-1].ne(expected.frames[0]).any()
    assert found.before == pytest.approx(float((PLACE - target).norm()))
    assert found.joint == pytest.approx(float((there - target).norm()))
    assert found.handle == float(expected.journey.distances)
    assert found.steps == len(expected.journey.steps) - 1
    assert torch.equal(shown[0], render(net, latent, runtime=CPU))
    assert torch.equal(shown[1], expected.frames[-1:])
    assert found.seconds > 0


def test_a_joint_may_get_lost(net, told):
    told(joints_at(left_elbow=PLACE), joints_at())
    found = drag_limb(net, None, 5, 0.8, SETTINGS, CPU)
    assert math.isnan(found.joint) and not found.came_along


def test_who_shows_no_limb_is_not_dragged(net, told):
    told(joints_at(nose=PLACE, neck=PLACE, left_hip=PLACE))
    assert drag_limb(net, None, 5, 0.8, SETTINGS, CPU) is None


def test_every_limb_gets_its_turn(net, told, monkeypatch):
    class Pulled(Exception):
        pass

    def pull(net, latent, handles, targets, **options):
        raise Pulled(handles[0].tolist())

    monkeypatch.setattr(dragging, "drag_latent", pull)
    joints, turns = torch.arange(36.0).view(18, 2) / 5, set()
    for seed in range(60):
        told(joints)
        with pytest.raises(Pulled) as caught:
            drag_limb(net, None, seed, 0.8, SETTINGS, CPU)
        turns.add(joints.tolist().index(caught.value.args[0]))
    assert turns == set(LIMBS)


@pytest.mark.parametrize("joint", [[7.0, 20.0], [0.0, 0.0], [15.0, 31.0], [15.0, 3.0]])
def test_new_places_are_near_and_in_the_picture(joint):
    joint, rng = torch.tensor(joint), torch.Generator().manual_seed(1)
    places = torch.stack([new_place(joint, (32, 16), rng) for _ in range(400)])
    lengths = (places - joint).norm(dim=1) / 32
    assert lengths.min() >= 0.08 - 1e-6 and lengths.max() <= 0.15 + 1e-6
    assert lengths.max() - lengths.min() > 0.06 and lengths.mean() == pytest.approx(0.115, abs=0.003)
    assert (places >= 0).all() and (places <= torch.tensor([15, 31])).all()
    if joint.tolist() == [7.0, 20.0]:
        assert (places - joint).mean(0).abs().max() < 0.4  # in all directions


def test_joints_are_those_of_the_largest_person_in_the_picture(monkeypatch):
    keypoints, scores = torch.full((18, 2), 9.0), torch.ones(18)
    keypoints[ELBOW], keypoints[0], keypoints[1], scores[2] = torch.tensor([3.5, 4.25]), -0.5, 20, 0
    people = [Pose(keypoints, scores, 16, 32), Pose(torch.full((18, 2), 1.0), torch.ones(18), 16, 32)]

    def answer(detector, image, runtime):
        return [Detection(PoseFrame(16, 32, tuple(people)), torch.zeros(len(people), 32, 16) > 0,
                          torch.zeros(32, 16, dtype=torch.uint8))]

    monkeypatch.setattr(dragging, "detect_people", answer)
    found = find_joints(None, torch.zeros(1, 32, 16, 3), CPU)
    assert found[ELBOW].tolist() == [3.0, 3.75] and found[5].tolist() == [8.5, 8.5]
    assert found[:3].isnan().all() and found[3:].isfinite().all()    # left of it, right of it, missing
    people.clear()
    assert find_joints(None, torch.zeros(1, 32, 16, 3), CPU).isnan().all()


def test_means_and_shares():
    drags = [Dragged(10, 2, 5, 30, 0.5), Dragged(12, 3, 7, 300, 2.5), Dragged(11, 1, math.nan, 60, 1)]
    assert summary(drags) == pytest.approx({
        "drag_before": 11, "drag_handle": 2, "drag_joint": 6, "drag_steps": 130, "drag_seconds": 4 / 3,
        "drag_lost": 1 / 3, "drag_half_way": 1 / 3})


@pytest.mark.parametrize("shown, count, seeds, share", [
    (lambda seed: seed % 2, 4, range(10, 18), 0.5), (lambda seed: False, 2, range(10, 16), 0.0)])
def test_people_are_drawn_until_there_are_enough_joints(monkeypatch, shown, count, seeds, share):
    asked = []

    def limb(net, detector, seed, psi, settings, runtime):
        asked.append((net, detector.name, seed, psi, settings))
        return Dragged(seed, 1, 1, 1, 1) if shown(seed) else None

    monkeypatch.setattr(dragging, "drag_limb", limb)
    found = dragging.score_dragging("net", count=count, seed=10, psi=0.6, learning_rate=0.05, runtime=CPU)
    assert asked == [("net", "detect-person", seed, 0.6, DragSettings(200, 0.05)) for seed in seeds]
    assert found["drag_people"] == share
    dragged = [seed for seed in seeds if shown(seed)]
    assert found["drag_before"] == pytest.approx(sum(dragged) / len(dragged) if dragged else math.nan,
                                                 nan_ok=True)
