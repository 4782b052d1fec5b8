"""`run.py pool pg2` on tiny tf-record files with the features of the published ones."""
import argparse
import io
import random

import numpy as np
import pytest
import torch
from anyone.core.pose.maps import disc_maps
from anyone.core.runtime import Runtime
from anyone.core.training import Pairs, Pool, pools_cli
from anyone.core.training.pg2_records import disc_centres, pg2
from anyone.core.training.tf_records import features, numbers, read_records, texts
from PIL import Image

SIZE = (32, 16)
TORSO = [2, 5, 8, 11]


def varint(value):
    value &= (1 << 64) - 1
    rest = b""
    while value > 127:
        rest, value = rest + bytes([value & 127 | 128]), value >> 7
    return rest + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(values):
    if isinstance(values, bytes):
        return field(1, field(1, values))
    if isinstance(values, list):
        return field(3, field(1, b"".join(map(varint, values))))           # packed
    return field(3, varint(1 << 3) + varint(values))


def example(values):
    return field(1, b"".join(field(1, field(1, name.encode()) + field(2, feature(value)))
                             for name, value in values.items()))


def framed(content):
    return len(content).to_bytes(8, "little") + b"crc1" + content + b"crc2"


def joints(seed, missing=()):
    """[18,2] x, y inside SIZE."""
    random = torch.Generator().manual_seed(seed)
    found = torch.stack([torch.randint(side, (18,), generator=random) for side in SIZE[::-1]], 1).float()
    found[list(missing)] = torch.nan
    return found


def indices(points, size=SIZE):
    """As published: not sorted."""
    found = disc_maps(points, *size).movedim(0, -1).flatten().nonzero()[:, 0].tolist()
    return random.Random(0).sample(found, len(found))


def jpeg(seed, size=SIZE):
    stream = io.BytesIO()
    pixels = np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def pair(first, second, people=(7, 7), missing=(), **changes):
    """One record, of pictures and joints of two seeds."""
    values = {"image_height": SIZE[0], "image_width": SIZE[1], "label": 1, "image_format": b"jpg"}
    for side, seed, person in zip("01", (first, second), people, strict=True):
        values |= {f"image_raw_{side}": jpeg(seed), f"indices_r4_{side}": indices(joints(seed, missing)),
                   f"id_{side}": person, f"pose_mask_r4_{side}": [1] * 9, f"cam_{side}": -1}
    return example({name: value for name, value in (values | changes).items() if value is not None})


@pytest.fixture
def written(tmp_path):
    def write(*records, end=b""):
        file = tmp_path / "Market1501_train_00000-of-00001.tfrecord"
        file.write_bytes(b"".join(map(framed, records)) + end)
        return file
    return write


def run(*words):
    parser = argparse.ArgumentParser()
    pools_cli.add_arguments(parser)
    return pools_cli.main(parser.parse_args(list(map(str, words))))


def test_every_picture_comes_once_and_a_persons_together(written, tmp_path):
    file = written(pair(1, 2), pair(3, 4, (b"0009", b"0009"), missing=[0, 17]), pair(2, 1), pair(5, 2))
    assert run("pg2", "--from", file, "--out", tmp_path / "pool") == 0
    samples = Pool(tmp_path / "pool").take(torch.arange(5))
    assert samples["person"].tolist() == [0, 0, 0, 1, 1]
    for row, seed in enumerate((1, 2, 5, 3, 4)):
        expected = np.array(Image.open(io.BytesIO(jpeg(seed))))
        assert np.array_equal(samples["image"][row].movedim(0, -1), expected)
        there = samples["visibility"][row, 0] == 2
        assert torch.equal(samples["keypoints"][row, 0][there], joints(seed)[there] + 0.5)
        assert (~there).nonzero()[:, 0].tolist() == ([0, 17] if seed in (3, 4) else [])
    assert len(Pairs(tmp_path / "pool")) == 6 + 2


def test_pictures_are_one_persons_when_pairs_link_them(written):
    """1 to 4 are linked only by the last record; 5 and 6 are mirrored copies; 7 and 8 are two people."""
    file = written(pair(1, 2), pair(3, 4), pair(5, 6), pair(7, 8, (1, 2)), pair(4, 1))
    pictures = pg2(file, Runtime("cpu")).pictures
    assert [photo.person for photo in pictures] == [0, 0, 0, 0, 1, 1, 2, 3]
    assert all(torch.equal(photo.joints, joints(seed)) for seed, photo in enumerate(pictures, start=1))


def test_pictures_without_a_trunk_are_left_out(written):
    found = pg2(written(pair(1, 2, missing=[8]), pair(3, 4)), Runtime("cpu"))
    assert len(found.pictures) == 2 and found.frame == SIZE
    with pytest.raises(ValueError, match="lists no picture of a person with both shoulders and hips"):
        pg2(written(pair(1, 2, missing=[8])), Runtime("cpu"))


