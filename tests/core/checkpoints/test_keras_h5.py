"""Keras' HDF5 files: what they hold, and what damaged, foreign and hostile ones get for an answer."""
from __future__ import annotations

import json
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints.keras_h5 import MAGIC, read_keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

REAL = Path(__file__).parents[2] / "golden/deform-h5-format"
FILES = ("tiny-generator.h5", "tiny-generator-weights.h5")
WHOLE = (REAL / FILES[1]).read_bytes()
PLACES = [place for place, byte in enumerate(WHOLE) if byte]
FLOAT32 = bytes.fromhex("11201f000400000000002000170800177f000000")
VALUES = struct.pack("<2f", 1.5, -2)
SPACE, TYPE, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, TABLE = 1, 3, 8, 11, 12, 16, 17
CIRCLES = "point in circles"


def padded(data):
    return data + bytes(-len(data) % 8)


def message(kind, body, flags=0):
    return struct.pack("<HHB3x", kind, len(padded(body)), flags) + padded(body)


def space(*shape):
    return struct.pack(f"<BB6x{len(shape)}Q", 1, len(shape), *shape)


def texts(name, *values, length=None):
    """An attribute of texts; of none, Keras writes an empty list of numbers."""
    length = length or max(map(len, values), default=8)
    kind = struct.pack("<B3xI", 0x13 if values else 0x11, length)
    data = b"".join(value.encode().ljust(length, b"\0") for value in values)
    title, shape = name.encode() + b"\0", space(len(values))
    head = struct.pack("<BxHHH", 1, len(title), len(kind), len(shape))
    return message(ATTRIBUTE, head + padded(title) + padded(kind) + padded(shape) + data)


class Writer:
    """An HDF5 file in the making; parts are known by their addresses."""

    def __init__(self):
        self.data = bytearray(96)

    def put(self, part):
        self.data += bytes(-len(self.data) % 8)
        address = len(self.data)
        self.data += part
        return address

    def header(self, *messages, size=None):
        body = b"".join(messages)
        return self.put(struct.pack("<BxHII4x", 1, len(messages), 1, size or len(body)) + body)

    def rows(self, members, heap):
        rows = b"".join(struct.pack("<QQ24x", heap.index(name.encode() + b"\0"), member)
                        for name, member in members.items())
        return self.put(b"SNOD\1\0" + struct.pack("<H", len(members)) + rows)

    def node(self, *children, level=0):
        pairs = b"".join(struct.pack("<8xQ", child) for child in children)
        return self.put(b"TREE\0" + struct.pack("<BH16x", level, len(children)) + pairs)

    def table(self, tree, names=b"\0"):
        place = self.put(names)
        heap = self.put(b"HEAP" + struct.pack("<4xQQQ", len(names), 0, place))
        return message(TABLE, struct.pack("<QQ", tree, heap))

    def group(self, members, *messages):
        names = b"\0" + b"".join(name.encode() + b"\0" for name in members)
        return self.header(self.table(self.node(self.rows(members, names)), names), *messages)

    def dataset(self, shape=(2,), values=VALUES, kind=FLOAT32, layout=(3, 1), address=None, size=None,
                more=()):
        address = self.put(values) if address is None else address
        place = struct.pack("<BBQQ", *layout, address, len(values) if size is None else size)
        return self.header(message(SPACE, space(*shape)), message(TYPE, kind), message(LAYOUT, place), *more)

    def layer(self, weights, names=None):
        """`weights`: name below the layer -> data set."""
        return self.group(weights, texts("weight_names", *(weights if names is None else names)))

    def finish(self, root, path):
        places = struct.pack("<6Q", 0, 0, len(self.data), 0, 0, root)
        self.data[:72] = MAGIC + bytes(5) + b"\x08\x08" + bytes(9) + places
        path.write_bytes(self.data)
        return path


@pytest.fixture
def one(tmp_path):
    """one(**changes): a file with one layer "a" of one data set "w", changed as told."""
    def make(names=("w",), layers=("a",), **changes):
        writer = Writer()
        layer = writer.layer({"w": writer.dataset(**changes)}, names)
        return writer.finish(writer.group({"a": layer}, texts("layer_names", *layers)), tmp_path / "one.h5")
    return make


