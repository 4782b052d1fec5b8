"""Own pictures for a generator: people aligned and laid back, pictures inverted, generators tuned."""
from __future__ import annotations

import os

import pytest
import torch
import torch.nn.functional as F
from anyone.core.graph.standin import running_on
from anyone.core.people import mask_from_pose
from anyone.core.perceptual import LPIPS_LAYERS, VGG16, Vgg
from anyone.core.pose import JOINTS, Pose, PoseFrame, read_poses, write_poses
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.stylegan.infer import generator_of, render, sample_latents
from anyone.core.stylegan.tuned import TunedNet
from anyone.nodes import (
    AnyoneAlignPerson,
    AnyoneCropPerson,
    AnyoneDetectPeople,
    AnyoneInvertImage,
    AnyoneLoadTuning,
    AnyonePastePerson,
    AnyoneSaveTuning,
    AnyoneTuneGenerator,
)
from safetensors.torch import load_file, save_file

CPU = Runtime("cpu")
TITLE = "features of detect-person"
LARGE = {"channels": (4,) * 7, "start": (4, 2)}           # 256x128, never drawn


@pytest.fixture(scope="module")
def generator(make_generator):
    """With colours that mostly keep within 0..1, as trained ones have them: nothing is cut off there."""
    net = make_generator()
    for name, value in net.module.generator.named_parameters():
        if name.endswith("torgb.weight"):
            value.mul_(0.3)
        elif name.endswith("noise_strength"):
            value.fill_(0.02)
    return net


@pytest.fixture
def state(generator):
    """What tests compare the loaded generator with."""
    before = {name: value.clone() for name, value in generator.module.state_dict().items()}

    def same():
        after = generator.module.state_dict(keep_vars=True)
        return all(torch.equal(value, before[name]) for name, value in after.items()) and \
            not any(value.requires_grad for value in after.values())

    return same


@pytest.fixture
def own(generator):
    """A picture of the generator's [1,32,16,3], and its latent."""
    latent = sample_latents(generator, [3], psi=1, runtime=CPU)
    return render(generator, latent, runtime=CPU), latent


@pytest.fixture
def smooth():
    """IMAGE [1,80,120,3] without fine detail."""
    noise = torch.rand(1, 3, 90, 130, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 11, 1).movedim(1, -1).contiguous()


@pytest.fixture
def pose(two):
    """POSE_KEYPOINT of two people wholly inside of 120x80, the first on the left."""
    people = (Pose(one.keypoints * 0.8 + torch.tensor([12, 10]), one.scores, 120, 80)
              for one in two[0].people)
    return write_poses([PoseFrame(120, 80, tuple(people))])


def aligned(run, image, generator, **inputs):
    names = ("image", "mask", "pose", "crop", "note")
    return dict(zip(names, run(AnyoneAlignPerson, image=image, generator=generator, **inputs).args,
                    strict=True))


def around(mask, reach):
    """[H,W] bool, grown."""
    return F.max_pool2d(mask.float()[None], 2 * reach + 1, 1, reach)[0] > 0


def test_a_person_is_in_the_middle_of_the_frame(run, image, pose, make_generator):
    found = aligned(run, image, make_generator(**LARGE), pose=pose, index=1)
    assert found["image"].shape == (1, 256, 128, 3) and found["mask"].shape == (1, 256, 128)
    (frame,), rows = read_poses(found["pose"]), (found["mask"][0] > 0.5).any(1).nonzero()
    (person,), x = frame.people, dict(zip(JOINTS, read_poses(found["pose"])[0].people[0].keypoints[:, 0],
                                          strict=True))
    assert (frame.height, frame.width) == (256, 128) and person.present.all()
    assert (x["neck"] + (x["right_hip"] + x["left_hip"]) / 2) / 2 == pytest.approx(64, abs=0.5)
    assert rows.min() == pytest.approx(256 * 0.05 / 1.1, abs=4) and rows.max() + rows.min() == \
        pytest.approx(255, abs=4)
    inside = [found["mask"][0, int(y), int(x)] > 0.5 for x, y in person.keypoints.tolist()]
    assert sum(inside) >= 16
    assert found["note"] == "2 people found."
    assert not torch.equal(found["image"], aligned(run, image, make_generator(**LARGE), pose=pose)["image"])


