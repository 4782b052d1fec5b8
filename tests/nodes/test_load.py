"""Loader nodes: what they offer, what they refuse, and that a changed file is loaded again."""
from __future__ import annotations

import os

import pytest
import torch
from anyone.nodes import AnyoneLoadDetector, AnyoneLoadInpainter
from safetensors.torch import save_file


@pytest.fixture
def models(tmp_path, tiny_state):
    """models/anyone with one inpainter in a subfolder and one file that is nothing of ours."""
    folder = tmp_path / "models" / "anyone"
    (folder / "mine").mkdir(parents=True)
    save_file(tiny_state, folder / "mine" / "small.safetensors")
    save_file({"x": torch.zeros(2)}, folder / "other.safetensors")
    return folder


def offered(node) -> list[str]:
    return node.GET_SCHEMA().inputs[0].options


def test_embedded_weights_come_first_then_the_users_files(models):
    assert offered(AnyoneLoadInpainter) == ["triagan-person", "mine/small.safetensors", "other.safetensors"]
    assert offered(AnyoneLoadDetector)[0] == "detect-person"


def test_a_users_file_is_loaded_once_for_all(run, models):
    first, second = (run(AnyoneLoadInpainter, name=name).args[0]
                     for name in ("mine/small.safetensors", "mine\\small.safetensors"))
    assert first is second and repr(first) == "<TriA-GAN person inpainter: mine/small.safetensors>"


@pytest.mark.parametrize("node, name, words", [
    (AnyoneLoadInpainter, "none.pth", "no inpainter none.pth; there is .*small"),
    (AnyoneLoadInpainter, "../../secret.safetensors", "no inpainter"),
    (AnyoneLoadInpainter, "other.safetensors", "other.safetensors"),
    (AnyoneLoadDetector, "mine/small.safetensors", "holds a TriA-GAN person inpainter, which is no detector"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(run, models, node, name, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(node, name=name)


def test_a_changed_file_changes_the_fingerprint(models):
    before = AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors")
    assert AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors") == before
    os.utime(models / "other.safetensors", ns=(1, 1))
    assert AnyoneLoadInpainter.fingerprint_inputs(name="other.safetensors") != before