@pytest.mark.parametrize("name", FILES)
def test_real_files(name):
    found, expected = read_keras(REAL / name), load_file(REAL / "case.safetensors")
    assert list(found) == json.loads((REAL / "case.json").read_text())["order"]
    for key, tensor in found.items():
        assert torch.equal(tensor, expected[f"out.{key}"]), key


def test_tensors_are_private_views(one):
    path = one()
    read_keras(path)["w"].fill_(3)
    assert read_keras(path)["w"].tolist() == [1.5, -2]


def test_the_order_is_that_of_the_layers(tmp_path):
    """Of a whole model; weights lie in groups of their own, some layers have none."""
    writer = Writer()
    layers = {}
    for name in ("b_9", "c", "a_10"):
        bias = writer.dataset((1,), struct.pack("<f", 7))
        inner = writer.group({"kernel:0": writer.dataset(), "bias:0": bias})
        names = [] if name == "c" else [f"{name}/kernel:0", f"{name}/bias:0"]
        layers[name] = writer.layer({name: inner}, names)
    model = writer.group(dict(sorted(layers.items())), texts("backend", "tensorflow"),
                         texts("layer_names", *layers, length=12))
    other = writer.header()
    found = read_keras(writer.finish(writer.group({"model_weights": model, "x": other}), tmp_path / "m.h5"))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "b_9/kernel:0": [1.5, -2], "b_9/bias:0": [7], "a_10/kernel:0": [1.5, -2], "a_10/bias:0": [7]}
    assert list(found)[:2] == ["b_9/kernel:0", "b_9/bias:0"]


def test_other_shapes_of_the_same(tmp_path):
    """A list of texts in a block of its own, an attribute of version 3, a tree of two levels, data that are
    not aligned, one number, no numbers."""
    writer = Writer()
    writer.put(bytes(5) + struct.pack("<6f", *range(6)))
    members = {"w": writer.dataset((3, 2), bytes(24), address=len(writer.data) - 24),
               "one": writer.dataset((), struct.pack("<f", 4)),
               "none": writer.dataset((0, 3), b"", address=(1 << 64) - 1)}
    names = b"\0" + b"".join(name.encode() + b"\0" for name in members)
    leaves = [writer.node(writer.rows({name: member}, names)) for name, member in members.items()]
    title, kind, shape = b"weight_names", struct.pack("<B3xI", 0x13, 4), struct.pack("<BBxBQ", 2, 1, 1, 3)
    head = struct.pack("<BxHHHB", 3, len(title), len(kind), len(shape), 1)
    listed = message(ATTRIBUTE, head + title + kind + shape + b"none" + b"one\0" + b"w\0\0\0")
    block = writer.put(listed)
    more = message(CONTINUATION, struct.pack("<QQ", block, len(listed)))
    layer = writer.header(writer.table(writer.node(*leaves, level=1), names), message(0, b""), more)
    path = writer.finish(writer.group({"a": layer}, texts("layer_names", "a")), tmp_path / "odd.h5")
    found = read_keras(path)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "none": [], "one": 4, "w": [[0, 1], [2, 3], [4, 5]]}
    assert found["none"].shape == (0, 3)