def test_unchanged_people_laid_back_change_next_to_nothing(run, smooth, pose, make_generator):
    found = aligned(run, smooth, make_generator(**LARGE), pose=pose)
    (back,) = run(AnyonePastePerson, image=smooth, result=found["image"], crop=found["crop"]).args
    assert (back - smooth).abs().max() < 0.02 < 0.2 * (smooth.amax() - smooth.amin())
    (black,) = run(AnyonePastePerson, image=smooth, result=found["image"] * 0, crop=found["crop"]).args
    changed = (black != smooth).any(-1)[0]
    person = mask_from_pose(read_poses(pose)[0].people[0], 80, 120)
    assert (changed | ~person).all() and (black[0][person] < 0.5 * smooth[0][person]).float().mean() > 0.95
    assert not (changed & ~around(person, 2)).any(), "nobody but the first"
    assert torch.equal(back[0][~changed], smooth[0][~changed])


def test_a_larger_result_keeps_its_detail(run, pose, generator, make_generator):
    image = ((torch.arange(120) * 0.8).sin() / 2 + 0.5)[None, None, :, None].expand(1, 80, -1, 3)
    found = aligned(run, image, make_generator(**LARGE), pose=pose)
    crop = aligned(run, image, generator, pose=pose)["crop"]
    small, large = (run(AnyonePastePerson, image=image, result=result, crop=crop).args[0]
                    for result in (F.avg_pool2d(found["image"].movedim(-1, 1), 8).movedim(1, -1),
                                   found["image"]))
    assert (large - image).abs().mean() < 0.3 * (small - image).abs().mean()


def test_a_mask_pastes_what_has_moved(run, image, pose, make_generator):
    net, moved = make_generator(**LARGE), torch.zeros(1, 256, 128)
    moved[:, 20:40, :] = 1
    inputs = {"image": image, "result": torch.full((1, 256, 128, 3), 2.0)}

    def pasted(found, **given):
        return (run(AnyonePastePerson, **inputs, crop=found["crop"], **given).args[0] == 1).all(-1)[0]

    keep, white = (aligned(run, image, net, pose=pose, background=background)
                   for background in ("keep", "white"))
    before, now = pasted(keep), pasted(keep, mask=moved)
    assert torch.equal(before, pasted(white))
    assert torch.equal(before, pasted(keep, mask=torch.zeros(1, 64, 64))), "LoadImage's way to say no mask"
    assert (now & ~before).any() and (before & ~now).any() and torch.equal(now, pasted(white, mask=moved))
    assert not pasted(keep, mask=torch.zeros(1, 256, 128)).any()
    *_, crop, _ = run(AnyoneCropPerson, image=image, pose=pose).args
    black = {"image": image, "result": torch.zeros(1, 288, 160, 3), "crop": crop}
    own, more = ((run(AnyonePastePerson, **black, **given).args[0] == 0).all(-1)[0]
                 for given in ({}, {"mask": torch.ones(1, 32, 32)}))
    assert (more | ~own).all() and more.sum() > 1.3 * own.sum()


def test_backgrounds(run, image, pose, make_generator):
    net = make_generator(**LARGE)
    keep, white, grey = (aligned(run, image, net, pose=pose, background=background)
                         for background in ("keep", "white", "grey"))
    beside, person = (~around(keep["mask"][0] != value, 4) for value in (0, 1))
    for found, value in ((white, 1.0), (grey, 0.5)):
        assert (found["image"][0][beside] - value).abs().max() < 1e-5
    assert (keep["image"][0][beside] < 0.9).any()
    torch.testing.assert_close(white["image"][0][person], keep["image"][0][person], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="background should be one of keep, white, grey; got 'blue'"):
        aligned(run, image, net, pose=pose, background="blue")


