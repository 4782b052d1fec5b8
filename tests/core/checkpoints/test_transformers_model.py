"""Folders of the hub through our loader."""
from __future__ import annotations

import json
import shutil
import sys
import types

import pytest
import torch
from anyone.core.checkpoints import cli, load, load_as, read
from anyone.core.checkpoints.transformers_model import find_class, input_size
from anyone.core.runtime import Runtime
from safetensors.torch import load_file, save_file

ROLES = {"vitpose": "estimator", "vitpose_plus": "estimator", "rt_detr": "detector", "rf_detr": "detector",
         "rf_detr_seg": "detector", "sam": "refiner", "faces": "parser", "clothes": "parser"}


@pytest.fixture
def copy(model_file, tmp_path):
    """copy(name): a folder of its own to spoil."""
    return lambda name: shutil.copytree(model_file(name).parent, tmp_path / name)


@pytest.mark.parametrize("name", ROLES)
def test_every_model_is_recognised_offline(model_file, no_network, name):
    net = load(model_file(name))
    assert net.system.role == ROLES[name] and not net.module.training
    assert all(parameter.dtype == torch.float32 and not parameter.requires_grad
               for parameter in net.module.parameters())


@pytest.mark.parametrize("name", ["rt_detr", "rf_detr_seg", "sam", "clothes"])
def test_weights_are_those_of_the_file(transformers, model_file, name):
    """transformers renames some weights on the way in; its own loading is the measure."""
    ours = load(model_file(name)).module
    theirs = type(ours).from_pretrained(model_file(name).parent, local_files_only=True).state_dict()
    assert set(ours.state_dict()) == set(theirs)
    assert all(torch.equal(value, theirs[key]) for key, value in ours.state_dict().items())


def test_users_choose_it_by_its_path(model_file):
    path, _ = model_file("rf_detr_seg"), model_file("vitpose")
    runtime = Runtime("cpu", root=path.parents[4])
    assert load_as("detection/rf_detr_seg/model.safetensors", "detector", runtime).module is load(path).module
    with pytest.raises(ValueError, match="which is no detector"):
        load_as("detection/vitpose/model.safetensors", "detector", runtime)


def test_one_file_can_hold_it_all(model_file, tmp_path, capsys):
    """Converted weights carry their configuration in the header."""
    text = cli.convert(model_file("rf_detr"), tmp_path / "alone.safetensors")
    assert text == "DETR person finder" and len(list(tmp_path.iterdir())) == 1
    assert input_size(read(tmp_path / "alone.safetensors").metadata, 9) == (64, 64)
    good, line = cli.check(tmp_path / "alone.safetensors")
    assert good and "backbone" not in line


def test_a_folder_without_its_texts(copy):
    folder = copy("vitpose")
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="model.safetensors cannot be used: it needs its config.json beside"):
        load(folder / "model.safetensors")


@pytest.mark.parametrize(("text", "words"), [
    ("{", "its config.json is damaged"), ("[]", "its config.json is damaged"),
    ('{"model_type": "sam3"}', "describes a model of type sam3; a SAM 2 mask refiner is of type sam2"),
])
def test_a_wrong_config(copy, text, words):
    folder = copy("sam")
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        load(folder / "model.safetensors")


def test_nothing_else_is_fetched_or_run(copy, no_network):
    folder = copy("rt_detr")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"backbone": "resnet50"}))
    with pytest.raises(ValueError, match="wants another model, resnet50, to be fetched"):
        load(folder / "model.safetensors")
    extras = {"auto_map": {"AutoModel": "owner/name--code.Model"}, "dtype": "float16",
              "quantization_config": {"quant_method": "bitsandbytes"},
              "_attn_implementation": "kernels-community/flash-attn"}
    (folder / "config.json").write_text(json.dumps(config | extras))
    assert next(load(folder / "model.safetensors").module.parameters()).dtype == torch.float32


def test_missing_weights_are_named(copy):
    folder = copy("vitpose")
    state = load_file(folder / "model.safetensors")
    del state["backbone.layernorm.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 missing \(backbone.layernorm.weight\)"):
        load(folder / "model.safetensors")


def test_models_without_people(copy):
    folder = copy("rf_detr")
    text = (folder / "config.json").read_text().replace('"person"', '"cat"')
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match="lists no class called person"):
        load(folder / "model.safetensors")


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RuntimeError, match="needs the package transformers .*; install it with: .* -m pip"):
        find_class("ViTPose pose estimator", "VitPoseForPoseEstimation", "4.48")


def test_with_an_old_transformers(monkeypatch):
    old = types.ModuleType("transformers")
    old.__version__ = "4.40.0"
    monkeypatch.setitem(sys.modules, "transformers", old)
    with pytest.raises(RuntimeError, match="needs transformers 4.48 or newer, here is 4.40.0; upgrade it"):
        find_class("ViTPose pose estimator", "VitPoseForPoseEstimation", "4.48")


def test_with_a_broken_torchvision(monkeypatch):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            try:
                raise RuntimeError("operator torchvision::nms does not exist")
            except RuntimeError as error:
                raise ModuleNotFoundError(f"Could not import module {name!r}") from error

    monkeypatch.setitem(sys.modules, "transformers", Broken("transformers"))
    with pytest.raises(RuntimeError, match=r"cannot load Sam2Model \(operator torchvision::nms does not exist"
                                           r"\); repair or reinstall torchvision and torchaudio"):
        find_class("SAM 2", "Sam2Model", "4.56")


@pytest.mark.parametrize(("text", "size"), [
    ('{"size": {"height": 5, "width": 7}}', (5, 7)), ('{"size": {"shortest_edge": 6}}', (6, 6)),
    ('{"size": 8}', (8, 8)), ("{}", (9, 9)), ("[", (9, 9)), ("[]", (9, 9)),
    ('{"size": {"height": 5}}', (9, 9))])
def test_the_size_of_the_input(text, size):
    assert input_size({"preprocessor": text}, 9) == size
    assert input_size({}, 9) == (9, 9)