def test_centres_are_exact_wherever_the_disc_is_cut():
    height, width = 11, 13
    for start in range(0, height * width, 18):
        places = torch.arange(start, start + 18).clamp(max=height * width - 1)
        points = torch.stack([places % width, places // width], 1).float()
        assert torch.equal(disc_centres(indices(points, (height, width)), (height, width)), points)


def test_what_is_no_disc_is_missing():
    points = joints(0)
    drawn = indices(points)
    outside = disc_maps(torch.tensor([[-2.0, 8.0]]), *SIZE)[0].flatten().nonzero()[:, 0] * 18 + 3
    changed = [index for index in drawn if index % 18 not in (0, 3, 5)] + outside.tolist()
    changed += [index for index in drawn if index % 18 == 5][1:]                   # a pixel is missing
    found = disc_centres(changed, SIZE)
    assert found.isnan().all(1).nonzero()[:, 0].tolist() == [0, 3, 5]
    kept = [joint for joint in range(18) if joint not in (0, 3, 5)]
    assert torch.equal(found[kept], points[kept])
    assert disc_centres([], SIZE).isnan().all()


@pytest.mark.parametrize("change, message", [
    ({"id_1": None}, "has no id_1"),
    ({"indices_r4_0": None, "image_height": None}, "has no image_height, indices_r4_0"),
    ({"image_raw_0": 3}, "its image_raw_0 is empty"), ({"id_0": []}, "its id_0 is empty"),
    ({"image_height": 0}, "16x0 pixels"), ({"image_width": 1 << 40}, "pixels"),
    ({"indices_r4_1": [18 * 32 * 16]}, "beyond 16x32"), ({"indices_r4_1": [-1]}, "beyond 16x32"),
    ({"image_height": 64}, "pictures are 16x64, but those before 16x32"),
])
def test_records_of_something_else_are_named(written, change, message):
    first = framed(pair(1, 2))
    with pytest.raises(ValueError, match=f"The record at byte {len(first) + 12} of Market.* is no pair of PG2"
                                         f".*{message}"):
        pg2(written(pair(1, 2), pair(3, 4, **change)), Runtime("cpu"))


@pytest.mark.parametrize("end", [b"\x00", b"<html>" * 9, (1 << 63).to_bytes(8, "little") + b"crc1",
                                 framed(b"x" * 50)[:-1], b"\x1f\x8b\x08" + bytes(40)])
def test_files_that_end_early_or_hold_something_else(written, end):
    with pytest.raises(ValueError, match="is no uncompressed tf-record file, or was cut off: .* byte 0 "):
        list(read_records(written(end=end)))
    first = written(pair(1, 2)).stat().st_size
    with pytest.raises(ValueError, match=f"byte {first} "):
        pg2(written(pair(1, 2), end=end), Runtime("cpu"))


def test_a_broken_picture_is_named_and_may_be_left_out(written, tmp_path, capsys):
    words = ["pg2", "--from", written(pair(1, 2, image_raw_1=jpeg(2)[:300])), "--out", tmp_path / "pool"]
    with pytest.raises(ValueError, match="Picture 1 of the record at byte 12 of Market.* --skip-broken"):
        run(*words)
    run(*words, "--skip-broken")
    assert "Picture 1" in capsys.readouterr().err and len(Pool(tmp_path / "pool")) == 1


def test_pictures_of_another_size_than_told_are_refused(written, tmp_path):
    file = written(pair(1, 2, image_raw_0=jpeg(1, (16, 16))))
    with pytest.raises(ValueError, match="is 16x16 .* pictures of 16x32"):
        run("pg2", "--from", file, "--out", tmp_path / "pool")
    with pytest.raises(FileNotFoundError, match="gone.tfrecord"):
        pg2(file.with_name("gone.tfrecord"), Runtime("cpu"))


def test_numbers_come_packed_or_one_by_one_and_may_be_negative():
    single = field(3, varint(1 << 3) + varint(5) + varint(1 << 3) + varint(-6))
    assert numbers(feature([1, 1 << 40, -2])) == [1, 1 << 40, -2] and numbers(single) == [5, -6]
    assert texts(feature([1])) == [] and numbers(feature(b"x")) == [] and texts(feature(b"x")) == [b"x"]
    assert features(example({"a": 1, "b": b"c"})) == {"a": feature(1), "b": feature(b"c")}


def test_damaged_records_get_an_answer(written):
    """Any change of any bytes: pictures that can be listed, or one sentence."""
    whole, dice = bytearray(framed(pair(1, 2))), random.Random(0)
    answers = {"pictures": 0, "sentence": 0}
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        file = written()
        file.write_bytes(changed)
        try:
            answers["pictures"] += len(pg2(file, Runtime("cpu")).pictures)
        except ValueError:
            answers["sentence"] += 1
    assert min(answers.values()) > 30
