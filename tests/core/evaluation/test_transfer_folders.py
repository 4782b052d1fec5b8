"""The papers' tables for folders of pictures, and what they are made of."""
from __future__ import annotations

import argparse
import math

import pytest
import torch
from anyone.core.checkpoints import load_as
from anyone.core.evaluation import cli, transfer_folders
from anyone.core.evaluation.transfer_folders import list_cases, score_cases
from anyone.core.features import region_shares, surest_people
from anyone.core.metrics.images import mean_difference, ssim
from anyone.core.metrics.inception import inception_score
from anyone.core.metrics.transfer import DEFORMABLE_GAN, PG2, transfer_scores
from anyone.core.pose.maps import polygon_mask, pose_mask
from anyone.core.runtime import Runtime
from anyone.core.synthetic import render_people
from PIL import Image

HEIGHT, WIDTH = 64, 32


def run(capsys, *words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    code = cli.main(parser.parse_args(list(map(str, words))))
    return code, capsys.readouterr().out


def save(path, picture):
    """[3,H,W] 0..255."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture.byte().movedim(0, -1).numpy()).save(path)


@pytest.fixture(scope="module")
def people():
    """Twelve real pictures [12,3,H,W] 0..255, generated ones, and whole joints [12,18,2]."""
    made = render_people(torch.arange(12), HEIGHT, WIDTH, mode="studio")
    real = (made.image * 255).floor()
    noise = torch.randint(-40, 41, real.shape, generator=torch.Generator().manual_seed(0))
    return real, (real * 0.8 + noise).clamp(0, 255).floor(), made.keypoints[:, 0].floor()


@pytest.fixture
def folders(tmp_path, people):
    """real/, fake/, a list of annotations, and one of pairs whose results are in results/."""
    real, fake, joints = people
    lines, pairs = ["name:keypoints_y:keypoints_x"], ["from,to"]
    for number, points in enumerate(joints.int().tolist()):
        name = f"{number:04}_c1s1_0"
        save(tmp_path / "real" / f"{name}.png", real[number])
        save(tmp_path / "fake" / f"{name}.bmp", fake[number])
        lines.append(f"{name}.jpg: {[y for _, y in points]}: {[x for x, _ in points]}")
    for source, target in ((3, 1), (0, 5), (2, 1)):
        names = [f"{number:04}_c1s1_0" for number in (source, target)]
        save(tmp_path / "results" / f"{names[0]}_{names[1]}.png", fake[source])
        pairs.append(",".join(f"{name}.jpg" for name in names))
    (tmp_path / "annotation.csv").write_text("\n".join(lines))
    (tmp_path / "pairs.csv").write_text("\n".join(pairs))
    return tmp_path


@pytest.mark.parametrize("convention, mask, data_range, unit", [
    (DEFORMABLE_GAN, polygon_mask, None, 127.5), (PG2, pose_mask, 255, 1)])
def test_both_papers_have_their_own_rules(people, convention, mask, data_range, unit):
    real, fake, joints = (each[:2] for each in people)
    masks = torch.stack([mask(points, HEIGHT, WIDTH) for points in joints])
    found = transfer_scores(real, fake, convention, masks)
    for i in range(2):
        a, b, shown = real[i:i + 1], fake[i:i + 1], masks[i]
        assert torch.equal(convention.mask(joints[i], HEIGHT, WIDTH), shown)
        for name, x, y in (("ssim", a, b), ("mask_ssim", a * shown, b * shown)):
            expected = ssim(x, y, convention.window, data_range or float(y.max() - y.min()))
            assert float(found[name][i]) == pytest.approx(float(expected))
        assert float(found["l1"][i]) == pytest.approx(float(mean_difference(a, b)) / unit)


def test_a_picture_of_one_colour_has_a_score():
    flat = torch.full((1, 3, 16, 16), 90.0)
    assert float(transfer_scores(flat, flat, DEFORMABLE_GAN)["ssim"]) == pytest.approx(1)
    assert float(transfer_scores(flat + 50, flat, DEFORMABLE_GAN)["ssim"]) < 1


@pytest.fixture
def bright(monkeypatch):
    """A detector that is as sure of people as the picture is bright."""
    monkeypatch.setattr(transfer_folders, "surest_people", lambda net, pictures, runtime: torch.stack(
        [picture.mean() for picture in pictures]))


def test_the_table_holds_means_and_named_substitutes(folders, people, bright):
    cases = list_cases(folders / "real", folders / "fake", folders / "annotation.csv")
    rows = score_cases(cases, Runtime("cpu"))
    real, fake, joints = people
    net = load_as("detect-person", "detector", Runtime("cpu"))
    assert list(rows) == ["deformable_gan", "pg2", "real"]
    for row, convention in (("deformable_gan", DEFORMABLE_GAN), ("pg2", PG2)):
        masks = torch.stack([convention.mask(points, HEIGHT, WIDTH) for points in joints])
        for name, values in transfer_scores(real, fake, convention, masks).items():
            assert rows[row][name] == pytest.approx(float(values.mean()), rel=1e-6)
        for name, pictures in (("is_detector", fake), ("mask_is_detector", fake * masks[:, None])):
            shares = region_shares(net, list(pictures / 255), Runtime("cpu"))
            assert rows[row][name] == pytest.approx(inception_score(shares)[0], rel=1e-4)
    assert rows["deformable_gan"]["ds_detector"] == pytest.approx(float(fake.mean()) / 255, rel=1e-5)
    assert rows["real"]["ds_detector"] == pytest.approx(float(real.mean()) / 255, rel=1e-5)
    assert set(rows["pg2"]) == {"ssim", "l1", "mask_ssim", "is_detector", "mask_is_detector"}
    assert set(rows["real"]) == {"is_detector", "ds_detector"}


def test_the_detector_is_sure_of_people_and_not_of_walls():
    net = load_as("detect-person", "detector", Runtime("cpu"))
    person = render_people(torch.tensor([4]), 128, 128, mode="studio").image[0]
    sure = surest_people(net, [person, torch.full((3, 128, 128), 0.6)], Runtime("cpu"))
    assert sure[0] > 0.4 and sure[1] == 0


def test_regions_are_shared_out_as_they_are_seen():
    net = load_as("detect-person", "detector", Runtime("cpu"))
    made = render_people(torch.arange(40, 44), 128, 128, mode="studio")
    found = region_shares(net, list(made.image), Runtime("cpu"))
    areas = torch.stack([(made.regions == number).sum((1, 2)) for number in range(1, 12)], 1).float()
    assert found.shape == (4, 11)
    torch.testing.assert_close(found.sum(1), torch.ones(4))
    assert (found - areas / areas.sum(1, keepdim=True)).abs().max() < 0.1


def test_a_list_of_pairs_names_target_and_result(folders):
    cases = list_cases(folders / "real", folders / "results", folders / "annotation.csv",
                       folders / "pairs.csv")
    assert [(case.real.stem[:4], case.fake.stem) for case in cases] == [
        ("0001", "0003_c1s1_0_0001_c1s1_0"), ("0005", "0000_c1s1_0_0005_c1s1_0"),
        ("0001", "0002_c1s1_0_0001_c1s1_0")]
    assert torch.equal(cases[0].joints, cases[2].joints)
    assert not torch.equal(cases[0].joints, cases[1].joints)


def test_the_command_prints_the_columns(folders, capsys, monkeypatch):
    rows = {"pg2": {"l1": 9.98765, "ssim": 0.5, "mask_is_detector": math.nan}, "real": {"ds_detector": 1.0}}
    monkeypatch.setattr(cli, "score_cases", lambda cases, runtime, inception: rows)
    code, out = run(capsys, "transfer", "--real", folders / "real", "--fake", folders / "fake")
    assert code == 0 and [line.split() for line in out.splitlines()] == [
        ["12", "pairs"], ["ssim", "mask_is_detector", "ds_detector", "l1"],
        ["pg2", "0.5000", "-", "-", "9.9877"], ["real", "-", "-", "1.0000", "-"]]
    assert len(set(map(len, out.splitlines()[1:]))) == 1


def test_with_inception_the_score_has_its_own_name(folders, people, bright, monkeypatch, capsys):
    """A classifier that knows three classes, by the mean colour."""
    def classify(net, pictures, runtime):
        assert net == "inception-2015.pth as classifier"
        return torch.stack([picture.mean((1, 2)) * 9 for picture in pictures]).softmax(1)

    real, fake, joints = people
    masks = torch.stack([PG2.mask(points, HEIGHT, WIDTH) for points in joints])
    monkeypatch.setattr(transfer_folders, "class_probabilities", classify)
    cases = list_cases(folders / "real", folders / "fake", folders / "annotation.csv")
    rows = score_cases(cases, Runtime("cpu"), "inception-2015.pth as classifier")
    assert list(rows["pg2"]) == ["ssim", "is", "mask_ssim", "mask_is", "l1"]
    for name, pictures in (("is", fake), ("mask_is", fake * masks[:, None])):
        expected = inception_score((pictures.mean((2, 3)) * 9 / 255).softmax(1))[0]
        assert rows["pg2"][name] == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(cli, "_net", lambda name, role, runtime: f"{name} as {role}")
    out = run(capsys, "transfer", "--real", folders / "real", "--fake", folders / "fake", "--inception",
              "inception-2015.pth")[1]
    assert out.splitlines()[1].split() == ["ssim", "is", "ds_detector", "l1"]


def test_few_pictures_without_joints_have_fewer_columns(folders, bright, capsys):
    for number in range(3, 12):
        (folders / "real" / f"{number:04}_c1s1_0.png").unlink()
        (folders / "fake" / f"{number:04}_c1s1_0.bmp").unlink()
    rows = score_cases(list_cases(folders / "real", folders / "fake"), Runtime("cpu"))
    assert math.isnan(rows["pg2"]["is_detector"]) and "mask_ssim" not in rows["deformable_gan"]
    out = run(capsys, "transfer", "--real", folders / "real", "--fake", folders / "fake")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["3", "ssim", "deformable_gan", "pg2", "real"]
    assert out.splitlines()[1].split() == ["ssim", "is_detector", "ds_detector", "l1"]


@pytest.mark.parametrize("change, words", [
    (lambda at: (at / "results" / "0003_c1s1_0_0001_c1s1_0.png").unlink(),
     "results has no 0003_c1s1_0_0001_c1s1_0, which pairs.csv asks for"),
    (lambda at: [(at / "real" / f"000{i}_c1s1_0.png").unlink() for i in (1, 5)],
     "real has no 0001_c1s1_0, 0005_c1s1_0, 0001_c1s1_0, which pairs.csv"),
    (lambda at: (at / "pairs.csv").write_text("to,from\n"), "begin with the line from,to; .* 'to,from'"),
    (lambda at: (at / "pairs.csv").write_text("from,to\na,b,c"), "Line 2 of pairs.csv should be two names"),
    (lambda at: (at / "pairs.csv").write_text("from,to\na,\n"), "Line 2 of pairs.csv should be two names"),
    (lambda at: (at / "pairs.csv").write_text("from,to\n"), "pairs.csv lists no pairs"),
    (lambda at: (at / "annotation.csv").write_text("name:keypoints_y:keypoints_x\n"),
     "annotation.csv has no joints of 0001_c1s1_0.png, 0005_c1s1_0.png, 0001_c1s1_0.png"),
    (lambda at: (at / "pairs.csv").unlink(), "There is no file .*pairs.csv"),
    (lambda at: save(at / "results" / "0003_c1s1_0_0001_c1s1_0.png", torch.zeros(3, 20, 30)),
     "32x64 in .* and 30x20 in"),
])
def test_lists_that_do_not_fit_are_refused(folders, capsys, change, words):
    change(folders)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(capsys, "transfer", "--real", folders / "real", "--fake", folders / "results", "--pairs",
            folders / "pairs.csv", "--annotations", folders / "annotation.csv")


def test_folders_come_in_twos(folders, capsys):
    with pytest.raises(ValueError, match="--real DIR --fake DIR"):
        run(capsys, "transfer", "--fake", folders / "fake")


def test_pictures_too_small_for_a_window_are_named(tmp_path):
    for side in ("real", "fake"):
        save(tmp_path / side / "a.png", torch.zeros(3, 9, 8))
    with pytest.raises(ValueError, match="a.png: SSIM needs pictures of at least 11x11"):
        score_cases(list_cases(tmp_path / "real", tmp_path / "fake"), Runtime("cpu"))
