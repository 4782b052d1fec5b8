"""Drag Person and Drag Inpainted Person with small random networks: what comes back, what goes on from it,
stops, and what people get wrong. Points made from poses, and drawn."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from anyone.core.drag import DragSettings
from anyone.core.graph.standin import running_on
from anyone.core.people import mask_from_pose
from anyone.core.pose import JOINTS, Pose, PoseFrame, read_poses, write_poses
from anyone.core.runtime import Interrupted
from anyone.core.stylegan.infer import sample_latents
from anyone.core.stylegan.journey import drag_latent
from anyone.core.stylegan.latents import Latent
from anyone.core.stylegan.tuned import Delta, TunedNet
from anyone.core.triagan.infer import inpaint
from anyone.nodes import AnyoneDrag, AnyoneDragInpainted, AnyoneDrawPoints, AnyonePointsFromPose
from anyone.nodes.subjects import find_subjects

HANDLES, TARGETS = '[{"x": 8, "y": 10}]', '[{"x": 8, "y": 25}]'
FREE = {"steps": 6, "learning_rate": 0.02, "motion_radius": 48.0, "tracking_radius": 64.0, "mask_weight": 1.0}


@pytest.fixture
def latent(generator, runtime) -> Latent:
    """Two people, made as nodes make them."""
    with torch.inference_mode():
        return sample_latents(generator, [3, 4], runtime=runtime)


@pytest.fixture
def drag(run, generator, latent):
    """`drag(**inputs)`: the outputs of Drag Person."""
    def call(**inputs):
        usual = {"generator": generator, "latent": latent, "handles": HANDLES, "targets": TARGETS}
        return run(AnyoneDrag, **usual | FREE | inputs).args
    return call


@pytest.fixture
def stopping(impatient):
    """`with stopping(n):` somebody stops at the n-th occasion."""
    return lambda moment: running_on(impatient(moment))


def test_a_person_is_dragged_as_the_library_does(drag, generator, latent, runtime):
    last, image, frames, history, points, report = drag(frames=100)
    same = drag_latent(generator, latent.taken([0]), [(8, 10)], [(8, 25)], settings=DragSettings(**FREE),
                       frames=100, runtime=runtime)
    assert torch.equal(frames, same.frames) and torch.equal(history.w_plus, same.history.w_plus)
    assert len(frames) == 7 and torch.equal(image, frames[-1:])
    assert torch.equal(last.w_plus[0], history.w_plus[-1]) and last.generator == "tiny"
    assert report == same.journey.report()
    (x, y), = same.journey.steps[-1].handles.tolist()
    assert json.loads(points) == [{"x": x, "y": y, "tx": 8, "ty": 25}]


def test_the_latent_to_drag_is_chosen_by_its_index(drag, latent):
    assert torch.equal(drag(index=1)[3].w_plus[0], latent.w_plus[1])
    assert torch.equal(drag(index=-2)[3].w_plus[0], latent.w_plus[0])
    with pytest.raises(ValueError, match="index is 2, but there are 2 latents, counted from 0"):
        drag(index=2)


def test_any_frame_can_be_dragged_on_with_the_points_that_came_back(drag):
    *_, frames, history, points, _ = drag()
    again = drag(latent=history, index=3, handles=points, targets="")
    assert torch.equal(again[2][0], frames[3]) and torch.equal(again[3].w_plus[0], history.w_plus[3])
    assert json.loads(again[4])[0]["ty"] == 25


def test_a_handle_that_left_a_narrow_picture_is_dragged_on_from_its_border(drag):
    *_, points, report = drag(handles="[[0, 10]]", targets="[[-6, 10]]")
    (point,) = json.loads(points)
    assert "handle 1: (0, 10) -> (-" in report and (point["x"], point["tx"]) == (0, -6)
    assert f"handle 1: (0, {point['y']}) -> " in drag(handles=points, targets="")[5]


def test_every_form_of_points_is_the_same_drag(drag):
    expected = drag()[3].w_plus
    for handles, targets in (('[{"x": 8, "y": 10, "tx": 8, "ty": 25}]', ""), ("[[8, 10]]", "[[8, 25]]"),
                             ("[{'x': 8, 'y': 10}]", "[{'x': 8, 'y': 25}]"),
                             ('[{"x": 0.5, "y": 0.3125}]', '[{"x": 0.5, "y": 0.78125}]')):
        assert torch.equal(drag(handles=handles, targets=targets)[3].w_plus, expected)


def test_a_mask_of_any_size_says_what_may_change(drag):
    mask = torch.zeros(1, 64, 32)
    mask[:, 16:52] = 0.6                                  # 0.5 and more counts
    exact = torch.zeros(32, 16)
    exact[8:26] = 1
    held = drag(mask=exact)[0].w_plus
    assert torch.equal(drag(mask=mask)[0].w_plus, held)
    assert not torch.equal(drag()[0].w_plus, held)
    assert torch.equal(drag(mask=torch.zeros(1, 64, 64))[0].w_plus, drag()[0].w_plus), "no mask at all"
    assert "so it was ignored" in drag(mask=torch.zeros(1, 32, 16))[5]


def test_w_keeps_the_rows_alike(drag):
    moved = drag(space="w")[0].w_plus[0]
    assert torch.equal(moved[:6], moved[:1].expand(6, -1))
    assert not torch.equal(moved[0], drag()[0].w_plus[0, 0])


def test_tuned_generators_stay_tuned(drag, generator, latent):
    redder = Delta({"synthesis.b32.torgb.bias": torch.tensor([0.5, 0.0, -0.5])}, "tiny", latent.identity)
    assert (drag(generator=TunedNet(generator, redder))[1] - drag()[1])[..., 0].mean() > 0.1


def test_a_stop_keeps_what_was_reached_or_stops_everything(drag, stopping):
    whole = drag(frames=100)[2]
    with stopping(4):
        *_, frames, history, points, report = drag(frames=100)
    assert torch.equal(frames, whole[:4]) and len(history) == 4 and report.startswith("stopped after 3 steps")
    with stopping(4), pytest.raises(Interrupted):
        drag(when_stopped="cancel")


def test_sensible_ends(drag):
    assert drag(targets=HANDLES)[5].startswith("arrived after 0 steps")
    assert drag(targets='[{"x": 8, "y": 9}]', steps=1000)[5].startswith("arrived after 0 steps")
    assert "Handles without a target, left out: 1." in drag(handles="[[8, 10], [3, 3]]")[5]


@pytest.mark.parametrize("inputs, words", [
    ({"handles": ""}, "handles is empty"), ({"handles": "a hand"}, "handles should be a text like"),
    ({"targets": ""}, "targets is empty; say where each handle shall go"),
    ({"targets": "[[1, 2], [3, 4]]"}, "There are 2 targets but 1 handles"),
    ({"handles": "[[20, 10]]"}, r"Handle 1 at \(20, 10\) is outside the picture, which is 16 pixels wide"),
    ({"targets": "[[8, 40]]"}, r"Target 1 at \(8, 40\) is outside the picture"),
    ({"mask": (torch.arange(32) > 16)[:, None].expand(32, 16).float()}, "mask allows no change"),
    ({"block": 4}, "features of block 4, but this generator .* has only blocks 0 to 3"),
    ({"space": "z"}, r"space should be one of w\+, w"), ({"when_stopped": "go"}, "when_stopped should be"),
    ({"steps": 0}, "steps should be 1 or more"), ({"learning_rate": 0.0}, "learning_rate should be above 0"),
    ({"latent": "text"}, "latent should come from"), ({"generator": "text"}, "generator should come from"),
])
def test_what_cannot_be_dragged_is_told_in_a_sentence(drag, inputs, words):
    with pytest.raises(ValueError, match=words):
        drag(**inputs)


def test_latents_of_another_generator_are_refused(drag, make_generator, runtime, inpainter, latent):
    other = sample_latents(make_generator(2, "other"), [0], runtime=runtime)
    with pytest.raises(ValueError, match="made with other, which tiny is no copy of"):
        drag(latent=other)
    with pytest.raises(ValueError, match="it was made with another generator"):
        drag(latent=replace(latent, w_plus=latent.w_plus[:, 1:], origin=None))
    with pytest.raises(ValueError, match="NaN"):
        drag(latent=latent.edited(latent.w_plus * torch.nan))
    with pytest.raises(ValueError, match="generator should come from Load Generator"):
        drag(generator=inpainter)


@pytest.fixture
def large():
    """IMAGE [1,160,240,3]: people on it are large enough to be painted."""
    return torch.rand(1, 160, 240, 3, generator=torch.Generator().manual_seed(1))


# On 240x160 the left person's left wrist is at (84, 88), their belly about (60, 60).
WRIST, LOWER = '[{"x": 84, "y": 87}]', '[{"x": 90, "y": 80}]'


@pytest.fixture
def move(run, large, pose, inpainter):
    """`move(**inputs)`: the outputs of Drag Inpainted Person."""
    def call(**inputs):
        usual = {"image": large, "inpainter": inpainter, "pose": pose, "handles": WRIST, "targets": LOWER,
                 "frames": 4, "steps": 3}
        return run(AnyoneDragInpainted, **usual | inputs).args
    return call


def test_a_wrist_is_moved_and_the_rest_of_the_picture_stays(move, large, pose):
    image, mask, frames, after, points, report = move()
    assert len(frames) == 4 and torch.equal(image[0], frames[-1])
    kept = mask[0] == 0
    assert all(torch.equal(frame[kept], large[0][kept]) for frame in frames)
    assert 0.05 < mask.mean() < 0.5 and not mask[0, :, 130:].any(), "the other person stays"
    before = read_poses(pose)[0].scaled(240, 160).people[0].keypoints
    (person,) = read_poses(after)[0].people
    assert (after[0]["canvas_width"], after[0]["canvas_height"]) == (240, 160)
    torch.testing.assert_close(person.keypoints[7] - before[7], torch.tensor([6.0, -7.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(person.keypoints[2:6], before[2:6], atol=1e-3, rtol=0)
    assert "handle 1, left wrist: (84, 87) -> (90, 80)" in report
    (point,) = json.loads(points)
    assert point == {"x": pytest.approx(90, abs=0.1), "y": pytest.approx(80, abs=0.1), "tx": 90, "ty": 80}


def test_the_person_is_the_one_of_inpaint_person(move, large, pose, inpainter, runtime):
    """Through w from the same latent: the first frame is what Inpaint Person paints."""
    frames, mask = (move(joint_radius=0.0, seed=5, handles="[[60, 60]]", targets="[[62, 66]]")[place]
                    for place in (2, 1))
    people = find_subjects(large, None, pose, None).people
    expected, _ = inpaint(inpainter, large, people, seed=5, runtime=runtime)
    left = mask[0] > 0
    assert torch.equal(frames[0][left], expected[0][left]) and not torch.equal(frames[-1], frames[0])


def test_with_only_a_picture_the_detector_says_who_is_there(move, two, seen):
    frame = two[0].scaled(240, 160)
    seen(frame, torch.stack([mask_from_pose(person, 160, 240) for person in frame.people]))
    assert torch.equal(move(pose=None)[0], move()[0])


def test_seeds_truncation_and_feather_are_inpaint_persons(move):
    assert not torch.equal(move(seed=1)[0], move(seed=2)[0])
    assert torch.equal(move(seed=1, truncation_psi=0.0)[0], move(seed=2, truncation_psi=0.0)[0])
    soft = move(feather=4.0)[1]
    assert ((soft > 0) & (soft < 1)).any()


def test_a_stop_keeps_the_frames_so_far_or_stops_everything(move, stopping):
    whole = move()[2]
    moment = 2 * len(whole) + 2                           # behind the outlines and the crops of all frames
    with stopping(moment):
        *_, frames, _, _, report = move()
    assert torch.equal(frames, whole[:2]) and report.startswith("stopped in 2 frames")
    with stopping(moment), pytest.raises(Interrupted):
        move(when_stopped="cancel")


@pytest.mark.parametrize("inputs, words", [
    ({"handles": "[[120, 5]]"}, r"Handle 1 at \(120, 5\) lies outside the hole"),
    ({"handles": "[[84, 87], [200, 60]]", "targets": "[[1, 2], [3, 4]]"}, "on different people"),
    ({"handles": ""}, "handles is empty"), ({"targets": "[[900, 5]]"}, "Target 1 at .* is outside the pict"),
    ({"image": torch.rand(2, 160, 240, 3)}, "one picture at a time; got 2"),
    ({"pose": write_poses([PoseFrame(240, 160)])}, "nobody to drag"),
    ({"inpainter": "text"}, "inpainter should come from Load Person Inpainter"),
    ({"truncation_mode": "multimodal"}, "w_centers"), ({"truncation_mode": "x"}, "truncation_mode should be"),
    ({"space": "z"}, "space should be"), ({"when_stopped": "go"}, "when_stopped should be"),
])
def test_what_cannot_be_moved_is_told_in_a_sentence(move, inputs, words):
    with pytest.raises(ValueError, match=words):
        move(**inputs)


def test_equal_places_are_a_sensible_end(move):
    frames, report = (move(targets=WRIST)[place] for place in (2, 5))
    assert torch.equal(frames[0], frames[-1]) and "mean distance 0.0 -> 0.0" in report


# On 120x80 the left person's wrists are at (18, 44) and (42, 44), pixel centres at .5; their height is 88.08.
RIGHT, LEFT = {"x": 17.5, "y": 43.5, "tx": 17.5, "ty": 43.5}, {"x": 41.5, "y": 43.5, "tx": 41.5, "ty": 43.5}


def lacking(frame: PoseFrame, *joints: str) -> list[dict]:
    """POSE_KEYPOINT in which the first person lacks some joints."""
    first, *others = frame.people
    scores = torch.tensor([float(name not in joints) for name in JOINTS])
    return write_poses([replace(frame, people=(replace(first, scores=scores), *others))])


def points(run, **inputs) -> list[dict]:
    return json.loads(run(AnyonePointsFromPose, **inputs).args[0])


def test_handles_are_where_the_joints_are(run, pose):
    assert points(run, pose=pose) == [RIGHT]
    assert points(run, pose=pose, joints=" Left Wrist,RIGHT__wrist, left_wrist,") == [LEFT, RIGHT]
    assert points(run, pose=pose, index=1) == [RIGHT | {"x": 77.5, "tx": 77.5}]
    assert points(run, pose=[*pose, pose[0] | {"people": []}]) == [RIGHT], "only the first frame counts"


def test_ways_are_in_heights_of_the_person(run, two, pose):
    (point,) = points(run, pose=pose, dx=0.1, dy=-0.3)
    assert point == RIGHT | {"tx": pytest.approx(26.31, abs=0.01), "ty": pytest.approx(17.07, abs=0.01)}
    (double,) = points(run, pose=write_poses([two[0].scaled(240, 160)]), dx=0.1, dy=-0.3)
    assert double["tx"] - double["x"] == pytest.approx(2 * (point["tx"] - point["x"]), abs=0.02)
    legs = [name for name in JOINTS if name.endswith(("knee", "ankle"))]
    (seated,) = points(run, pose=lacking(two[0], *legs), dy=0.1)
    assert seated["ty"] - seated["y"] == pytest.approx(8.8, abs=0.3), "legs are not needed"


def test_the_other_poses_joints_are_the_targets(run, two, pose):
    wide = write_poses([PoseFrame(480, 160, (two[0].people[0].scaled(240, 160).moved(120, 0),))])
    (point,) = points(run, pose=pose, target_pose=wide, dx=0.1)
    fitted = (36 + 120) / 4 - 0.5, 88 / 4 + 20 - 0.5
    assert (point["x"], point["y"]) == (17.5, 43.5)
    assert (point["tx"], point["ty"]) == (pytest.approx(fitted[0] + 8.81, abs=0.01), fitted[1])
    assert points(run, pose=pose, target_pose=pose, index=1) == [RIGHT | {"x": 77.5, "tx": 77.5}]


def test_a_joint_on_the_outermost_half_pixel_is_in_the_picture(run):
    points = torch.full((18, 2), 20.0)
    points[JOINTS.index("right_wrist")] = torch.tensor([0.25, 39.75])
    edge = write_poses([PoseFrame(40, 40, (Pose(points, torch.ones(18), 40, 40),))])
    (point,) = json.loads(run(AnyonePointsFromPose, pose=edge).args[0])
    assert point == {"x": 0, "y": 39, "tx": -0.25, "ty": 39.25}


def test_joints_that_are_not_there_are_left_out_and_named(run, two, pose):
    wrists = "right_wrist, left_wrist"
    text, note = run(AnyonePointsFromPose, pose=lacking(two[0], "right_wrist"), joints=wrists).args
    assert json.loads(text) == [LEFT]
    assert note == "Handles: left wrist. Left out, not seen or outside the picture: right wrist."
    outside = write_poses([replace(two[0], people=(two[0].people[0].moved(-30, 0),))])
    assert points(run, pose=outside, joints=wrists) == [LEFT | {"x": 11.5, "tx": 11.5}]
    output = run(AnyonePointsFromPose, pose=pose, target_pose=lacking(two[0], "left_wrist"), joints=wrists)
    assert json.loads(output.args[0]) == [RIGHT] and output.ui["text"] == [output.args[1]]
    assert run(AnyonePointsFromPose, pose=pose, joints=wrists).args[1] == "Handles: right wrist, left wrist."


def test_points_of_a_pose_drag_the_inpainted_person(run, move, two):
    text = run(AnyonePointsFromPose, pose=write_poses([two[0].scaled(240, 160)]), joints="left_wrist",
               dx=0.03, dy=-0.04).args[0]
    *_, after, _, report = move(handles=text, targets="")
    assert "handle 1, left wrist" in report
    (person,) = read_poses(after)[0].people
    torch.testing.assert_close(person.keypoints[7], torch.tensor([89.3, 81.0]), atol=0.2, rtol=0)


@pytest.mark.parametrize("inputs, words", [
    ({"joints": "right_hand, neck"}, "joints: there is no right_hand; known are nose, neck, .*left_ear"),
    ({"joints": " , "}, "joints: it is empty; known are nose"),
    ({"index": 2}, "index is 2, but pose shows 2 people"), ({"pose": "[]"}, "pose is an empty list"),
    ({"target_pose": write_poses([PoseFrame(120, 80)])}, "target_pose shows nobody in its first frame"),
])
def test_what_makes_no_points_is_told_in_a_sentence(run, pose, inputs, words):
    with pytest.raises(ValueError, match=words):
        run(AnyonePointsFromPose, **{"pose": pose} | inputs)


def test_poses_that_show_too_little(run, two):
    with pytest.raises(ValueError, match="joints: right wrist, neck cannot be dragged; at least one"):
        run(AnyonePointsFromPose, pose=lacking(two[0], "right_wrist", "neck"), joints="right_wrist, neck")
    hand = lacking(two[0], *(name for name in JOINTS if name != "right_wrist"))
    assert points(run, pose=hand) == [RIGHT]
    with pytest.raises(ValueError, match="pose shows too little of the person to tell their height"):
        run(AnyonePointsFromPose, pose=hand, dy=-0.1)


RED, BLUE = torch.tensor([235, 50, 45]) / 255, torch.tensor([40, 110, 245]) / 255


def test_points_are_drawn_on_every_picture_in_any_form(run):
    image = torch.stack([torch.full((128, 64, 3), grey / 255) for grey in (50, 150)])
    (drawn,) = run(AnyoneDrawPoints, image=image, handles="[[10, 20], [30, 60]]", targets="[[50, 100]]").args
    assert drawn.shape == (2, 512, 256, 3), "small pictures are enlarged"
    for picture, grey in zip(drawn, image, strict=True):
        for x, y, colour in ((10, 20, RED), (30, 60, RED), (50, 100, BLUE), (20, 40, torch.ones(3))):
            assert torch.allclose(picture[4 * y + 2, 4 * x + 2], colour)
        assert torch.allclose(picture[0, 0], grey[0, 0], atol=1e-6)
    same = '[{"x": 30, "y": 60}, {"x": 10, "y": 20, "tx": 50, "ty": 100}]'
    assert torch.equal(run(AnyoneDrawPoints, image=image, handles=same).args[0], drawn)


def test_handles_alone_are_drawn_without_targets_or_arrows(run):
    large = torch.full((1, 600, 500, 3), 0.2)
    (drawn,) = run(AnyoneDrawPoints, image=large, handles='[{"x": 0.2, "y": 0.5}]').args
    assert drawn.shape == large.shape and torch.allclose(drawn[0, 300, 100], RED)
    marked = (drawn[0] - 0.2).abs().amax(-1).gt(0.01).nonzero()
    assert (marked - torch.tensor([300, 100])).abs().max() < 15
    assert not torch.isclose(drawn, BLUE).all(-1).any()


@pytest.mark.parametrize("inputs, words", [
    ({"handles": ""}, "handles is empty"), ({"targets": "there"}, "targets should be a text like"),
    ({"targets": "[[1, 2], [3, 4]]"}, "There are 2 targets but 1 handles"),
    ({"image": torch.rand(4, 4)}, r"image should be \[batch"),
])
def test_what_cannot_be_drawn_is_told_in_a_sentence(run, image, inputs, words):
    with pytest.raises(ValueError, match=words):
        run(AnyoneDrawPoints, **{"image": image, "handles": "[[8, 10]]"} | inputs)