@pytest.mark.parametrize("kind", [torch.float16, "RGBA", "mask of nobody"])
def test_every_kind_of_picture_is_aligned(run, image, pose, generator, kind):
    expected, inputs = aligned(run, image, generator, pose=pose), {}
    if kind == "RGBA":
        given = torch.cat([image, image[..., :1]], -1)
    elif kind == "mask of nobody":                         # as LoadImage gives it for files without alpha
        given, inputs = image, {"mask": torch.zeros(1, 64, 64)}
    else:
        given = image.to(kind)
    found = aligned(run, given, generator, pose=pose, **inputs)
    torch.testing.assert_close(found["image"], expected["image"], atol=2e-3, rtol=0)
    (back,) = run(AnyonePastePerson, image=given, result=found["image"], crop=found["crop"]).args
    outside = (back == given[..., :3].float()).all(-1)
    assert 0.5 < outside.float().mean() < 1


def test_the_detector_is_asked_who_is_there(run, image, two, seen, generator):
    seen(*two)
    found = aligned(run, image.expand(2, -1, -1, -1), generator)
    assert found["image"].shape == (2, 32, 16, 3) and found["note"] == "4 people found."
    only = aligned(run, image, generator, mask=two[1][1:].float())
    second = aligned(run, image, generator, index=1)
    assert torch.equal(only["image"], second["image"]) and only["note"] == "1 person found."


def test_nobody_gives_the_middle_of_the_picture_which_pastes_back_as_nothing(run, image, generator, seen):
    seen(PoseFrame(120, 80), torch.zeros(0, 80, 120, dtype=torch.bool))
    found = aligned(run, image, generator, background="white")
    assert not found["mask"].any() and found["pose"][0]["people"] == []
    assert found["note"] == "No person found; the picture is cut to its middle."
    assert found["image"].mean() == pytest.approx(image[:, :, 40:80].mean().item(), abs=0.02)
    (back,) = run(AnyonePastePerson, image=image, result=found["image"] * 0, crop=found["crop"]).args
    assert torch.equal(back, image)


def test_people_who_cannot_be_aligned_are_named(run, image, two, generator):
    hips = [JOINTS.index(name) for name in ("right_hip", "left_hip")]
    whole = two[0].people[0]
    scores = whole.scores.clone()
    scores[hips] = 0
    half = Pose(whole.keypoints, scores, 120, 80)
    frames = [PoseFrame(120, 80, people) for people in ((whole,), (half,), ())]
    found = aligned(run, image, generator, pose=write_poses(frames))
    assert [len(frame["people"]) for frame in found["pose"]] == [1, 0, 0]
    assert found["mask"].flatten(1).any(1).tolist() == [True, False, False]
    assert found["note"].startswith("2 people found. Nobody in picture 3") and \
        "Picture 2 is not aligned: The pose lacks neck and shoulders, or both hips" in found["note"]
    with pytest.raises(ValueError, match="Picture 1 is not aligned: The pose lacks neck"):
        aligned(run, image, generator, pose=write_poses(frames[1:2]))
    with pytest.raises(ValueError, match="Picture 1 is not aligned: index is 3, but it shows 1"):
        aligned(run, image, generator, pose=write_poses(frames[:1]), index=3)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_generators_own_picture_is_found_again(run, generator, own, space, state):
    image, truth = own
    inputs = {"generator": generator, "image": image, "space": space}
    latent, drawn, note = run(AnyoneInvertImage, **inputs, steps=40, start_from="mean").args
    assert latent.w_plus.shape == truth.w_plus.shape and latent.identity == truth.identity
    rows = latent.w_plus
    assert torch.equal(rows, rows[:, :1].expand_as(rows)) == (space == "w")
    now, before = distances(note)
    assert now < 0.5 * before and TITLE in note
    assert torch.equal(drawn, render(generator, latent, runtime=CPU))
    mean = render(generator, truth.edited(torch.zeros_like(rows) + rows.mean()), runtime=CPU)
    assert (drawn - image).abs().mean() < (mean - image).abs().mean()
    assert state()


