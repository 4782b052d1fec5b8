"""Every format gives back exactly what was saved; everything else is named in one sentence."""
from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from anyone.core.checkpoints import read
from safetensors.torch import save_file
from torch import nn

FORMATS = {"torch zip": True, "torch legacy": False}
PROTOCOLS = (2, 3, 4, 5)


class EasyDict(dict):
    """A third-party class, as trainers keep their state in."""

    def __getattr__(self, name):
        return self[name]


class Loud:
    """Any use of it by a reader would be heard."""

    def __init__(self):
        self.secret = 1

    def __setstate__(self, state):
        raise AssertionError("code of the file's class ran")

    def __new__(cls, *args):
        assert not args, "code of the file's class ran"
        return super().__new__(cls)


def save(value, path, name="torch zip", protocol=2):
    torch.save(value, path, _use_new_zipfile_serialization=FORMATS[name], pickle_protocol=protocol)
    return path


def tensors():
    torch.manual_seed(0)
    return {
        "float": torch.randn(3, 4), "half": torch.randn(5).half(), "bfloat": torch.randn(2).bfloat16(),
        "double": torch.randn(2).double(), "long": torch.arange(7), "byte": torch.arange(5).byte(),
        "bool": torch.tensor([True, False]), "complex": torch.randn(2, dtype=torch.complex64),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "transposed": torch.randn(4, 3).t(),
        "slice": torch.randn(10)[2:9:3], "expanded": torch.ones(1).expand(6),
        "parameter": nn.Parameter(torch.randn(3)),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", FORMATS)
def test_torch_files_give_back_what_was_saved(tmp_path, name, protocol):
    saved = tensors()
    contents = read(save(saved, tmp_path / "any.name", name, protocol))
    assert contents.format == name and list(contents.tree) == list(saved)
    for key, value in saved.items():
        assert contents.tree[key].dtype == value.dtype and torch.equal(contents.tree[key], value), key


def test_tied_tensors_share_one_storage(tmp_path):
    weight = torch.randn(4)
    tree = read(save({"a": weight, "b": weight[1:]}, tmp_path / "tied.pt")).tree
    assert tree["b"].data_ptr() == tree["a"].data_ptr() + 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", FORMATS)
def test_trainer_file_with_foreign_objects(tmp_path, name, protocol):
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.randn(5, 3)).sum().backward()
    optimiser.step()
    loud = Loud()
    tree = read(save({
        "EMA_generator": module.state_dict(), "G_optimizer": optimiser.state_dict(),
        "train_state": EasyDict(step=7, options=argparse.Namespace(rate=0.1)), "loud": loud,
        "numpy": {"scalar": np.float64(3), "array": np.arange(3), "type": np.dtype("float32")},
        "path": Path("runs"), "counts": Counter("aab"), "named": OrderedDict(x=1),
        "default": defaultdict(list, y=[2]), "set": {1, 2}, "frozen": frozenset("z"),
        "size": torch.Size([1, 2]), "dtype": torch.float16, 5: "ignored",
    }, tmp_path / "100.ckpt", name, protocol)).tree
    for key, value in module.state_dict().items():
        assert torch.equal(tree["EMA_generator"][key], value)
    average = optimiser.state_dict()["state"][0]["exp_avg"]
    assert torch.equal(tree["G_optimizer"]["state"][0]["exp_avg"], average)
    assert tree["train_state"].path.endswith("EasyDict") and tree["train_state"].entries["step"] == 7
    assert tree["train_state"].entries["options"].state == {"rate": 0.1}
    assert tree["loud"].state == {"secret": 1}
    assert tree["named"] == {"x": 1} and tree["default"] == {"y": [2]} and tree["set"] == {1, 2}
    assert tree["frozen"] == {"z"} and tree["size"] == (1, 2) and tree["dtype"] is torch.float16
    assert 5 not in tree


