"""Inpaint Person with a small random network: where it paints, what seeds and modes do, what it reports."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pose import PoseFrame
from anyone.nodes import AnyoneInpaintPerson


@pytest.fixture
def large():
    """IMAGE [1,160,240,3]: people on it are large enough to be painted."""
    return torch.rand(1, 160, 240, 3, generator=torch.Generator().manual_seed(1))


def test_only_the_masked_pixels_change(run, large, pose, inpainter):
    picture, mask, *_ = run(AnyoneInpaintPerson, image=large, inpainter=inpainter, pose=pose).args
    assert torch.equal(picture[mask == 0], large[mask == 0])
    assert (picture[mask > 0] != large[mask > 0]).float().mean() > 0.9
    assert 0.1 < mask.mean() < 0.6


def test_a_mask_chooses_who_is_replaced(run, large, pose, two, inpainter):
    left = two[1][:1].float()
    output = run(AnyoneInpaintPerson, image=large, inpainter=inpainter, mask=left, pose=pose)
    _, mask, used, note = output.args
    assert mask[..., :110].any() and not mask[..., 140:].any()
    assert note == "1 person found." and len(used[0]["people"]) == 2


def test_with_only_a_picture_everybody_found_is_replaced(run, large, two, inpainter, seen):
    doubled = two[1].repeat_interleave(2, 1).repeat_interleave(2, 2)
    seen(two[0].scaled(240, 160), doubled)
    output = run(AnyoneInpaintPerson, image=large, inpainter=inpainter)
    _, mask, used, note = output.args
    assert mask[0, doubled.any(0)].mean() > 0.97
    assert len(used[0]["people"]) == 2 and output.ui["text"] == [note] == ["2 people found."]


def test_nobody_found_leaves_the_picture_as_it_is(run, large, inpainter, seen):
    seen(PoseFrame(240, 160), torch.zeros(0, 160, 240, dtype=torch.bool))
    picture, mask, used, note = run(AnyoneInpaintPerson, image=large, inpainter=inpainter).args
    assert torch.equal(picture, large) and not mask.any()
    assert used == [{"canvas_width": 240, "canvas_height": 160, "people": []}]
    assert note == "No person found; the picture is unchanged."


def test_the_note_counts_those_too_small_to_paint(run, pose, inpainter):
    small = torch.rand(1, 16, 24, 3)
    picture, _, _, note = run(AnyoneInpaintPerson, image=small, inpainter=inpainter, pose=pose).args
    assert torch.equal(picture, small) and note == "2 people found. 2 too small to paint, left unchanged."


def test_equal_inputs_give_equal_pictures_and_seeds_differ(run, large, pose, inpainter):
    def picture(**inputs):
        return run(AnyoneInpaintPerson, image=large, inpainter=inpainter, pose=pose, **inputs).args[0]

    assert torch.equal(picture(seed=5), picture(seed=5))
    assert not torch.equal(picture(seed=5), picture(seed=2**64 - 1))


def test_no_truncation_left_means_one_face_for_all_seeds(run, large, pose, inpainter):
    def picture(**inputs):
        return run(AnyoneInpaintPerson, image=large, inpainter=inpainter, pose=pose, **inputs).args[0]

    average = picture(seed=1, truncation_psi=0.0)
    assert torch.equal(average, picture(seed=2, truncation_psi=0.0))
    assert not torch.equal(average, picture(seed=1, truncation_psi=1.0))
    assert torch.equal(picture(seed=1, truncation_mode="plain"), picture(seed=1, truncation_psi=1.0))


def test_half_precision_paints_nearly_the_same(run, large, pose, inpainter):
    inputs = {"image": large, "inpainter": inpainter, "pose": pose}
    exact, half = (run(AnyoneInpaintPerson, **inputs, half_precision=on).args[0] for on in (False, True))
    assert not torch.equal(exact, half) and (exact - half).abs().mean() < 0.02


def test_a_feathered_mask_is_soft(run, large, pose, inpainter):
    inputs = {"image": large, "inpainter": inpainter, "pose": pose}
    hard, soft = (run(AnyoneInpaintPerson, **inputs, feather=feather).args[1] for feather in (0.0, 4.0))
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert ((soft > 0) & (soft < 1)).any() and not soft[hard == 0].any()


def test_a_longer_batch_repeats_the_shorter_ones(run, large, pose, inpainter):
    batch = torch.cat([large, 1 - large, large])
    picture, mask, used, _ = run(AnyoneInpaintPerson, image=batch, inpainter=inpainter, pose=pose).args
    assert len(picture) == len(mask) == len(used) == 3
    assert torch.equal(picture[0], picture[2]) and torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("change, words", [
    ({"truncation_mode": "none"}, "truncation_mode should be one of"),
    ({"truncation_mode": "multimodal"}, "w_centers"),
    ({"inpainter": "text"}, "inpainter should come from Load Person Inpainter"),
])
def test_wrong_choices_are_refused_in_a_sentence(run, large, pose, inpainter, change, words):
    with pytest.raises(ValueError, match=words):
        run(AnyoneInpaintPerson, **{"image": large, "inpainter": inpainter, "pose": pose, **change})