def distances(note):
    """The numbers of a note: now, and at the start."""
    words = note.split()
    return float(words[words.index("away,") - 1]), float(words[words.index("from") + 1])


def test_the_regression_begins_nearer_and_a_latent_exactly_there(run, generator, own):
    image, truth = own
    inputs = {"generator": generator, "image": image, "steps": 1}                  # whose rate is 0
    guessed = run(AnyoneInvertImage, **inputs).args
    mean = run(AnyoneInvertImage, **inputs, start_from="mean").args
    begun = run(AnyoneInvertImage, **inputs, latent=truth).args
    assert distances(guessed[2])[0] < distances(mean[2])[0]
    assert torch.equal(begun[0].w_plus, truth.w_plus)
    assert distances(begun[2]) == pytest.approx((0, 0), abs=0.02)


def test_pictures_are_inverted_each_for_itself(run, generator, own):
    pair = torch.cat([own[0].flip(2), own[0]]).half()
    inputs = {"generator": generator, "steps": 3, "seed": 2**64 - 1}
    latent, drawn, note = run(AnyoneInvertImage, image=torch.cat([pair, pair[..., :1]], -1), **inputs).args
    alone = run(AnyoneInvertImage, image=pair[1:], **inputs).args[0]
    assert torch.equal(latent.w_plus[1:], alone.w_plus) and drawn.shape == (2, 32, 16, 3)
    assert [line[:10] for line in note.splitlines()] == ["Picture 1:", "Picture 2:"]
    other = run(AnyoneInvertImage, image=pair[1:], **inputs | {"seed": 1}).args[0]
    assert not torch.equal(other.w_plus, alone.w_plus)


def test_the_preset_says_how_many_steps(run, generator, own):
    counted = []

    class Counted(Progress):
        def __init__(self, total, runtime, label=""):
            super().__init__(total, runtime, label)
            counted.append(total)

        def show(self, preview):
            if self.label == "projecting":
                assert preview.shape == (32, 16, 3)
                raise Interrupted

    for inputs, steps in (({}, 1000), ({"preset": "person"}, 450), ({"steps": 7}, 7)):
        counted.clear()
        with pytest.raises(Interrupted), running_on(Runtime("cpu", progress_class=Counted)):
            run(AnyoneInvertImage, generator=generator, image=own[0], **inputs)
        assert counted == [300, steps]


@pytest.mark.parametrize("stage", ["guessing latents", "projecting", "tuning the generator"])
def test_an_interrupt_passes_through_and_leaves_the_generator_as_it_was(run, generator, own, state, stage):
    class Stopped(Progress):
        def show(self, preview):
            if self.label == stage and self.done >= 2:
                raise Interrupted

    image, latent = own
    with running_on(Runtime("cpu", progress_class=Stopped)), pytest.raises(Interrupted):
        run(AnyoneInvertImage, generator=generator, image=image, steps=4)
        run(AnyoneTuneGenerator, generator=generator, image=image.flip(2), latent=latent)
    assert state()