def test_plain_pickle(tmp_path):
    for protocol in range(6):
        path = tmp_path / f"{protocol}.pkl"
        value = {"a": [1, 2.5, None, (True, "ä")], "o": argparse.Namespace(x=b"b")}
        path.write_bytes(pickle.dumps(value, protocol))
        contents = read(path)
        assert contents.format == "pickle" and contents.tree["a"] == [1, 2.5, None, (True, "ä")]
        assert contents.tree["o"].path == "argparse.Namespace"


def test_safetensors_with_metadata(tmp_path):
    save_file({"a": torch.arange(4)}, tmp_path / "x.ckpt", {"system": "toy"})
    contents = read(tmp_path / "x.ckpt")
    assert contents.format == "safetensors" and contents.metadata == {"system": "toy"}
    assert contents.tree["a"].tolist() == [0, 1, 2, 3]


def packed(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", entries.pop("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "/"), data)
    return file.getvalue()


@pytest.mark.parametrize("data, words", [
    (b"", "is empty"),
    (b"<!DOCTYPE html><html><body>404</body>", "an HTML page; the download link probably failed"),
    (b'  <?xml version="1.0"?><Error/>', "an XML text"),
    (b'{"error": "gone"}', "a JSON text"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
    (b"readme", "a text file"),
    (bytes(4096), "an unfinished download"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file of a newer form than Keras 2 writes"),
    (b"\x89HDF\r\n\x1a\n\0", "it is damaged"),
    (bytes(99) + bytes.fromhex("57fb808b247547db"), "its index points beyond its end"),
    (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG picture"),
    (b"\x1f\x8b\x08" + bytes(99), "a gzip archive"),
    (b"\x93NUMPY\x01" + bytes(99), "a NumPy array"),
    (b"\x07\x99\xfe" * 99, "data of an unknown format"),
    (b"a.txt".ljust(257, b"\0") + b"ustar\0" + bytes(300), "a tar archive"),
    (packed(**{"readme.txt": "x"}), "an ordinary zip archive"),
    (packed(**{"a.npy": "x"}), "a NumPy archive"),
    (packed(m__data_pkl="x", m__version="3").replace(b"data_pkl", b"data.pkl"), "damaged torch zip file"),
    (packed(**{"m/data.pkl": "x", "m/constants.pkl": "x"}), "a TorchScript program"),
    (packed(**{"m/data.pkl": "x" * 99, "compression": zipfile.ZIP_DEFLATED}), "a compressed archive"),
    (packed(**{"m/data.pkl": pickle.dumps({}), "m/byteorder": "big"}), "a big-endian machine"),
    (packed(**{"m/data.pkl": pickle.dumps({})})[:-30], "truncated or damaged PyTorch file"),
    (pickle.dumps([1, 2]), "it holds one list where a dictionary"),
    (pickle.dumps(argparse.Namespace(x=1)), "it holds one argparse.Namespace where a dictionary"),
    (pickle.dumps({"x": 1})[:-3], "damaged pickle file"),
])
def test_other_files_are_named(tmp_path, data, words):
    path = tmp_path / "weights.ckpt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="weights.ckpt") as caught:
        read(path)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".") and str(caught.value).count(". ") == 0, "one sentence"


def test_folder_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder; choose a weight file"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no weight file .*gone.pt"):
        read(tmp_path / "gone.pt")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files(tmp_path, part):
    save(tensors(), tmp_path / "zip.pt")
    save(tensors(), tmp_path / "legacy.pt", "torch legacy")
    save_file({"a": torch.randn(500)}, tmp_path / "x.safetensors")
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:int(part * len(whole))])
        with pytest.raises(ValueError, match=path.name):
            read(path)


def test_reading_makes_no_copy(tmp_path):
    """A trainer file may be several times larger than the weights in it."""
    resource = pytest.importorskip("resource", reason="memory is measured on Unix only")
    save({"x": torch.zeros(64 << 20, dtype=torch.uint8)}, tmp_path / "large.pt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tree = read(tmp_path / "large.pt").tree
    assert tree["x"].numel() == 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10, "KiB"
