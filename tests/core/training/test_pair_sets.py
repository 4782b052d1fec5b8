"""`run.py pool market` and `deepfashion` on tiny data sets with the files and folders of the real ones."""
import argparse
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from anyone.core.training import Pairs, Pool, pools_cli
from anyone.core.training.pair_sets import flattened, market
from PIL import Image

HEAD = "name:keypoints_y:keypoints_x"
Y, X = list(range(10, 46, 2)), list(range(20, 56, 2))                # 18 joints, all there


def save(path, seed, height=128, width=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, "PNG")                        # whatever the name says: nothing is lost
    return pixels


def line(name, y=Y, x=X):
    return f"{name}: {list(y)}: {list(x)}"


def without(joint, values=Y, missing=-1):
    return [missing if number == joint else value for number, value in enumerate(values)]


def run(*words):
    parser = argparse.ArgumentParser()
    pools_cli.add_arguments(parser)
    return pools_cli.main(parser.parse_args(list(map(str, words))))


@pytest.fixture
def streets(tmp_path):
    """Two people with pictures 0007_a, 0007_b and 0002_a; the rest is to be left out."""
    root, names = tmp_path / "set", ["0007_c1s1_0.jpg", "0002_c1s1_0.jpg", "-1_c1s1_0.jpg", "0007_c2s1_0.jpg",
                                     "0000_c1s1_0.jpg", "0002_c3s1_0.jpg"]
    for seed, name in enumerate(names):
        save(root / "bounding_box_train" / name, seed)
    lines = [line(name) for name in names[:5]] + [line(names[5], without(8))]
    lines[1] = line(names[1], without(4), [-7, *X[1:]])               # no right wrist; a nose outside
    (root / "market-annotation-train.csv").write_text("\n".join([HEAD, *lines, ""]))
    return root


def test_people_lie_together_with_their_joints(streets, tmp_path):
    assert run("market", "--from", streets, "--out", tmp_path / "pool") == 0
    samples = Pool(tmp_path / "pool").take(torch.arange(3))
    assert samples["person"].tolist() == [0, 1, 1] and samples["person"].dtype == torch.int32
    for row, seed in enumerate((1, 0, 3)):
        pixels = np.random.RandomState(seed).randint(0, 256, (128, 64, 3))
        assert np.array_equal(samples["image"][row].movedim(0, -1), pixels)
    assert samples["keypoints"].shape == (3, 1, 18, 2) and samples["visibility"].shape == (3, 1, 18)
    expected = torch.tensor([X, Y]).T + 0.5
    assert torch.equal(samples["keypoints"][1, 0], expected)
    assert samples["keypoints"][0, 0, :5].tolist() == [[-6.5, 10.5], [22.5, 12.5], [24.5, 14.5], [26.5, 16.5],
                                                       [0, 0]]
    assert samples["visibility"][0, 0].tolist() == [2, 2, 2, 2, 0] + [2] * 13
    assert samples["visibility"][1:].eq(2).all()


def test_pairs_are_all_ordered_ones_of_a_person(streets, tmp_path):
    run("market", "--from", streets, "--out", tmp_path / "pool")
    pairs = Pairs(tmp_path / "pool")
    assert sorted(pairs.pairs.tolist()) == [[1, 2], [2, 1]]
    assert torch.equal(pairs.take(torch.tensor([0]))["keypoints"][0, 1, :, 0], torch.tensor(X) + 0.5)