def test_a_tuned_generator_draws_the_picture_and_the_loaded_one_stays(run, generator, own, state):
    image, latent = own[0].flip(2), own[1]                 # which it never draws
    tuned, drawn, note = run(AnyoneTuneGenerator, generator=generator, image=image, latent=latent, steps=60,
                             learning_rate=0.01, enough=0.0).args
    plain = render(generator, latent, runtime=CPU)
    assert isinstance(tuned, TunedNet) and torch.equal(drawn, render(tuned, latent, runtime=CPU))
    assert (drawn - image).square().mean() < 0.3 * (plain - image).square().mean()
    assert note.startswith("Tuned in 60 steps: ") and distances(note)[0] < 0.5 * distances(note)[1]
    assert state() and torch.equal(plain, render(generator, latent, runtime=CPU))
    (nearer, *_) = run(AnyoneInvertImage, generator=tuned, image=image, latent=latent, steps=1).args
    assert torch.equal(nearer.w_plus, latent.w_plus)
    with pytest.raises(ValueError, match="tiny, tuned is tuned already"):
        run(AnyoneTuneGenerator, generator=tuned, image=image, latent=latent, steps=1)


def test_tuning_ends_where_it_is_good_enough(run, generator, own):
    tuned, drawn, note = run(AnyoneTuneGenerator, generator=generator, image=own[0], latent=own[1]).args
    assert note.startswith("Tuned in 0 steps: ") and tuned.delta.changes == {}
    torch.testing.assert_close(drawn, own[0], atol=1e-5, rtol=0)


def test_tunings_are_saved_and_loaded(run, generator, own, make_generator, runtime):
    tuned, drawn, _ = run(AnyoneTuneGenerator, generator=generator, image=own[0].flip(2), latent=own[1],
                          steps=3, learning_rate=0.01).args
    output = run(AnyoneSaveTuning, generator=tuned, filename_prefix=" tunings/me ")
    same, path = output.args
    assert same is tuned and path == "tunings/me_00001_.safetensors [output]" == output.ui["text"][0]
    assert output.ui["files"] == [{"filename": "me_00001_.safetensors", "subfolder": "tunings",
                                   "type": "output"}]
    stamp = AnyoneLoadTuning.fingerprint_inputs(path=path)
    loaded, note = run(AnyoneLoadTuning, generator=generator, path=path).args
    assert torch.equal(render(loaded, own[1], runtime=CPU), drawn)
    assert note == f"tiny with a tuning of tiny, {len(tuned.delta.changes)} tensors."
    file = runtime.folder("output") / "tunings" / "me_00001_.safetensors"
    os.utime(file, (1, 1))
    assert AnyoneLoadTuning.fingerprint_inputs(path=path) != stamp
    assert AnyoneLoadTuning.fingerprint_inputs() == ""
    with pytest.raises(ValueError, match="made for tiny and does not fit other"):
        run(AnyoneLoadTuning, generator=make_generator(2, "other"), path=path)
    with pytest.raises(ValueError, match="generator should come from Load Generator"):
        run(AnyoneLoadTuning, generator=loaded, path=path)
    save_file(load_file(file), file)
    with pytest.raises(ValueError, match="me_00001_.safetensors holds no tuning"):
        run(AnyoneLoadTuning, generator=generator, path=path)
    with pytest.raises(ValueError, match="is a folder"):
        run(AnyoneLoadTuning, generator=generator, path="tunings [output]")
    for name, error in (("", ValueError), ("none.safetensors", FileNotFoundError), ("../x", ValueError)):
        with pytest.raises(error):
            run(AnyoneLoadTuning, generator=generator, path=name)
    with pytest.raises(ValueError, match="generator is tiny as it was loaded; connect one from Tune"):
        run(AnyoneSaveTuning, generator=generator)


