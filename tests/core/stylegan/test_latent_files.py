"""Files of latents: our own, NumPy's and PyTorch's, and what is none."""
from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
import torch
from anyone.core.stylegan.latent_files import load_latent, save_latent
from anyone.core.stylegan.latents import Latent, Origin
from safetensors.torch import save_file

W = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("origin", [None, Origin(torch.ones(2, 5), torch.eye(2)),
                                    Origin(torch.ones(2, 5), torch.zeros(2, 0), 0.7, 4)])
def test_round_trip(origin, tmp_path):
    path = tmp_path / "folder" / "a.safetensors"
    save_latent(Latent(W, "people", "1234", origin), path)
    found = load_latent(path)
    assert torch.equal(found.w_plus, W) and (found.generator, found.identity) == ("people", "1234")
    assert (found.origin is None) == (origin is None)
    if origin is not None:
        assert torch.equal(found.origin.z, origin.z) and torch.equal(found.origin.labels, origin.labels)
        assert (found.origin.psi, found.origin.cutoff) == (origin.psi, origin.cutoff)
    path.unlink()                                         # nothing depends on the file any more
    assert torch.equal(found.w_plus, W)


def test_slices_can_be_saved(tmp_path):
    save_latent(Latent(W).taken([1]), tmp_path / "a.safetensors")
    assert torch.equal(load_latent(tmp_path / "a.safetensors").w_plus, W[1:])


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_dragging_programs(legacy, tmp_path):
    path = tmp_path / "0.pt"
    torch.save(W[:1].clone(), path, _use_new_zipfile_serialization=not legacy)
    found = load_latent(path)
    assert torch.equal(found.w_plus, W[:1]) and found.identity == ""
    torch.save(W[0].double(), path, _use_new_zipfile_serialization=not legacy)
    assert torch.equal(load_latent(path).w_plus, W[:1])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_the_published_projector(save, tmp_path):
    path = tmp_path / "projected_w.npz"
    save(path, w=W[:1].numpy())
    assert torch.equal(load_latent(path).w_plus, W[:1])


class Hostile:
    def __reduce__(self):
        return (print, ("pwned",))


def write_hostile(path):
    torch.save(Hostile(), path)


def write_objects(path):
    np.savez(path.open("wb"), w=np.array([Hostile()], dtype=object))


def write_plain_pickle(path):
    path.write_bytes(pickle.dumps([1.0]))


def write_cut_zip(path):
    torch.save(W, path)
    path.write_bytes(path.read_bytes()[:400])


def write_lying_array(path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 999999, 999999999), }".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + bytes(9))


@pytest.mark.parametrize(("write", "message"), [
    (write_hostile, r"would run code .* \(it asks for builtins.print\); it is refused"),
    (write_objects, "cannot be used as a latent: Object arrays cannot be loaded"),
    (write_plain_pickle, "cannot be used as a latent"),
    (write_cut_zip, "cannot be used as a latent: it seems to be truncated"),
    (write_lying_array, "cannot be used as a latent"),
    (lambda path: torch.save({"w": W}, path), r"a dict where a tensor \[1, layers, width\] was expected"),
    (lambda path: np.savez(path.open("wb"), w=np.arange(3)), "its numbers are of type int64"),
    (lambda path: np.savez(path.open("wb"), x=W.numpy()), "a NumPy archive"),
    (lambda path: save_file({"codes": W}, path), "has no w_plus; choose a file that this pack"),
    (lambda path: save_file({"w_plus": W[0]}, path), r"should be \[batch, layers, width\]; .* \[8, 3\]"),
    (lambda path: save_file({"w_plus": W / 0}, path), "NaN or infinite"),
    (lambda path: save_file({"w_plus": W, "origin.z": W[:1, 0] + 0, "origin.labels": W[:, 0] + 0}, path),
     "2 latents, but z for 1"),
    (lambda path: save_file({"w_plus": W, "origin.z": W[:, 0, 0] + 0, "origin.labels": W[:, 0] + 0}, path),
     r"z and labels of latents should be \[batch, numbers\]; got tensors of shape \[2\] and \[2, 3\]"),
    (lambda path: path.write_bytes(b"hello"), "cannot be used as a latent"),
    (lambda path: path.write_bytes(b""), "is empty"),
])
def test_other_files_are_refused_by_name(write, message, tmp_path, capsys):
    path = tmp_path / "some.file"
    write(path)
    with pytest.raises(ValueError, match=f"some.file .*{message}"):
        load_latent(path)
    assert "pwned" not in capsys.readouterr().out


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no latent file .*x.pt"):
        load_latent(tmp_path / "x.pt")
