"""TensorFlow bundles: what they hold, and what damaged and hostile ones get for an answer."""
from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints.tf_bundle import read_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REAL = Path(__file__).parents[2] / "golden/pg2-ckpt-format/model.ckpt-0.index"
DATA = ".data-00000-of-00001"
MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT, INT, TEXT = 1, 3, 7


def varint(number):
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dtype, shape, offset, size, shard=0):
    sides = b"".join(field(2, field(1, side)) for side in shape)
    numbers = field(3, shard) + field(4, offset) + field(5, size)
    return field(1, dtype) + field(2, sides) + numbers + varint(6 << 3 | 5) + b"crc3"


def block(pairs):
    """Every key but the first leaves away what it shares with the key before."""
    data, last = b"", b""
    for key, value in pairs:
        shared = next((i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b),
                      min(len(key), len(last)))
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return data + struct.pack("<II", 0, 1)


def table(pairs, per_block=3, compression=0, restarts=1):
    data, places = b"", []
    for start in range(0, len(pairs), per_block):
        part = block(pairs[start:start + per_block])[:-4] + struct.pack("<I", restarts)
        places.append((pairs[start][0], varint(len(data)) + varint(len(part))))
        data += part + bytes([compression]) + b"crc3"
    index = block(places)
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(index))
    return data + index + b"\0crc3" + footer.ljust(40, b"\0") + MAGIC


def header(shards=1, big_endian=0):
    return b"", field(1, shards) + field(2, big_endian)


@pytest.fixture
def written(tmp_path):
    """written(pairs, data, ...): the index file of a bundle with these entries and data files."""
    def write(pairs, *data, **options):
        index = tmp_path / "model.ckpt-7.index"
        index.write_bytes(table(pairs, **options))
        for shard, content in enumerate(data):
            index.with_name(f"model.ckpt-7.data-{shard:05d}-of-{len(data):05d}").write_bytes(content)
        return index
    return write


def one(written, data=bytes(16), head=None, **changes):
    """A bundle with one tensor "w" of two floats, changed as told."""
    numbers = {"dtype": FLOAT, "shape": (2,), "offset": 4, "size": 8} | changes
    return written([head or header(), (b"w", entry(**numbers))], data)


def test_every_kind_of_number_in_several_blocks_and_files(written):
    first = struct.pack("<3f", 1.5, -2, 3) + struct.pack("<i", -7) + b"\x01" + struct.pack("<2d", 0.1, 1e300)
    second = struct.pack("<q", -1 << 40) + struct.pack("<2e", 0.5, -2) + b"text"
    index = written([
        header(2), (b"Net/Conv/biases", entry(FLOAT, (3,), 0, 12)),
        (b"Net/Conv/biases/Adam", entry(FLOAT, (1, 1), 4, 4)),
        (b"Net/Conv_1/name", entry(TEXT, (), 12, 4, 1)), (b"Net/Conv_1/weights", entry(2, (2, 1), 17, 16)),
        (b"Net/step", entry(INT, (), 12, 4)), (b"Other", entry(9, (), 0, 8, 1)),
        (b"Z", entry(19, (2,), 8, 4, 1)), (b"Zero", entry(FLOAT, (0, 3), 0, 0)),
    ], first, second)
    found = read_bundle(index)
    assert {name: (tensor.tolist(), tensor.dtype) for name, tensor in found.items()} == {
        "Net/Conv/biases": ([1.5, -2, 3], torch.float32), "Net/Conv/biases/Adam": ([[-2]], torch.float32),
        "Net/Conv_1/weights": ([[0.1], [1e300]], torch.float64), "Net/step": (-7, torch.int32),
        "Other": (-1 << 40, torch.int64), "Z": ([0.5, -2], torch.float16), "Zero": ([], torch.float32)}
    assert found["Zero"].shape == (0, 3)


def test_tensors_are_private_views(written):
    index = one(written)
    read_bundle(index)["w"].fill_(3)
    assert read_bundle(index)["w"].tolist() == [0, 0]


def test_texts_are_left_out(written):
    assert read_bundle(one(written, dtype=TEXT)) == {}


