"""Style codes and their files."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from anyone.core.sean.codes import StyleCodes, load_codes, read_code_folder, save_codes
from safetensors.torch import save_file

NAMES = ("skin", "hair", "top")


def codes(batch=2):
    return torch.rand(batch, 3, 4)


def presence(batch=2):
    return torch.tensor([[True, False, True]]).repeat(batch, 1)


@pytest.mark.parametrize(("values", "present", "names", "message"), [
    (torch.rand(2, 4), presence(), NAMES, r"shape \[batch, regions, length\]; got torch.float32"),
    (codes().double(), presence(), NAMES, "should be float32"),
    (codes(), presence(1), NAMES, "2 pictures of 3 regions, but 3 names and presence of shape"),
    (codes(), presence().float(), NAMES, "presence of shape"),
    (codes(), presence(), NAMES[:2], "but 2 names"),
    (codes() / 0, presence(), NAMES, "NaN or infinite"),
])
def test_codes_that_do_not_fit_are_refused(values, present, names, message):
    with pytest.raises(ValueError, match=message):
        StyleCodes(values, present, names, "net")


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 6, 3, 4)])
def test_files_keep_everything(shape, tmp_path):
    styles = StyleCodes(torch.rand(shape), presence(), NAMES, "net")
    save_codes(styles, tmp_path / "styles.safetensors")
    found = load_codes(tmp_path / "styles.safetensors")
    assert torch.equal(found.codes, styles.codes) and torch.equal(found.present, styles.present)
    assert (found.names, found.model, len(found)) == (NAMES, "net", 2)
    assert repr(found) == "<StyleCodes 2 x 3 regions of 4, net>"


def test_other_files_are_refused(tmp_path):
    save_file({"codes": codes()}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors holds no style codes"):
        load_codes(tmp_path / "other.safetensors")
    save_file({"codes": codes(), "present": presence()}, tmp_path / "few.safetensors", {"regions": "skin"})
    with pytest.raises(ValueError, match="few.safetensors cannot be used: .*but 1 names"):
        load_codes(tmp_path / "few.safetensors")
    with pytest.raises(FileNotFoundError):
        load_codes(tmp_path / "none.safetensors")


def write(folder, label, value):
    (folder / str(label)).mkdir(parents=True)
    np.save(folder / str(label) / "ACE.npy", value)


def test_published_folders(tmp_path):
    write(tmp_path, 0, np.arange(4, dtype=np.float32))
    write(tmp_path, 2, np.ones(4))
    (tmp_path / "notes").mkdir()
    styles = read_code_folder(tmp_path, NAMES, "net")
    assert styles.codes.tolist() == [[[0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 1, 1]]]
    assert styles.present.tolist() == [[True, False, True]]
    assert (styles.names, styles.model) == (NAMES, "net")


@pytest.mark.parametrize(("label", "value", "message"), [
    (3, np.ones(4), "a code of 4 numbers for label 3; expected are labels 0 to 2 and 4 numbers"),
    (1, np.ones(5), "expected are labels 0 to 2 and 4"),
    (1, np.ones((2, 4)), "1/ACE.npy should hold one row"),
    (1, np.array(["a"]), "should hold one row"),
    (1, np.array([object()]), "1/ACE.npy is no NumPy file"),
    (1, np.zeros(1 << 18), "too large"),
])
def test_odd_folders_are_refused(label, value, message, tmp_path):
    write(tmp_path, 0, np.zeros(4, np.float32))
    write(tmp_path, label, value)
    with pytest.raises(ValueError, match=message):
        read_code_folder(tmp_path, NAMES, "net")


def test_a_folder_without_codes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="should have folders 0, 1, 2"):
        read_code_folder(tmp_path, NAMES, "net")
    write(tmp_path, 0, np.zeros(4))
    (tmp_path / "0" / "ACE.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="0/ACE.npy is no NumPy file"):
        read_code_folder(tmp_path, NAMES, "net")
