import pytest
import torch
from anyone.core.pose import JOINTS, Pose
from anyone.core.runtime import Runtime
from anyone.core.sam import infer
from anyone.core.sam.infer import ask, embed, holds, refine_masks
from anyone.core.sam.prompt import MAXIMUM_POINTS, Prompt, make_prompts


def person(x, size, *missing):
    """Standing, head up: torso of `size` pixels with the neck at (x, 50)."""
    points = {"nose": (0, -.4), "neck": (0, 0), "right_shoulder": (-.4, 0), "left_shoulder": (.4, 0),
              "right_hip": (-.2, 1), "left_hip": (.2, 1), "right_knee": (-.2, 1.8), "left_knee": (.2, 1.8)}
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, (dx, dy) in points.items():
        if name not in missing:
            keypoints[JOINTS.index(name)] = torch.tensor([x + dx * size, 50 + dy * size])
            scores[JOINTS.index(name)] = 1
    return Pose(keypoints, scores, 200, 200)


def test_the_box_has_air_and_room_for_the_crown():
    prompt, = make_prompts([person(60, 50.0)])
    torch.testing.assert_close(prompt.box, torch.tensor([34.0, 30 - 17.5, 86.0, 146.0]))


def test_points_inside_are_of_trunk_and_limbs():
    prompt, = make_prompts([person(60, 50.0)])
    assert prompt.inside[:3].tolist() == [[60, 75], [50, 120], [70, 120]]     # torso, thighs
    assert len(prompt.inside) == 11 and len(prompt.outside) == 0
    partial, = make_prompts([person(60, 50.0, "right_hip")])
    assert torch.isfinite(partial.inside).all() and len(partial.inside) == 8


def test_points_outside_are_on_others_who_are_near():
    left, right, far = make_prompts([person(60, 50.0), person(90, 50.0), person(400, 50.0)])
    assert [one.outside.tolist() for one in (left, right, far)] == [[[90, 75]], [[60, 75]], []]
    assert len(left.inside) + len(left.outside) <= MAXIMUM_POINTS


def test_without_joints_there_must_be_a_box():
    nobody = Pose(torch.zeros(18, 2), torch.zeros(18), 200, 200)
    with pytest.raises(ValueError, match="without joints says nothing"):
        make_prompts([nobody])
    prompt, = make_prompts([nobody], torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert prompt.box.tolist() == [1, 2, 3, 4] and len(prompt.inside) == 0


def test_holds():
    mask = torch.full((10, 20), -1.0)
    mask[:, :10] = 1
    points = torch.tensor([[10.0, 50.0], [40.0, 5.0], [49.0, 99.0], [30.0, 20.0], [80.0, 50.0]])
    assert holds(mask, points, (100, 100)) and not holds(mask, points[2:], (100, 100))
    assert holds(mask, points[:0], (100, 100))


def test_points_that_pad_change_nothing(model):
    net = model("sam").module
    long, short = make_prompts([person(60, 50.0), person(150, 30.0, "right_knee", "left_knee")])
    with torch.no_grad():
        embedding = embed(net, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        scale = torch.tensor([0.32, 0.32])
        together = ask(net, embedding, [long, short], scale)
        alone = torch.cat([ask(net, embedding, [one], scale) for one in (long, short)])
    assert together.shape == (2, 16, 16)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_mask_beside_its_points_is_asked_for_again(model, monkeypatch):
    net, asked = model("sam"), []

    def answer(net, embedding, prompts, scale, *, boxes_only=False):
        asked.append((len(prompts), boxes_only))
        return torch.full((len(prompts), 16, 16), 1.0 if boxes_only else -1.0)

    monkeypatch.setattr(infer, "ask", answer)
    prompts = make_prompts([person(60, 50.0)])
    masks = refine_masks(net, torch.rand(3, 200, 200), prompts, runtime=Runtime("cpu"))
    assert asked == [(1, False), (1, True)] and (masks == 1).all()


def test_any_picture_and_any_crowd(model, monkeypatch):
    monkeypatch.setattr(infer, "BATCH", 2)
    picture = torch.rand(3, 30, 200, generator=torch.Generator().manual_seed(1))
    boxes = [Prompt(torch.tensor([float(i), 0.0, i + 20.0, 20.0]), torch.zeros(0, 2), torch.zeros(0, 2))
             for i in range(5)]
    masks = refine_masks(model("sam"), picture, boxes, runtime=Runtime("cpu"))
    assert masks.shape == (5, 16, 16) and torch.isfinite(masks).all()
    assert len(refine_masks(model("sam"), picture, [], runtime=Runtime("cpu"))) == 0