def test_users_own_features(run, generator, own, runtime):
    """torchvision's VGG-16, as a file in models/anyone."""
    rng = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(value.shape, generator=rng) / 50
               for name, value in Vgg(VGG16, LPIPS_LAYERS).state_dict().items()}
    folder = runtime.model_folders()[0]
    folder.mkdir(parents=True)
    save_file(tensors, folder / "mine.safetensors")
    for node in (AnyoneInvertImage, AnyoneTuneGenerator):
        (choice,) = [one for one in node.GET_SCHEMA().inputs if one.id == "features"]
        assert choice.options == ["detect-person", "mine.safetensors"]
    given = {"generator": generator, "image": own[0], "features": "mine.safetensors"}
    assert "(VGG-16)" in run(AnyoneInvertImage, **given, steps=2).args[2]
    assert "(VGG-16)" in run(AnyoneTuneGenerator, **given, latent=own[1], steps=1).args[2]
    stamp = AnyoneInvertImage.fingerprint_inputs(features="mine.safetensors")
    os.utime(folder / "mine.safetensors", (1, 1))
    assert AnyoneInvertImage.fingerprint_inputs(features="mine.safetensors") != stamp
    with pytest.raises(FileNotFoundError, match="no perceptual network gone.pth"):
        run(AnyoneInvertImage, **given | {"features": "gone.pth"})
    save_file({"a": torch.zeros(1)}, folder / "mine.safetensors")
    with pytest.raises(ValueError, match="mine.safetensors cannot be used for perceptual distances"):
        run(AnyoneTuneGenerator, **given, latent=own[1])


def test_wrong_inputs_are_refused_in_a_sentence(run, generator, own, make_generator, inpainter):
    image, latent = own
    foreign = sample_latents(make_generator(2, "other"), [1], runtime=CPU)
    longer = sample_latents(make_generator(3, "longer", channels=(8,) * 5), [1], runtime=CPU)
    for other in (foreign, longer):
        with pytest.raises(ValueError, match="made with (other|another generator)"):
            run(AnyoneInvertImage, generator=generator, image=image, latent=other)
        with pytest.raises(ValueError, match="made with (other|another generator)"):
            run(AnyoneTuneGenerator, generator=generator, image=image, latent=other)
    for node, inputs in ((AnyoneInvertImage, {}), (AnyoneTuneGenerator, {"latent": latent}),
                         (AnyoneAlignPerson, {})):
        with pytest.raises(ValueError, match="generator should come from Load Generator"):
            run(node, generator=inpainter, image=image, **inputs)
        with pytest.raises(ValueError, match="image holds NaN"):
            run(node, generator=generator, image=image * torch.nan, **inputs)
    for name, value in (("latent", 3), ("space", "z"), ("preset", "best"), ("start_from", "x")):
        with pytest.raises(ValueError, match=f"{name} should (come from|be one of)"):
            run(AnyoneInvertImage, generator=generator, image=image, **{name: value})
    three = latent.taken([0, 0, 0])
    for node in (AnyoneInvertImage, AnyoneTuneGenerator):
        with pytest.raises(ValueError, match="There are 1 pictures, but 3 latents"):
            run(node, generator=generator, image=image, latent=three)


def test_the_whole_way_there_and_back(run, smooth, pose, generator):
    """Aligned, inverted, tuned, drawn and laid back; beside the person the picture is the same."""
    found = aligned(run, smooth, generator, pose=pose)
    latent = run(AnyoneInvertImage, generator=generator, image=found["image"], steps=5).args[0]
    tuned, drawn, _ = run(AnyoneTuneGenerator, generator=generator, image=found["image"], latent=latent,
                          steps=30, learning_rate=0.01, enough=0.0).args
    assert drawn.shape[1:3] == generator_of(tuned).config.size(-1)
    plain = render(generator, latent, runtime=CPU)
    assert (drawn - found["image"]).abs().mean() < 0.7 * (plain - found["image"]).abs().mean()
    (back,) = run(AnyonePastePerson, image=smooth, result=drawn, crop=found["crop"]).args
    far = ~around(mask_from_pose(read_poses(pose)[0].people[0], 80, 120), 8)       # 3 pixels of the frame
    assert torch.equal(back[0][far], smooth[0][far])
    assert (back[0][~far] != smooth[0][~far]).float().mean() > 0.3
    assert run(AnyoneDetectPeople, image=drawn).args[1].shape == (1, 32, 16)
