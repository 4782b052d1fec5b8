"""Pickles of NVIDIA's networks: the same tensors and arguments come out, nothing of the file runs."""
from __future__ import annotations

import json
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from anyone.core.checkpoints import read
from anyone.core.checkpoints.read import NVIDIA


@pytest.fixture
def written(tmp_path):
    """written(value, protocol): what a reader makes of the pickled value."""
    def write(value, protocol=3):
        path = tmp_path / "network.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        return read(path)

    return write


@pytest.fixture
def snapshot(nvidia):
    """A training snapshot with every peculiarity of the published ones, and what G_ema's state should be."""
    def network(start):
        weight = (torch.arange(24.) + start).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last)
        layer = nvidia.Persistent(
            {"weight": torch.nn.Parameter(weight), "bias": None, "strength": torch.tensor(start + 0.5)},
            {"filter": weight[:, 0, 0]}, {"scratch": torch.ones(9)}, gain=np.float64(0.25))
        return nvidia.Persistent(
            OrderedDict(const=torch.full((2, 1), start)), inside={"layer": layer, "nothing": None},
            z_dim=4, conv_clamp=None, filter=[1, 3],
            options=nvidia.EasyDict(rate=np.float64(0.5), count=np.int64(7)))

    value = {"training_set_kwargs": nvidia.EasyDict(path="data.zip"), "G": network(100.0),
             "D": nvidia.Persistent({"out": torch.ones(3)}, c_dim=0), "G_ema": network(1.0),
             "augment_pipe": None}
    weight = (torch.arange(24.) + 1).reshape(2, 3, 2, 2)
    return value, {"const": torch.full((2, 1), 1.0), "layer.weight": weight,
                   "layer.strength": torch.tensor(1.5), "layer.filter": weight[:, 0, 0]}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_snapshot(snapshot, written, protocol):
    value, expected = snapshot
    contents = written(value, protocol)
    assert contents.format == NVIDIA and list(contents.tree) == list(value)
    assert_same(contents.tree["G_ema"], expected)
    assert contents.tree["G"]["layer.strength"] == 100.5
    assert contents.tree["G_ema"]["layer.weight"].stride() == (12, 1, 6, 3), "as it is in the file"
    assert contents.tree["augment_pipe"] is None
    assert json.loads(contents.metadata["arguments"]) == {
        "z_dim": 4, "conv_clamp": None, "filter": [1, 3], "options": {"rate": 0.5, "count": 7}}
    assert contents.metadata["discriminator_arguments"] == '{"c_dim": 0}'