@pytest.mark.parametrize("changes", [
    {"shape": (3,)}, {"shape": (2, 2)}, {"shape": ()}, {"size": 4}, {"size": 1 << 62, "shape": (1 << 60,)},
    {"shape": (1 << 63, 0), "size": 0}, {"shape": (1,) * 9, "size": 4}, {"shard": 1}, {"shard": 1 << 63},
])
def test_impossible_tensors(written, changes):
    with pytest.raises(ValueError, match="damaged"):
        read_bundle(one(written, **changes))


@pytest.mark.parametrize("changes", [{"offset": 9}, {"offset": 1 << 63}, {"data": bytes(11)}, {"data": b""}])
def test_tensors_stay_inside_their_file(written, changes):
    assert read_bundle(one(written, offset=8))["w"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="truncated: w lies beyond"):
        read_bundle(one(written, **changes))


def test_data_belong_to_one_tensor(written):
    """Otherwise a small file could be made to fill the memory."""
    pairs = [header(), *((b"w%d" % number, entry(FLOAT, (3,), 1, 12)) for number in range(9))]
    assert len(read_bundle(written(pairs[:2], bytes(13)))) == 1
    with pytest.raises(ValueError, match="claim more data than its data files have"):
        read_bundle(written(pairs, bytes(13)))


def test_what_is_refused_by_name(written):
    good = entry(FLOAT, (2,), 0, 8)
    for pairs, options, message in (
            ([header(big_endian=1), (b"w", good)], {}, "big-endian"),
            ([header(), (b"w", good + field(7, b""))], {}, "slices"),
            ([header(), (b"w", good)], {"compression": 1}, "compressed"),
            ([header(), (b"w", good)], {"restarts": 1 << 31}, "damaged"),
            ([header(2), (b"w", good)], {}, r"model\.ckpt-7\.data-00000-of-00002 is missing"),
            ([header(1 << 60), (b"w", good)], {}, "is missing"),
            ([header(), (b"w", field(1, b"x"))], {}, "damaged"),
            ([header(), (b"w", field(2, 5))], {}, "damaged"),
            ([header(), (b"w", varint(1 << 3 | 3))], {}, "damaged"),
            ([header(), (b"w" * 1025, good)], {}, "damaged")):
        index = written(pairs, bytes(8), **options)
        with pytest.raises(ValueError, match=message):
            read_bundle(index)


def test_every_shortened_index_is_refused(tmp_path):
    whole, index = REAL.read_bytes(), tmp_path / "model.index"
    (tmp_path / f"model{DATA}").write_bytes(REAL.with_name(f"model.ckpt-0{DATA}").read_bytes())
    for length in range(0, len(whole) - 48, 7):
        index.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off"):
            read_bundle(index)
        index.write_bytes(whole[:length] + whole[-48:])
        with pytest.raises(ValueError, match="copy it again"):
            read_bundle(index)


def repeated_block():
    """One block of one tensor, listed ten thousand times."""
    part = block([(b"w", entry(FLOAT, (2,), 0, 8))])
    places = block([(b"w", varint(0) + varint(len(part)))] * 10_000)
    footer = varint(0) * 2 + varint(len(part) + 5) + varint(len(places))
    return part + b"\0crc3" + places + b"\0crc3" + footer.ljust(40, b"\0") + MAGIC


def many_names():
    return table([(b"%06d" % number, b"") for number in range(100_000)], per_block=100_000)


def many_sides():
    return table([header(), (b"w", field(1, FLOAT) + field(2, field(2, b"") * 500_000))])


@pytest.mark.parametrize(("make", "message"), [
    (repeated_block, "damaged"), (many_names, "more than 65536 tensors"), (many_sides, "impossible shape"),
    (lambda: bytes(5 << 20) + MAGIC, "too large")])
def test_bombs_end_at_once(written, make, message):
    index = written([header()], b"")
    index.write_bytes(make())
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        read_bundle(index)
    assert time.process_time() - start < 5


@settings(max_examples=300, deadline=5000, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_get_an_answer(tmp_path, data):
    """Any change of any bytes, any loss of data: tensors that can be touched, or one sentence."""
    whole, values = bytearray(REAL.read_bytes()), REAL.with_name(f"model.ckpt-0{DATA}").read_bytes()
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(whole) - 9))
        whole[place:place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    index = tmp_path / "model.index"
    index.write_bytes(whole)
    (tmp_path / f"model{DATA}").write_bytes(values[:data.draw(st.integers(0, len(values)))])
    try:
        tensors = read_bundle(index).values()
        assert sum(tensor.clone().nbytes for tensor in tensors) <= len(values)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