@pytest.mark.parametrize(("changes", "words"), [
    ({"layout": (3, 2)}, "w is compressed or in pieces"), ({"layout": (1, 1)}, "w is compressed"),
    ({"more": (message(FILTERS, bytes(8)),)}, "w is compressed or in pieces"),
    ({"kind": b"\x11\x21" + FLOAT32[2:]}, "w is of another type than little-endian float32"),
    ({"kind": b""}, "w is of another type"), ({"more": (message(5, b"", flags=2),)}, "newer form"),
    ({"more": (message(TYPE, FLOAT32),)}, "is damaged"),
    ({"shape": (3,)}, "is damaged"), ({"shape": (1 << 62,)}, "is damaged"), ({"size": 4}, "is damaged"),
    ({"shape": (1 << 63, 1 << 63), "size": 0}, "is damaged"),
    ({"shape": (1 << 63, 0), "values": b""}, "w has an impossible shape"),
    ({"shape": (1,) * 9, "values": bytes(4)}, "w has an impossible shape"),
    ({"address": 1 << 63}, "w lies beyond its end"), ({"address": 1 << 20}, "w lies beyond its end"),
    ({"layers": ("a", "b")}, "b is missing, although it is listed"), ({"names": ("v",)}, "v is missing"),
    ({"names": ("\n\x1b" * 99,)}, "damaged: " + r"\n\x1b" * 40 + " is missing"),
    ({"names": ("w", "w")}, "it lists w twice"), ({"names": ("w/x",)}, "is damaged"),
])
def test_what_is_refused_by_name(one, changes, words):
    with pytest.raises(ValueError) as caught:
        read_keras(one(**changes))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("place", "change", "words"), [
    (8, b"\2", "newer form"), (13, b"\4", "newer form"), (24, b"\1", "newer form"),
    (40, b"\xff\xff\xff", "it is truncated, 179904 of 16777215 bytes are here"),
    (64, b"\xff" * 8, "damaged"), (64, bytes(8), "newer form"),
])
def test_odd_beginnings(tmp_path, place, change, words):
    whole, path = bytearray(WHOLE), tmp_path / "odd.h5"
    whole[place:place + len(change)] = change
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=words):
        read_keras(path)


def test_other_hdf5_files(tmp_path):
    writer = Writer()
    path = writer.finish(writer.group({"data": writer.dataset()}), tmp_path / "other.h5")
    with pytest.raises(ValueError, match="without a list of layers"):
        read_keras(path)


def circular_tree(writer):
    itself = len(writer.data)
    return writer.header(writer.table(writer.node(itself, itself, level=1)))


def circular_header(writer):
    start = len(writer.data) + -len(writer.data) % 8 + 16
    return writer.header(*[message(CONTINUATION, struct.pack("<QQ", start, 48))] * 2)


def circular_group(writer):
    names = b"\0a\0"
    rows = writer.rows({"a": 0}, names)
    group = writer.header(writer.table(writer.node(rows), names), texts("weight_names", "a/" * 30_000))
    writer.data[rows + 16:rows + 24] = struct.pack("<Q", group)
    return writer.group({"a": group}, texts("layer_names", "a"))


def endless_names(writer):
    """Many names that all start in one large text without an end."""
    names = b"x" * (1 << 20)
    rows = writer.put(b"SNOD\1\0" + struct.pack("<H", 65535) + bytes(40 * 65535))
    return writer.header(writer.table(writer.node(rows), names))


def shared_numbers(writer):
    """A thousand weights that are all the same data."""
    dataset = writer.dataset((10_000,), bytes(40_000))
    weights = {f"w{number}": dataset for number in range(1000)}
    return writer.group({"a": writer.layer(weights)}, texts("layer_names", "a"))


@pytest.mark.parametrize(("make", "words"), [
    (circular_tree, CIRCLES), (circular_header, CIRCLES), (circular_group, CIRCLES),
    (endless_names, "a list of layers"), (shared_numbers, "damaged")])
def test_bombs_end_at_once(tmp_path, make, words):
    writer = Writer()
    path = writer.finish(make(writer), tmp_path / "bomb.h5")
    start = time.process_time()
    with pytest.raises(ValueError, match=words):
        read_keras(path)
    assert time.process_time() - start < 5
    tracemalloc.start()
    with pytest.raises(ValueError, match=words):
        read_keras(path)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_every_shortened_file_is_refused(tmp_path):
    path = tmp_path / "short.h5"
    for length in range(8, len(WHOLE), 977):
        path.write_bytes(WHOLE[:length])
        with pytest.raises(ValueError, match="copy it again"):
            read_keras(path)


@settings(max_examples=200, deadline=5000, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_get_an_answer(tmp_path, data):
    """Any change of any bytes that say something: tensors that can be touched, or one sentence."""
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(PLACES))
        change = data.draw(st.binary(min_size=1, max_size=8))
        whole[place:place + len(change)] = change
    path = tmp_path / "damaged.h5"
    path.write_bytes(whole[:data.draw(st.sampled_from([len(whole), len(whole) - 1, len(whole) // 2]))])
    try:
        for tensor in read_keras(path).values():
            tensor.clone()
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