def test_the_other_split_has_its_own_files_and_pictures_may_be_anywhere(streets, tmp_path):
    save(tmp_path / "elsewhere" / "0009_c1s1_0.jpg", 9)
    (streets / "market-annotation-test.csv").write_text(f"{HEAD}\r\n{line('0009_c1s1_0.jpg')}\r\n")
    words = ["market", "--from", streets, "--out", tmp_path / "pool", "--split", "test"]
    with pytest.raises(FileNotFoundError, match="neither market-dataset/test nor bounding_box_test nor test"):
        run(*words)
    run(*words, "--pictures", tmp_path / "elsewhere", "--size", "64x64")
    samples = Pool(tmp_path / "pool").take(torch.tensor([0]))
    assert samples["image"].shape == (1, 3, 64, 64)
    expected = torch.tensor([X, [y // 2 for y in Y]]).T + 0.5
    assert torch.equal(samples["keypoints"][0, 0], expected)


def test_the_small_variant_of_deepfashion(tmp_path):
    name = "fasionWOMENBlousesShirtsid0000277201_3back.jpg"
    pixels = save(tmp_path / "fasion-dataset" / "train" / name, 0, 256, 256)
    x = [39, 41, 44, 127, *range(100, 114)]
    (tmp_path / "fasion-annotation-train.csv").write_text(f"{HEAD}\n{line(name, without(17), x)}\n")
    run("deepfashion", "--from", tmp_path, "--out", tmp_path / "pool", "--size", "128x64", "--crop", 40)
    samples = Pool(tmp_path / "pool").take(torch.tensor([0]))
    small = Image.fromarray(pixels[:, 40:216]).resize((64, 128), Image.Resampling.BICUBIC)
    assert np.array_equal(samples["image"][0].movedim(0, -1), np.array(small))
    # 64/176 of -1, 1, 4 and 87, truncated toward zero
    assert samples["keypoints"][0, 0, :4, 0].tolist() == [0.5, 0.5, 1.5, 31.5]
    assert samples["keypoints"][0, 0, :3, 1].tolist() == [5.5, 6.5, 7.5]
    assert samples["visibility"][0, 0].tolist() == [2] * 17 + [0]


def test_unpacked_deepfashion_is_found_by_its_flattened_names(tmp_path):
    path = PurePosixPath("WOMEN/Blouses_Shirts/id_00002772/01_3_back.jpg")
    name = flattened(path)
    assert name == "fasionWOMENBlousesShirtsid0000277201_3back.jpg"
    other = flattened(PurePosixPath("MEN/Jackets_Vests/id_00000084/02_7_additional.jpg"))
    assert other == "fasionMENJacketsVestsid0000008402_7additional.jpg"
    pixels = save(tmp_path / "img" / path, 3, 256, 256)
    (tmp_path / "fasion-annotation-test.csv").write_text(f"{HEAD}\n{line(name)}\n")
    run("deepfashion", "--from", tmp_path, "--out", tmp_path / "pool", "--split", "test")
    samples = Pool(tmp_path / "pool").take(torch.tensor([0]))
    assert np.array_equal(samples["image"][0].movedim(0, -1), pixels)
    assert torch.equal(samples["keypoints"][0, 0], torch.tensor([X, Y]).T + 0.5)
    with pytest.raises(ValueError, match="--crop .* 0 to 127 .* got 128"):
        run("deepfashion", "--from", tmp_path, "--out", tmp_path / "pool", "--crop", 128)


BROKEN = {
    "no list": ("0007_c2s1_0.jpg", "Line 2 of market-annotation-train.csv should be a name and two lists"),
    "no JSON": ("0007_c2s1_0.jpg: [1, 2: [3]", "Line 2 .* no valid JSON list"),
    "17 joints": (line("0007_c2s1_0.jpg", Y[:17]), "two lists of 18 numbers; one of them is .10, 12"),
    "no list but a number": ("0007_c2s1_0.jpg: 3: [3]", "two lists of 18 numbers; one of them is 3"),
    "no numbers": (line("0007_c2s1_0.jpg").replace("[10", '["10"'), "coordinates in pixels"),
    "infinite": (line("0007_c2s1_0.jpg").replace("10", "Infinity"), "coordinates in pixels"),
    "huge": (line("0007_c2s1_0.jpg", without(0, missing=10**400)), "coordinates in pixels"),
    "missing": (line("0007_c9s1_0.jpg"), "There is no file .*0007_c9s1_0.jpg"),
    "too large": (line("0007_large.jpg"), "0007_large.jpg is 75x110 .* pictures of 64x128"),
    "damaged": (line("0007_damaged.jpg"), "0007_damaged.jpg cannot be read"),
    "deep": ("0007_c2s1_0.jpg: " + "[" * 100_000 + ": []", "no valid JSON list"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_named_and_may_be_left_out(streets, tmp_path, capsys, kind):
    text, message = BROKEN[kind]
    save(streets / "bounding_box_train" / "0007_large.jpg", 0, 110, 75)
    (streets / "bounding_box_train" / "0007_damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (streets / "market-annotation-train.csv").write_text("\n".join([HEAD, text, line("0007_c1s1_0.jpg")]))
    words = ["market", "--from", streets, "--out", tmp_path / "pool"]
    with pytest.raises((ValueError, FileNotFoundError), match=f"{message}.* --skip-broken"):
        run(*words)
    run(*words, "--skip-broken")
    assert "left out: " in capsys.readouterr().err and len(Pool(tmp_path / "pool")) == 1


@pytest.mark.parametrize("content, message", [
    (b"from,to\n", "should begin with the line name:keypoints_y:keypoints_x; it begins with 'from,to'"),
    (b"", "begins with ''"), (b"\xff\xd8\xff\xe0", "is no text file"),
    (HEAD.encode(), "lists no picture of a person with both shoulders and hips"),
])
def test_another_file_is_refused(streets, content, message):
    (streets / "market-annotation-train.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        market(streets)


def test_without_annotations_nothing_can_be_said(streets):
    (streets / "market-annotation-train.csv").unlink()
    with pytest.raises(FileNotFoundError, match="market-annotation-train.csv"):
        market(streets)
