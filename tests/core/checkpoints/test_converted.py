"""The safetensors copy of a pickled network: made once, used instead, never in the way."""
from __future__ import annotations

import gc
import os
import pickle
import shutil

import pytest
import torch
from anyone.core.checkpoints import cli, converted, load, model_files, read
from anyone.core.checkpoints.read import NVIDIA
from anyone.core.runtime import Runtime


@pytest.fixture
def write(tmp_path, toy_system, nvidia):
    """write(value): a pickled network whose bias is `value`, in a model folder."""
    path = tmp_path / "models" / "anyone" / "toy.pkl"
    path.parent.mkdir(parents=True)

    def write_network(value=1.0):
        weight = torch.arange(6.).reshape(3, 2).t()
        layer = nvidia.Persistent({"weight": weight, "bias": torch.full((2,), value)})
        network = nvidia.Persistent(inside={"linear": layer}, z_dim=3)
        path.write_bytes(pickle.dumps({"G": nvidia.Persistent(), "G_ema": network}, 3))
        return path

    return write_network


def bias(path):
    gc.collect()                                          # nobody holds it: it is loaded anew
    return load(path).module.linear.bias.tolist()


def copy_of(path):
    return path.with_name(path.name + ".safetensors")


def test_the_first_load_writes_a_copy(write):
    path = write()
    net = load(path)
    contents = read(copy_of(path))
    assert contents.tree.keys() == {"linear.weight", "linear.bias"}, "only what is used"
    assert torch.equal(contents.tree["linear.weight"], net.module.linear.weight)
    assert net.metadata == {"arguments": '{"z_dim": 3}'}
    assert contents.metadata["arguments"] == '{"z_dim": 3}'
    assert contents.metadata["converted_from"].startswith(f"toy.pkl, {path.stat().st_size} bytes, ")
    assert sorted(file.name for file in path.parent.iterdir()) == ["toy.pkl", "toy.pkl.safetensors"]


def test_the_copy_is_used(write):
    path = write()
    metadata, status = load(path).metadata, path.stat()
    times = status.st_mtime_ns
    path.write_bytes(b"x" * status.st_size)               # as long and as old, but no longer readable
    os.utime(path, ns=(times, times))
    assert bias(path) == [1.0, 1.0] and load(path).metadata == metadata


def test_a_changed_original_is_read_again(write):
    assert bias(write(1.0)) == [1.0, 1.0]
    path = write(2.0)
    os.utime(path, ns=(0, 1))
    assert bias(path) == [2.0, 2.0]
    assert read(copy_of(path)).tree["linear.bias"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"<html>",
                                    lambda data: data.replace(b"toy.pkl", b"toz.pkl")])
def test_a_damaged_copy_is_replaced(write, damage):
    path = write()
    assert bias(path) == [1.0, 1.0]
    whole = read(copy_of(path)).metadata
    copy_of(path).write_bytes(damage(copy_of(path).read_bytes()))
    assert bias(path) == [1.0, 1.0]
    assert read(copy_of(path)).metadata == whole


@pytest.mark.parametrize("error", [PermissionError("read-only"), OSError(28, "No space left on device")])
def test_loading_does_without_a_copy(write, monkeypatch, error):
    def refuse(path):
        raise error

    monkeypatch.setattr(converted, "atomic_write", refuse)
    path = write()
    assert bias(path) == [1.0, 1.0] and not copy_of(path).exists()


def test_a_copy_that_cannot_be_finished_leaves_nothing(write, monkeypatch):
    from safetensors import SafetensorError

    def fail(*args):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    path = write()
    assert bias(path) == [1.0, 1.0]
    assert [file.name for file in path.parent.iterdir()] == ["toy.pkl"]


def test_other_files_get_no_copy(tmp_path, toy_system, toy_state):
    torch.save({"EMA": toy_state}, tmp_path / "toy.pt")
    load(tmp_path / "toy.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["toy.pt"]


def test_a_copy_counts_as_a_model_when_it_is_alone(write, tmp_path):
    path, runtime = write(), Runtime(root=tmp_path)
    load(path)
    assert model_files(runtime) == ["toy.pkl"]
    path.unlink()
    assert model_files(runtime) == ["toy.pkl.safetensors"]
    assert bias(copy_of(path)) == [1.0, 1.0]


def test_a_moved_pair_still_fits(write, tmp_path):
    path = write()
    load(path)
    shutil.copytree(path.parent, tmp_path / "elsewhere", copy_function=shutil.copy2)
    times = copy_of(path).stat().st_mtime_ns
    moved = tmp_path / "elsewhere" / "toy.pkl"
    assert converted.read_converted(moved) is not None and bias(moved) == [1.0, 1.0]
    assert copy_of(moved).stat().st_mtime_ns == times, "not written again"


def test_networks_convert(write, tmp_path):
    path, target = write(), tmp_path / "toy.safetensors"
    assert cli.convert(path, target) == "toy painter"
    assert read(path).format == NVIDIA
    assert read(target).metadata == {"source": "toy.pkl", "system": "toy", "arguments": '{"z_dim": 3}'}
    assert torch.equal(load(target).module.linear.weight, torch.arange(6.).reshape(3, 2).t())


def test_a_missing_file_with_a_copy_is_missing(write):
    path = write()
    load(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="There is no weight file .*toy.pkl"):
        load(path)
