"""Loader nodes: what they offer, what they refuse, and that a changed file is loaded again."""
from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.deformable.network import Config, Generator
from anyone.core.detectors import detect_people
from anyone.core.pg2.network import PG2
from anyone.core.pg2.network import Config as PG2Config
from anyone.core.runtime import Runtime
from anyone.nodes import (
    AnyoneCropPerson,
    AnyoneDetectPeople,
    AnyoneLoadDetector,
    AnyoneLoadGenerator,
    AnyoneLoadInpainter,
    AnyoneLoadTransfer,
    AnyoneParseRegions,
    AnyoneRenderLatent,
    AnyoneSampleLatent,
    AnyoneTransferPose,
)
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def models(tmp_path, tiny_state):
    """models/anyone with one inpainter in a subfolder and one file that is nothing of ours."""
    folder = tmp_path / "models" / "anyone"
    (folder / "mine").mkdir(parents=True)
    save_file(tiny_state, folder / "mine" / "small.safetensors")
    save_file({"x": torch.zeros(2)}, folder / "other.safetensors")
    return folder


def offered(node) -> list[str]:
    return node.GET_SCHEMA().inputs[0].options


def test_embedded_weights_come_first_then_the_users_files(models):
    assert offered(AnyoneLoadInpainter) == ["triagan-person", "mine/small.safetensors", "other.safetensors"]
    assert offered(AnyoneLoadDetector)[0] == "detect-person"


def test_a_users_file_is_loaded_once_for_all(run, models):
    first, second = (run(AnyoneLoadInpainter, name=name).args[0]
                     for name in ("mine/small.safetensors", "mine\\small.safetensors"))
    assert first is second and repr(first) == "<TriA-GAN person inpainter: mine/small.safetensors>"


