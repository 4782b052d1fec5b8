"""`run.py eval` as the user sees it, and the features its FID is made of."""
from __future__ import annotations

import argparse
import math

import numpy as np
import pytest
import torch
from anyone.core.checkpoints import load, load_as
from anyone.core.evaluation import cli
from anyone.core.evaluation.folders import pair_up, score_pairs
from anyone.core.evaluation.generators import feature_distance, score_generator, studio_people
from anyone.core.features import detector_features
from anyone.core.metrics.images import psnr, rmse, ssim
from anyone.core.runtime import Runtime
from anyone.core.stylegan.network import Config, Generator
from PIL import Image
from safetensors.torch import save_file


def run(capsys, *words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args(list(map(str, words)))
    code = cli.main(args)
    return code, capsys.readouterr().out


def save(path, pixels):
    """[H,W,3] 0..255."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def noise(seed, height=40, width=30):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3))


@pytest.fixture
def folders(tmp_path):
    """Three pairs, the fake ones 20 levels darker; the sizes differ from pair to pair."""
    for seed in range(3):
        pixels = noise(seed, 40 + seed)
        save(tmp_path / "real" / f"{seed}.png", pixels)
        save(tmp_path / "fake" / f"{seed}.bmp", pixels - np.minimum(pixels, 20))
    return tmp_path / "real", tmp_path / "fake"


def read(folder, name):
    return torch.from_numpy(np.array(Image.open(folder / name))).movedim(-1, 0)[None].float() / 255


def test_the_scores_are_means_over_the_pairs(folders, capsys):
    real, fake = folders
    code, text = run(capsys, "images", "--real", real, "--fake", fake)
    lines = dict(line.split() for line in text.splitlines())
    pairs = [(read(real, f"{i}.png"), read(fake, f"{i}.bmp")) for i in range(3)]
    assert code == 0 and lines["pairs"] == "3"
    for name, score in (("ssim", ssim), ("rmse", rmse), ("psnr", psnr)):
        mean = sum(float(score(a, b)) for a, b in pairs) / 3
        assert float(lines[name]) == pytest.approx(mean, abs=5.1e-5)
    assert float(lines["fid_detector"]) > 0


def test_the_same_folder_twice_is_no_distance_apart(folders):
    real, _ = folders
    scores = score_pairs(pair_up(real, real), Runtime("cpu"))
    assert scores["ssim"] == pytest.approx(1) and scores["psnr"] == math.inf and scores["rmse"] == 0
    assert scores["fid_detector"] == pytest.approx(0, abs=1e-6)


def test_a_single_pair_has_everything_but_fid(tmp_path, capsys):
    save(tmp_path / "real" / "a.png", noise(0))
    save(tmp_path / "fake" / "a.png", noise(1))
    lines = run(capsys, "images", "--real", tmp_path / "real", "--fake", tmp_path / "fake")[1].splitlines()
    assert lines[0].split() == ["pairs", "1"] and lines[1].startswith("ssim")
    assert lines[-1].split(maxsplit=1) == ["fid_detector", "needs two pairs or more"]


def test_pairs_go_by_name_and_not_by_suffix(folders):
    real, fake = folders
    (real / "notes.txt").write_text("no picture")
    assert [(a.name, b.name) for a, b in pair_up(real, fake)] == [(f"{i}.png", f"{i}.bmp") for i in range(3)]


@pytest.mark.parametrize("change, words", [
    (lambda real, fake: (fake / "1.bmp").unlink(), "fake has no 1; both"),
    (lambda real, fake: [(real / f"{i}.png").unlink() for i in range(2)], "real has no 0, 1; both"),
    (lambda real, fake: [save(fake / f"x{i}.png", noise(0)) for i in range(5)], "no x0, x1, x2 and 2 more;"),
    (lambda real, fake: [path.unlink() for path in fake.iterdir()], "fake holds no pictures"),
    (lambda real, fake: save(fake / "1.png", noise(0)), "holds both 1.bmp and 1.png"),
    (lambda real, fake: save(fake / "1.bmp", noise(0, 9, 8)), "30x41 in .*1.png and 8x9 in .*1.bmp"),
    (lambda real, fake: [save(place, noise(0, 9, 8)) for place in (real / "1.png", fake / "1.bmp")],
     "1.png: SSIM needs pictures of at least 11x11"),
    (lambda real, fake: (fake / "1.bmp").write_bytes(b"<html>"), "1.bmp cannot be read"),
    (lambda real, fake: fake.rename(fake.with_name("gone")), "There is no folder .*fake"),
])
def test_folders_that_do_not_match_are_refused(folders, capsys, change, words):
    change(*folders)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(capsys, "images", "--real", folders[0], "--fake", folders[1])


def test_the_detectors_features_see_pictures_whole_and_of_any_size():
    net, runtime = load_as("detect-person", "detector", Runtime("cpu")), Runtime("cpu")
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 128, 128, generator=random)
    wide = torch.cat([torch.full((3, 32, 128), 0.5), picture[:, :64], torch.full((3, 32, 128), 0.5)], 1)
    found = detector_features(net, [picture, picture[:, :64], wide], runtime)
    assert len(found) == 3 and found.std(0).max() > 0.01
    torch.testing.assert_close(found[1], found[2])        # grey is put round what is not square
    last = []
    hook = net.module.encoder[2].register_forward_hook(lambda *call: last.append(call[-1]))
    net.module(picture[None])
    hook.remove()
    torch.testing.assert_close(found[0], last[0].mean((2, 3))[0], rtol=1e-4, atol=1e-5)
    detector_features(net, [picture], runtime)
    assert len(last) == 1


def test_a_detector_is_scored_on_every_kind_of_scene(capsys, monkeypatch):
    asked = []

    def score(net, scene, *, count, side, runtime):
        asked.append((net.system.role, scene, count, side))
        return {"pck": len(asked) / 10, "mask_iou": 0.5}

    monkeypatch.setattr(cli, "score_detector", score)
    code, out = run(capsys, "detector", "--count", 3, "--side", 64)
    assert code == 0 and asked == [("detector", scene, 3, 64) for scene in cli.SCENES]
    head, first, *_, last = out.splitlines()
    assert head.split() == ["pck", "mask_iou"]
    assert first.split() == ["scenes", "0.100", "0.500"] and last.split() == ["occluded", "0.400", "0.500"]


def test_label_maps_add_the_parsers_columns(capsys, tmp_path):
    """A wall with nobody on it, of which half is said to be a top."""
    wall = np.full((64, 64, 3), 150)
    for side in ("real", "fake"):
        save(tmp_path / side / "a.png", wall)
    labels = np.zeros((64, 64), np.uint8)
    labels[32:] = 4
    (tmp_path / "labels").mkdir()
    Image.fromarray(labels).save(tmp_path / "labels" / "a.png")
    folders = [word for name in ("real", "fake", "labels") for word in (f"--{name}", tmp_path / name)]
    code, out = run(capsys, "images", *folders)
    scores = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and float(scores["pixel_accuracy"]) == 0.5 and float(scores["miou"]) == 0.25


def test_the_scores_of_a_generator(tmp_path, capsys, monkeypatch):
    generator = Generator(Config(channels=(4, 4, 4), z=6, mapping=(7,))).initialise(1)
    save_file(generator.state_dict(), tmp_path / "tiny.safetensors")
    words = "stylegan", "--weights", tmp_path / "tiny.safetensors", "--count", "3", "--drags", "1"
    code, text = run(capsys, *words)
    net, runtime = load(tmp_path / "tiny.safetensors"), Runtime("cpu")
    expected = score_generator(net, count=3, runtime=runtime)
    expected["fid_detector"] = feature_distance(net, studio_people(net, 3), runtime=runtime)
    found = dict(map(str.split, text.splitlines()))
    assert code == 0 and found["drag_people"] == "0.0000" and found["drag_half_way"] == "-"
    assert {name: float(found[name]) for name in expected} == pytest.approx(expected, abs=1e-4, rel=1e-4)
    image = torch.randint(256, (5, 16, 16, 3), generator=torch.Generator().manual_seed(0)).byte()
    (tmp_path / "real").mkdir()
    for number, picture in enumerate(image):
        Image.fromarray(picture.numpy()).save(tmp_path / "real" / f"{number}.png")
    asked = []
    monkeypatch.setattr(cli, "score_dragging", lambda net, **options: asked.append(options) or {})
    words = *words, "--real", tmp_path / "real", "--learning-rate", "0.01"
    found = dict(map(str.split, run(capsys, *words)[1].splitlines()))
    assert (asked[0]["count"], asked[0]["learning_rate"]) == (1, 0.01)
    distance = feature_distance(net, [image[:3].movedim(-1, 1) / 255], runtime=runtime)
    assert float(found["fid_detector"]) == pytest.approx(distance, abs=1e-4, rel=1e-4)