def test_a_tuned_generator_alone(snapshot, written, monkeypatch):
    """Programs for tuning keep only the averaged generator, straight from the graphics card."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    value, expected = snapshot
    assert b"cuda:0" in pickle.dumps(value["G_ema"])
    for alone in ({"G_ema": value["G_ema"]}, value["G_ema"]):
        contents = written(alone)
        assert list(contents.tree) == ["G_ema"] and list(contents.metadata) == ["arguments"]
        assert_same(contents.tree["G_ema"], expected)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_module_saved_by_torch(snapshot, tmp_path, zipped, whole):
    value, expected = snapshot
    value = value["G_ema"] if whole else value
    torch.save(value, tmp_path / "tuned.pt", _use_new_zipfile_serialization=zipped)
    contents = read(tmp_path / "tuned.pt")
    assert contents.format == NVIDIA and json.loads(contents.metadata["arguments"])["z_dim"] == 4
    assert_same(contents.tree["G_ema"], expected)


def test_a_shared_storage_is_shared(nvidia, tmp_path):
    weight = torch.arange(6.)
    layers = {"a": nvidia.Persistent({"w": weight}), "b": nvidia.Persistent({"w": weight[2:]})}
    torch.save(nvidia.Persistent(inside=layers), tmp_path / "tied.pt")
    state = read(tmp_path / "tied.pt").tree["G_ema"]
    assert state["b.w"].tolist() == [2, 3, 4, 5]
    assert state["b.w"].data_ptr() == state["a.w"].data_ptr() + 8


def first_network(nvidia, start):
    rows = np.arange(6, dtype=np.float32).reshape(2, 3) + start
    inside = nvidia.Network([("4x4/weight", np.asfortranarray(rows)), ("noise0", rows.astype("f8"))])
    return nvidia.Network(
        [("dlatent_avg", rows[0]), ("lod", np.float32(start)), ("step", np.array(3)),
         ("texts", np.array(["a"])), ("objects", np.array([{}], dtype=object)),
         ("none", np.zeros((0, 2), np.float32))],
        {"synthesis": inside}, resolution=np.int64(16), fmap_base=64, architecture="skip")


@pytest.mark.parametrize("protocol", [3, 4])
def test_networks_of_tensorflow(nvidia, written, protocol):
    contents = written(tuple(first_network(nvidia, start) for start in (0, 10, 20)), protocol)
    assert list(contents.tree) == ["G", "D", "G_ema"]
    rows = torch.arange(6.).reshape(2, 3) + 20
    assert_same(contents.tree["G_ema"], {
        "dlatent_avg": rows[0], "step": torch.tensor(3), "none": torch.zeros(0, 2),
        "synthesis/4x4/weight": rows, "synthesis/noise0": rows.double()})
    assert json.loads(contents.metadata["arguments"]) == {
        "resolution": 16, "fmap_base": 64, "architecture": "skip"}


def test_arrays_of_another_byte_order_are_refused(nvidia, written):
    network = nvidia.Network([("w", np.arange(3, dtype=">f4"))])
    with pytest.raises(ValueError, match="network.pkl .*big-endian"):
        written((network, network, network))


def test_an_ordinary_pickle_of_tensors(written):
    """Also without a network, a pickled tensor brings a stream of its own."""
    numbers = {"x": np.float64(2.5), "t": np.bool_(True)}
    value = {"a": torch.arange(5), "h": torch.ones(2).half(), "n": numbers}
    tree = written(value, 2).tree
    assert torch.equal(tree["a"], value["a"]) and torch.equal(tree["h"], value["h"])
    assert tree["n"] == {"x": 2.5, "t": True}


def test_the_last_of_equal_keys_counts(nvidia, tmp_path):
    """As in Python, so that no other reader sees another network."""
    first, second = (pickle.dumps(nvidia.Persistent({"w": torch.tensor(value)}), 2)[2:-1]
                     for value in (1.0, 2.0))
    key = b"X\x05\x00\x00\x00G_ema"
    (tmp_path / "twice.pkl").write_bytes(b"\x80\x02}(" + key + first + key + second + b"u.")
    assert read(tmp_path / "twice.pkl").tree["G_ema"]["w"] == 2


def test_long_arrays_are_not_copied(nvidia, tmp_path):
    resource = pytest.importorskip("resource", reason="memory is measured on Unix only")
    large = nvidia.Persistent({"w": torch.ones(16 << 20)})
    (tmp_path / "large.pkl").write_bytes(pickle.dumps({"G_ema": large}, 3))
    del large
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(tmp_path / "large.pkl").tree["G_ema"]["w"].numel() == 16 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10, "KiB"


@pytest.mark.parametrize("change", [
    lambda state: state.pop("_parameters"), lambda state: state.update(_buffers=3),
    lambda state: state.update(_modules=[1]), lambda state: state.update(_init_kwargs=b"x")])
def test_incomplete_networks(nvidia, written, change):
    network = nvidia.Persistent()
    change(network.attributes)
    with pytest.raises(ValueError, match="network.pkl .*incomplete or damaged"):
        written(network)


@pytest.mark.parametrize("place", ["_modules", "_init_kwargs"])
def test_networks_that_hold_themselves(nvidia, written, place):
    network = nvidia.Persistent()
    network.attributes[place] = network.attributes
    network.attributes["_modules"] = {} if place != "_modules" else {"a": network}
    with pytest.raises(ValueError, match="network.pkl .*(nested too deep|claim more parts)"):
        written(network)


def test_networks_that_multiply(nvidia, written):
    """Each holds the one before twice: a few hundred bytes, 2^60 tensors; or one tensor over and over."""
    network = nvidia.Persistent({"w": torch.ones(1)})
    for _ in range(60):
        network = nvidia.Persistent(inside={"a": network, "b": network})
    with pytest.raises(ValueError, match="claim more parts than the file has"):
        written(network)
    large = torch.ones(100_000)
    with pytest.raises(ValueError, match="claim more parts than the file has"):
        written(nvidia.Persistent({f"w{index}": large for index in range(99)}))


def test_names_without_end(nvidia, written):
    network = nvidia.Persistent()
    for _ in range(40):
        network = nvidia.Persistent(inside={"a" * 20: network})
    with pytest.raises(ValueError, match="nested too deep"):
        written(network)