@pytest.mark.parametrize("node, name, words", [
    (AnyoneLoadInpainter, "none.pth", "no inpainter none.pth; there is .*small"),
    (AnyoneLoadInpainter, "../../secret.safetensors", "no inpainter"),
    (AnyoneLoadInpainter, "other.safetensors", "other.safetensors"),
    (AnyoneLoadDetector, "mine/small.safetensors", "holds a TriA-GAN person inpainter, which is no detector"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(run, models, node, name, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(node, name=name)


def test_a_changed_file_changes_the_fingerprint(models):
    before = AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors")
    assert AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors") == before
    os.utime(models / "other.safetensors", ns=(1, 1))
    assert AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors") != before


@pytest.fixture
def put(model_file, tmp_path):
    """put(model, name): one of the tiny models where the published weights of that name would lie; random
    weights that are sure: every query is a person who is everywhere, every joint is there."""
    def place(model, name):
        folder = tmp_path / "models" / "anyone" / "detection" / name
        shutil.copytree(model_file(model).parent, folder)
        file = folder / "model.safetensors"
        state = load_file(file)
        for key in ("class_embed.bias", "segmentation_head.bias", "head.conv.bias"):
            if key in state:
                state[key] += 6.0
        save_file(state, file, {"format": "pt"})
        return file

    return place


@pytest.fixture
def photograph():
    return torch.rand(2, 90, 70, 3, generator=torch.Generator().manual_seed(1))


def options(node, name) -> list[str]:
    return next(item.options for item in node.GET_SCHEMA().inputs if item.id == name)


def test_published_names_are_always_offered_and_files_come_last(models):
    files = ["mine/small.safetensors", "other.safetensors"]
    first = {"name": "detect-person", "poses": "auto", "masks": "none", "clothes": "none", "faces": "none"}
    some = {"name": "rf-detr-seg-small", "poses": "vitpose-plus-small", "masks": "sam2.1-hiera-small",
            "clothes": "segformer-b2-clothes", "faces": "face-bisenet"}
    for name in first:
        listed = options(AnyoneLoadDetector, name)
        assert listed[0] == first[name] and some[name] in listed and listed[-2:] == files
        assert len(listed) == len(set(listed))
    assert "openpose-body" in options(AnyoneLoadDetector, "name")
    assert "face-parsing" not in options(AnyoneLoadDetector, "clothes")


def test_without_download_nothing_reaches_for_the_network(run, no_network, put):
    finder = put("rf_detr_seg", "rf-detr-seg-small")
    run(AnyoneLoadDetector, name="rf-detr-seg-small")
    for inputs in ({"name": "rt-detr-r18"}, {"poses": "vitpose-plus-base"}, {"masks": "sam2.1-hiera-tiny"},
                   {"clothes": "segformer-b2-clothes"}, {"faces": "face-bisenet"}):
        AnyoneLoadDetector.fingerprint_inputs(**inputs)
        with pytest.raises(FileNotFoundError, match="is not on this machine yet; tick download, or run: "):
            run(AnyoneLoadDetector, **inputs)
    assert list(finder.parents[1].iterdir()) == [finder.parent], "and nothing was written"


def test_download_fetches_what_is_missing_once(run, tmp_path, put, monkeypatch):
    """The estimator `auto` stands for, too."""
    put("rf_detr_seg", "rf-detr-seg-small")
    ready = put("vitpose_plus", "vitpose-plus-small").parent
    hub = shutil.move(ready, tmp_path / "hub")
    fetched = []

    def download(address, target, digest, runtime):
        fetched.append(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(hub / target.name, target)

    module = importlib.import_module("anyone.core.checkpoints.fetch")
    monkeypatch.setattr(module, "download_from_hub", download)
    for _ in range(2):
        detector, note = run(AnyoneLoadDetector, name="rf-detr-seg-small", download=True).args
        assert detector.poses.system.name == "vitpose"
        assert note == "finder: rf-detr-seg-small (Apache-2.0); poses: vitpose-plus-small (Apache-2.0)."
    assert fetched == [f"usyd-community/vitpose-plus-small/{name}" for name in (
        "config.json", "preprocessor_config.json", "model.safetensors")]


def test_auto_takes_the_smallest_estimator_here_for_finders_of_boxes_only(run, put):
    put("rf_detr_seg", "rf-detr-seg-small")
    detector, note = run(AnyoneLoadDetector, name="rf-detr-seg-small").args
    assert detector.poses is None and note.endswith("let auto fetch one.")
    for name in ("vitpose-plus-huge", "vitpose-plus-base"):
        put("vitpose_plus", name)
    detector, note = run(AnyoneLoadDetector, name="rf-detr-seg-small").args
    assert detector.poses.name == "vitpose-plus-base"
    assert run(AnyoneLoadDetector, name="rf-detr-seg-small", poses="none").args[0].poses is None
    assert run(AnyoneLoadDetector).args[0].poses is None, "the embedded one sees joints itself"
    assert run(AnyoneLoadDetector, poses="vitpose-plus-huge").args[0].poses.name == "vitpose-plus-huge"


def test_a_pose_end_to_end_from_the_users_own_files(run, put, photograph):
    put("rf_detr_seg", "finder")
    put("vitpose_plus", "estimator")
    detector, note = run(AnyoneLoadDetector, name="detection/finder/model.safetensors",
                         poses="detection/estimator/model.safetensors").args
    assert note.startswith("finder: detection/finder/model.safetensors; poses: detection/estimator/")
    pose, mask, _, _, boxes, segs = run(AnyoneDetectPeople, image=photograph, detector=detector,
                                        threshold=0.1, max_people=4, flip=True).args
    found = detect_people(detector, photograph, threshold=0.1, max_people=4, flip=True,
                          runtime=Runtime("cpu"))
    assert [len(frame["people"]) for frame in pose] == [len(one.masks) for one in found] == [4, 4]
    for frame, one in zip(pose, found, strict=True):
        for person, expected in zip(frame["people"], one.frame.people, strict=True):
            triples = torch.tensor(person["pose_keypoints_2d"]).view(18, 3)
            assert torch.allclose(triples[:, :2], expected.keypoints, atol=1e-3)
            assert torch.equal(triples[:, 2] > 0, expected.present) and expected.present.sum() >= 4
    assert torch.equal(mask > 0, torch.stack([one.masks.any(0) for one in found]))
    assert all(box["score"] > 0.5 for frame in boxes for box in frame), "the finder's own"
    assert len(segs[1]) == int(found[0].masks.any(2).any(1).sum())


def test_the_loaded_detector_serves_every_node(run, put, photograph):
    put("rf_detr_seg", "rf-detr-seg-small")
    put("vitpose", "vitpose-plus-small")
    put("sam", "sam2.1-hiera-tiny")
    put("clothes", "segformer-b2-clothes")
    put("faces", "face-parsing")
    detector = run(AnyoneLoadDetector, name="rf-detr-seg-small", masks="sam2.1-hiera-tiny",
                   clothes="segformer-b2-clothes", faces="face-parsing").args[0]
    assert repr(detector) == "<Detector rf-detr-seg-small with poses, masks, clothes, faces>"
    cropped, *_ = run(AnyoneCropPerson, image=photograph, detector=detector).args
    assert cropped.shape == (2, 288, 160, 3)
    for boxes in (None, [(0, 0, 60, 90), (30, 0, 70, 90)]):
        mask, regions = run(AnyoneDetectPeople, image=photograph, detector=detector, boxes=boxes).args[1:3]
        assert torch.equal(regions.labels > 0, mask > 0)
    for kind in ("person", "face"):
        regions = run(AnyoneParseRegions, image=photograph, detector=detector, kind=kind).args[0]
        assert regions.labels.shape == (2, 90, 70) and len(regions.names) == {"person": 12, "face": 19}[kind]
    one_pixel = run(AnyoneDetectPeople, image=photograph[:1, :1, :1], detector=detector).args[1]
    assert one_pixel.shape == (1, 1, 1)


@pytest.mark.parametrize("inputs, words", [
    ({"name": "vitpose-plus-small"}, "There is no detector vitpose-plus-small; there is detect-person"),
    ({"name": "detection/p/model.safetensors"}, "ViTPose pose estimator, which is no detector"),
    ({"poses": "detect-person"}, "holds a .*, which is no estimator"),
    ({"masks": "detection/p/model.safetensors"}, "ViTPose pose estimator, which is no refiner"),
    ({"clothes": "detection/f/model.safetensors"}, "clothes should be a parser of clothes; .* parses faces"),
    ({"faces": "detection/c/model.safetensors"}, "faces should be a parser of faces; .* parses clothes"),
    ({"poses": "swim"}, "There is no estimator swim; there is vitpose-plus-small, "),
])
def test_networks_of_another_role_are_refused(run, put, inputs, words):
    for model, name in (("vitpose", "p"), ("faces", "f"), ("clothes", "c")):
        put(model, name)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyoneLoadDetector, **inputs)


def test_the_fingerprint_covers_every_chosen_file(put):
    chosen = {"name": "detection/n/model.safetensors", "masks": "sam2.1-hiera-tiny",
              "clothes": "detection/c/model.safetensors", "faces": "detection/f/model.safetensors"}
    files = [put("rf_detr_seg", "n"), put("sam", "sam2.1-hiera-tiny"), put("clothes", "c"), put("faces", "f")]
    seen = [AnyoneLoadDetector.fingerprint_inputs(**chosen)]
    files.append(put("vitpose", "vitpose-plus-large"))                     # what auto now means
    seen.append(AnyoneLoadDetector.fingerprint_inputs(**chosen))
    assert AnyoneLoadDetector.fingerprint_inputs(**chosen) == seen[-1]
    for file in files:
        os.utime(file, ns=(1, 1))
        seen.append(AnyoneLoadDetector.fingerprint_inputs(**chosen))
    assert len(set(map(tuple, seen))) == len(seen)
    linked = AnyoneLoadDetector.fingerprint_inputs(name=None, poses=None)
    assert linked == [], "hosts pass None for what comes over a wire"
    missing = AnyoneLoadDetector.fingerprint_inputs(poses="vitpose-plus-huge")
    assert missing[1] == "vitpose-plus-huge is not here"


def test_a_bare_network_is_a_detector_too(run, put, photograph):
    put("rf_detr_seg", "n")
    net = run(AnyoneLoadDetector, name="detection/n/model.safetensors", poses="none").args[0].finder
    assert isinstance(net, LoadedNet)
    assert run(AnyoneDetectPeople, image=photograph, detector=net).args[1].any()


@pytest.fixture
def transfers(models):
    """Beside them a small network of each system that transfers poses."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        deformable = Generator(Config(widths=(2, 3, 3, 4), outputs=4))
    save_file(deformable.state_dict(), models / "mine" / "moves.safetensors", {"size": "64x32"})
    pg2 = PG2(PG2Config(height=32, width=16, channels=4, code=3)).initialise(1)
    save_file(pg2.state_dict(), models / "mine" / "stages.safetensors")
    return models


def test_pose_transfer_of_either_system_loads_and_draws(run, transfers, image, pose):
    assert offered(AnyoneLoadTransfer)[:2] == ["deformable-person", "pg2-person"]
    assert offered(AnyoneLoadTransfer)[-2:] == ["mine/stages.safetensors", "other.safetensors"]
    notes = []
    for name in ("mine/moves.safetensors", "mine/stages.safetensors"):
        net, note = run(AnyoneLoadTransfer, name=name).args
        picture, mask, *_ = run(AnyoneTransferPose, image=image, transfer=net, target_pose=pose,
                                source_pose=pose).args
        assert mask.any() and (picture[mask > 0] != image[mask > 0]).any()
        notes.append(note)
    assert notes == ["mine/moves.safetensors, Deformable GAN pose transfer, draws 64x32.",
                     "mine/stages.safetensors, PG2 pose transfer, draws 32x16."]


def test_other_networks_transfer_no_poses(run, transfers):
    with pytest.raises(ValueError, match="holds a TriA-GAN person inpainter, which is no transfer"):
        run(AnyoneLoadTransfer, name="mine/small.safetensors")
    with pytest.raises(FileNotFoundError, match="no transfer none.h5; there is .*mine/moves.safetensors"):
        run(AnyoneLoadTransfer, name="none.h5")
    before = AnyoneLoadTransfer.fingerprint_inputs(name="mine/moves.safetensors")
    os.utime(transfers / "mine" / "moves.safetensors", ns=(1, 1))
    assert AnyoneLoadTransfer.fingerprint_inputs(name="mine/moves.safetensors") != before


@pytest.fixture
def generators(models, make_generator):
    """Beside them generators of every kind of file, with classes and without."""
    for name, labels in (("people", {}), ("digits", {"labels": 3, "embed": 4})):
        plain = make_generator(**labels).module.generator
        save_file({key: value.contiguous() for key, value in plain.state_dict().items()},
                  models / f"{name}.safetensors")
    torch.save({"G_ema": plain.state_dict()}, models / "trained.pt")
    for file in ("stylegan2-pkl/tiny.pkl", "stylegan2-tf-pkl/tiny-tf.pkl", "stylegan2-pkl/evil.pkl",
                 "stylegan2-pkl/evil-storage.pkl"):
        shutil.copyfile(GOLDEN / file, models / Path(file).name)
    return models


@pytest.mark.parametrize("name, width, height, words", [
    ("people.safetensors", 16, 32, "No classes. Layers of w+: all 0-7, coarse 0-3, middle 4-7."),
    ("digits.safetensors", 16, 32, "Classes: 0-2. Layers of w+: all 0-7, coarse 0-3, middle 4-7."),
    ("trained.pt", 16, 32, "Classes: 0-2. Layers of w+: all 0-7, coarse 0-3, middle 4-7."),
    ("tiny.pkl", 16, 16, "No classes. Layers of w+: all 0-5, coarse 0-3, middle 4-5."),
    ("tiny-tf.pkl", 16, 16, "No classes. Layers of w+: all 0-5, coarse 0-3, middle 4-5.")])
def test_every_kind_of_generator_loads_and_draws(run, generators, name, width, height, words):
    output = run(AnyoneLoadGenerator, name=name)
    net, note = output.args
    assert note == f"{name} draws pictures {width} wide and {height} high. {words}" == output.ui["text"][0]
    latent = run(AnyoneSampleLatent, generator=net, seed=3).args[0]
    picture = run(AnyoneRenderLatent, generator=net, latent=latent).args[0]
    assert picture.shape == (1, height, width, 3) and picture.std() > 0.01
    assert run(AnyoneLoadGenerator, name=name).args[0] is net


def test_generators_are_offered_with_the_embedded_one_first(generators):
    names = offered(AnyoneLoadGenerator)
    assert names[0] == "stylegan-person" and {"people.safetensors", "tiny.pkl", "trained.pt"} <= set(names)
    before = AnyoneLoadGenerator.fingerprint_inputs(name="tiny.pkl")
    os.utime(generators / "tiny.pkl", ns=(1, 1))
    assert AnyoneLoadGenerator.fingerprint_inputs(name="tiny.pkl") != before
    assert AnyoneLoadGenerator.fingerprint_inputs(name="none.pkl") == "none.pkl is not here"


def test_published_generators_are_fetched_when_asked_only(run, generators, no_network, monkeypatch):
    for name, words in (("stylegan2-ffhq-512", "tick download, or run: .*licence: NVIDIA"),
                        ("stylegan-human-1024", "from https://drive.google.com/.* in a browser")):
        with pytest.raises(FileNotFoundError, match=words):
            run(AnyoneLoadGenerator, name=name)
        assert AnyoneLoadGenerator.fingerprint_inputs(name=name, download=True) == f"{name} is not here"
    fetched = []

    def fetch(row, runtime):
        fetched.append(row.name)
        shutil.move(generators / "tiny.pkl", generators / row.files[0])

    monkeypatch.setattr(importlib.import_module("anyone.nodes.load"), "fetch", fetch)
    for _ in range(2):
        note = run(AnyoneLoadGenerator, name="stylegan2-ffhq-512", download=True).args[1]
        assert note.startswith("stylegan2-ffhq-512 (NVIDIA source code licence, non-commercial) draws ")
    assert fetched == ["stylegan2-ffhq-512"]


@pytest.mark.parametrize("name, words", [
    ("evil.pkl", "evil.pkl .*refused"), ("evil-storage.pkl", "evil-storage.pkl .*refused"),
    ("mine/small.safetensors", "holds a TriA-GAN person inpainter, which is no generator"),
    ("other.safetensors", "other.safetensors"), ("none.pkl", "There is no generator none.pkl; there is ")])
def test_what_is_no_generator_is_refused_and_leaves_no_trace(run, generators, tmp_path, name, words):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(AnyoneLoadGenerator, name=name)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/tmp/owned").exists()
