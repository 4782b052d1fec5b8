"""`run.py pool` on tiny data sets with the folders and labels of the published ones."""
import argparse
import itertools
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from anyone.core import shards
from anyone.core.regions import FACE_REGIONS
from anyone.core.runtime import Interrupted, Runtime
from anyone.core.training import Pool, datasets, pools_cli
from anyone.core.training.datasets import ade20k, celebamask, paired_folders, write_pool
from anyone.core.training.labels import ADE20K, CITYSCAPES, parse_names
from PIL import Image
from safetensors.torch import load_file


def save(path, pixels, mode=None):
    """[h,w] or [h,w,3], 0..255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)


def noise(seed=0, height=40, width=60):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3))


def run(*words):
    parser = argparse.ArgumentParser()
    pools_cli.add_arguments(parser)
    return pools_cli.main(parser.parse_args(list(map(str, words))))


def rows(labels):
    """A label map 4 pixels high whose rows have these labels."""
    return np.repeat(np.array(labels)[:, None], 6, 1)


@pytest.fixture
def pairs(tmp_path):
    """Five pictures of size 6x4 whose labels are their number, and whose grey is ten times as much."""
    for number in range(5):
        save(tmp_path / f"set/images/p{number}.png", np.full((4, 6, 3), 10 * number))
        save(tmp_path / f"set/labels/p{number}.png", np.full((4, 6), number))
    return tmp_path / "set"


@pytest.fixture
def shards_of_two(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 2)


def test_parts_of_a_face_are_painted_in_the_order_of_their_numbers(tmp_path):
    root, areas = tmp_path / "CelebAMask-HQ", {"cloth": (300, 512), "skin": (100, 400), "hair": (50, 200)}
    for number in (3, 2001):
        save(root / f"CelebA-HQ-img/{number}.jpg", noise(number, 64, 64))
        for part, (top, bottom) in areas.items():
            mask = np.zeros((512, 512))
            mask[top:bottom] = 255 if number == 3 else 1
            save(root / f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05}_{part}.png", mask)
    assert run("celebamask", "--from", root, "--out", tmp_path / "pool", "--size", "512x512") == 0
    pool = Pool(tmp_path / "pool")
    assert pool.names == FACE_REGIONS and pool.unknown is None
    first, second = pool.take(torch.arange(2))["regions"]
    assert first[[0, 60, 150, 250, 350, 450], 9].tolist() == [0, 13, 13, 1, 18, 18]     # hair over skin
    assert torch.equal(first, second)


def test_faces_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 100):
        save(tmp_path / f"CelebA-HQ-img/{number}.jpg", noise())
    (tmp_path / "CelebAMask-HQ-mask-anno").mkdir()
    assert [path.stem for path in celebamask(tmp_path).pictures] == ["9", "10", "100"]


def test_a_face_without_masks_or_with_small_ones_is_refused(tmp_path):
    save(tmp_path / "CelebA-HQ-img/7.jpg", noise())
    save(tmp_path / "CelebAMask-HQ-mask-anno/0/00008_skin.png", np.ones((512, 512)))
    data = celebamask(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"00007_\*.png for 7.jpg"):
        data.read(data.pictures[0], (8, 8))
    save(tmp_path / "CelebAMask-HQ-mask-anno/0/00007_nose.png", np.ones((30, 20)))
    with pytest.raises(ValueError, match="00007_nose.png is 20x30; .* 512x512"):
        data.read(data.pictures[0], (8, 8))


def test_ade20k_counts_from_one_and_zero_is_unknown(tmp_path):
    for split, labels in (("training", [0, 1, 76, 150]), ("validation", [13, 13, 13, 13])):
        save(tmp_path / f"images/{split}/ADE_{split}.jpg", noise(0, 4, 6))
        save(tmp_path / f"annotations/{split}/ADE_{split}.png", rows(labels))
    run("ade20k", "--from", tmp_path, "--out", tmp_path / "pool", "--size", "4x6")
    run("ade20k", "--from", tmp_path, "--out", tmp_path / "held", "--size", "4x6", "--split", "validation")
    pool = Pool(tmp_path / "pool")
    assert pool.take(torch.tensor([0]))["regions"][0, :, 0].tolist() == [150, 0, 75, 149]
    assert pool.unknown == 150 and len(pool.names) == 151
    assert [pool.names[n] for n in (0, 12, 75, 126, 149, 150)] == [
        "wall", "person", "swivel chair", "animal", "flag", "unknown"]
    assert Pool(tmp_path / "held").take(torch.tensor([0]))["regions"].unique().tolist() == [12]


def test_cityscapes_finds_the_fine_labels_of_every_city(tmp_path):
    for city, label in (("bochum", 7), ("aachen", 26)):
        save(tmp_path / f"leftImg8bit/val/{city}/{city}_000_leftImg8bit.png", noise(label, 8, 16))
        save(tmp_path / f"gtFine/val/{city}/{city}_000_gtFine_labelIds.png", np.full((8, 16), label))
        save(tmp_path / f"gtFine/val/{city}/{city}_000_gtFine_color.png", noise(0, 8, 16))
    run("cityscapes", "--from", tmp_path, "--out", tmp_path / "pool", "--split", "val")
    pool = Pool(tmp_path / "pool")
    assert pool.size == (256, 512) and pool.names == CITYSCAPES and len(CITYSCAPES) == 35
    assert pool.unknown is None
    labels = pool.take(torch.arange(2))["regions"][:, 0, 0].tolist()
    assert [pool.names[label] for label in labels] == ["car", "road"]           # Aachen comes first


def test_pictures_shrink_bicubic_with_antialiasing_and_labels_by_the_centre_rule(tmp_path):
    pixels, labels = noise(5, 35, 48), np.arange(35 * 48).reshape(35, 48) % 200
    save(tmp_path / "images/a.png", pixels)
    save(tmp_path / "labels/a.png", labels)
    data = paired_folders(tmp_path, tuple(f"region {number}" for number in range(200)))
    image, found = data.read(data.pictures[0], (10, 12))
    expected = F.interpolate(torch.tensor(pixels).movedim(-1, 0)[None].float(), (10, 12), mode="bicubic",
                             antialias=True)[0].movedim(0, -1)
    assert (torch.from_numpy(image) - expected.clamp(0, 255)).abs().max() < 1.01
    down, across = np.floor((np.arange(10) + .5) * 3.5), np.floor((np.arange(12) + .5) * 4)
    assert np.array_equal(found, labels[np.ix_(down.astype(int), across.astype(int))])


def test_picture_and_labels_may_differ_in_size(pairs, tmp_path):
    save(pairs / "labels/p0.png", np.repeat([[1, 2]], 2, 0))
    data = paired_folders(pairs)
    assert data.read(data.pictures[0], (2, 4))[1].tolist() == [[1, 1, 2, 2]] * 2


def test_255_is_one_more_region_only_when_asked_for(pairs, tmp_path):
    save(pairs / "labels/p1.png", rows([0, 1, 255, 2]))
    words = ["folder", "--from", pairs, "--out", tmp_path / "pool", "--size", "4x6", "--names", "a, b,c,d,e"]
    with pytest.raises(ValueError, match=r"p1.png go up to 255, .* 0..4 and none of them is unknown"):
        run(*words)
    run(*words, "--unknown")
    pool = Pool(tmp_path / "pool")
    assert pool.names == ("a", "b", "c", "d", "e", "unknown") and pool.unknown == 5
    assert pool.take(torch.tensor([1]))["regions"][0, :, 0].tolist() == [0, 1, 5, 2]


def test_labels_beyond_the_names_and_colours_are_refused(pairs):
    data = paired_folders(pairs, ("a", "b", "c"), unknown=True)
    with pytest.raises(ValueError, match=r"p4.png go up to 4, but the regions are numbered 0..3\."):
        data.read(data.pictures[4], (4, 6))
    save(pairs / "labels/p0.png", noise())
    with pytest.raises(ValueError, match="p0.png should hold one label .* mode RGB"):
        data.read(data.pictures[0], (4, 6))


def test_a_palette_counts_by_its_numbers(pairs):
    labels = Image.fromarray(rows([3, 1, 0, 2]).astype(np.uint8), "P")
    labels.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    labels.save(pairs / "labels/p0.png")
    data = paired_folders(pairs)
    assert data.read(data.pictures[0], (4, 6))[1][:, 0].tolist() == [3, 1, 0, 2]


def test_shards_are_whole_in_order_and_kept(pairs, tmp_path, shards_of_two):
    out, data = tmp_path / "pool", paired_folders(pairs)
    assert write_pool(out, data, (4, 6), Runtime("cpu"), count=3) == []
    first = (out / "pool-00000.safetensors").stat().st_mtime_ns
    write_pool(out, data, (4, 6), Runtime("cpu"))
    assert (out / "pool-00000.safetensors").stat().st_mtime_ns == first
    assert sorted(path.name for path in out.iterdir()) == [f"pool-0000{n}.safetensors" for n in range(3)]
    samples = Pool(out).take(torch.arange(5))
    assert samples["regions"][:, 3, 5].tolist() == [0, 1, 2, 3, 4]
    assert samples["image"].shape == (5, 3, 4, 6) and samples["image"].dtype == torch.uint8
    assert samples["image"][:, 1, 2, 2].tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("change", [{"size": (8, 6)}, {"names": tuple("abcde")}, {"more": True}])
def test_a_pool_of_something_else_is_not_continued(pairs, tmp_path, change):
    write_pool(tmp_path / "pool", paired_folders(pairs), (4, 6), Runtime("cpu"))
    if "more" in change:
        save(pairs / "images/a.png", noise())
    data = paired_folders(pairs, change.get("names", FACE_REGIONS))
    with pytest.raises(ValueError, match="other settings"):
        write_pool(tmp_path / "pool", data, change.get("size", (4, 6)), Runtime("cpu"))


def break_two(pairs):
    (pairs / "images/p1.png").write_bytes((pairs / "images/p1.png").read_bytes()[:45])
    (pairs / "labels/p3.png").unlink()


def test_a_broken_file_is_named_and_nothing_half_is_left(pairs, tmp_path, shards_of_two):
    break_two(pairs)
    with pytest.raises(ValueError, match="p1.png cannot be read .* --skip-broken"):
        run("folder", "--from", pairs, "--out", tmp_path / "pool", "--size", "4x6")
    assert list((tmp_path / "pool").iterdir()) == []


def test_broken_files_are_left_out_named_and_taken_in_once_repaired(pairs, tmp_path, shards_of_two, capsys):
    break_two(pairs)
    words = ["folder", "--from", pairs, "--out", tmp_path / "pool", "--size", "4x6", "--skip-broken"]
    run(*words)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert len(told) == 2 and "p1.png" in told[0] and "p3.png" in told[1]
    assert Pool(tmp_path / "pool").take(torch.arange(3))["regions"][:, 0, 0].tolist() == [0, 2, 4]
    save(pairs / "labels/p3.png", np.full((4, 6), 3))
    run(*words)
    assert Pool(tmp_path / "pool").take(torch.arange(4))["regions"][:, 0, 0].tolist() == [0, 2, 3, 4]


def test_a_long_list_of_broken_files_is_cut(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pools_cli, "SHOWN", 1)
    break_two(pairs)
    run("folder", "--from", pairs, "--out", tmp_path / "pool", "--size", "4x6", "--skip-broken")
    told = capsys.readouterr().err
    assert told.count("left out") == 1 and "... and 1 more" in told


def test_an_interrupt_leaves_whole_shards(pairs, tmp_path, shards_of_two, impatient):
    with pytest.raises(Interrupted):
        write_pool(tmp_path, paired_folders(pairs), (4, 6), impatient(5))
    whole, = tmp_path.glob("*.safetensors")
    assert whole.name == "pool-00000.safetensors" and len(load_file(whole)["image"]) == 2


@pytest.mark.parametrize("name", ["celebamask", "ade20k", "cityscapes", "folder"])
def test_a_folder_of_something_else_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="There is no folder .* --from should name"):
        run(name, "--from", tmp_path, "--out", tmp_path / "pool")


def test_an_empty_folder_is_refused(tmp_path):
    for part in ("images", "annotations"):
        (tmp_path / part / "training").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no pictures in .*training"):
        ade20k(tmp_path)


def test_options_that_make_no_sense(pairs, tmp_path, capsys):
    for words in (("--size", "0x8"), ("--names", "a,,b"), ("--names", "a,b,a")):
        with pytest.raises(SystemExit):
            run("folder", "--from", pairs, "--out", tmp_path, *words)
        assert "look" in capsys.readouterr().err
    assert parse_names("sky, chest of drawers") == ("sky", "chest of drawers")
    assert len(set(ADE20K)) == 150


def test_pictures_are_read_on_several_threads_in_order(pairs, tmp_path, monkeypatch):
    meeting, original, calls = threading.Barrier(2, timeout=20), datasets.open_picture, itertools.count()

    def wait_and_open(path):
        if next(calls) < 2:                               # the first waits for a second reader
            meeting.wait()
        return original(path)

    monkeypatch.setattr(datasets, "open_picture", wait_and_open)
    write_pool(tmp_path / "pool", paired_folders(pairs), (4, 6), Runtime("cpu"), count=4)
    assert Pool(tmp_path / "pool").take(torch.arange(4))["regions"][:, 0, 0].tolist() == [0, 1, 2, 3]
