"""Loading: one network per file, strict, with errors that say what does not fit."""
from __future__ import annotations

import gc
import importlib
import os
import threading
import weakref
from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import available, check_state, load, load_as, model_files, offered, resolve
from anyone.core.runtime import Runtime
from safetensors.torch import save_file

recognise_module = importlib.import_module("anyone.core.checkpoints.recognise")


@pytest.fixture
def toy_file(tmp_path, toy_system, toy_state):
    save_file(toy_state, tmp_path / "toy.safetensors", {"latent": "identity"})
    return tmp_path / "toy.safetensors"


def test_a_loaded_net(toy_file, toy_system, toy_state):
    net = load(toy_file)
    assert repr(net) == "<toy painter: toy>" and net.system is toy_system
    assert net.metadata == {"latent": "identity"}
    assert torch.equal(net.module.linear.weight, toy_state["linear.weight"])
    assert not net.module.training and not any(p.requires_grad for p in net.module.parameters())


def test_two_loaders_share_one_net(toy_file):
    link = toy_file.with_name("link.safetensors")
    link.symlink_to(toy_file)
    first = load(toy_file)
    assert load(link, "other name") is first
    assert load(str(toy_file)) is first


def test_the_registry_lets_go(toy_file):
    module = weakref.ref(load(toy_file).module)
    gc.collect()
    assert module() is None


def test_a_changed_file_is_loaded_anew(toy_file, toy_state):
    first = load(toy_file)
    save_file({**toy_state, "linear.bias": torch.tensor([5.0, 6.0])}, toy_file)
    os.utime(toy_file, ns=(0, 1))
    assert load(toy_file).module.linear.bias.tolist() == [5.0, 6.0]
    assert first.module.linear.bias.tolist() == toy_state["linear.bias"].tolist()


def test_the_file_may_go_after_loading(toy_file, toy_state):
    """No weight is a view of the mapped file, which somebody may overwrite in place."""
    net = load(toy_file)
    with open(toy_file, "rb+") as file:
        file.write(bytes(toy_file.stat().st_size))
    assert torch.equal(net.module.linear.weight, toy_state["linear.weight"])


def test_threads_get_one_net(toy_file):
    nets = []
    threads = [threading.Thread(target=lambda: nets.append(load(toy_file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(nets) == 8 and len(set(map(id, nets))) == 1


def test_weights_stay_usable_for_autograd_in_inference_mode(toy_file):
    with torch.inference_mode():
        net = load(toy_file)
    assert not any(tensor.is_inference() for tensor in net.module.state_dict().values())


def test_checkpoints_of_several_files_are_one(tmp_path, toy_system, toy_state, save_bundle):
    """Whatever changes in the data files changes the network; their size counts, too."""
    toy_state = {"linear.weight": torch.ones(100, 100), "linear.bias": torch.ones(100)}
    index = save_bundle(tmp_path / "model.ckpt-0.index", toy_state)
    data = tmp_path / "model.ckpt-0.data-00000-of-00001"
    assert data.stat().st_size > 4 * index.stat().st_size
    first = load(index)
    assert load(index) is first and torch.equal(first.module.linear.weight, toy_state["linear.weight"])
    data.write_bytes(bytes(data.stat().st_size))
    os.utime(data, ns=(0, 1))
    assert load(index).module.linear.weight.abs().max() == 0
    data.unlink()
    with pytest.raises(ValueError) as caught:
        load(index)
    assert str(caught.value) == ("model.ckpt-0.index is no readable weight file: its data file "
                                 "model.ckpt-0.data-00000-of-00001 is missing; put it beside the index.")


def test_half_files_become_float32(tmp_path, toy_system, toy_state):
    torch.save({"EMA": {k: v.half() for k, v in toy_state.items()}, "step": 3}, tmp_path / "half.ckpt")
    net = load(tmp_path / "half.ckpt")
    assert net.module.linear.weight.dtype == torch.float32
    assert torch.equal(net.module.linear.weight, toy_state["linear.weight"].half().float())


def test_what_does_not_fit_is_listed(tmp_path, toy_system, toy_state):
    del toy_state["linear.bias"]
    save_file({**toy_state, "extra": torch.ones(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError) as caught:
        load(tmp_path / "odd.safetensors")
    assert str(caught.value) == ("odd.safetensors cannot be used: The weights do not fit a toy painter: "
                                 "1 missing (linear.bias); 1 unknown (extra).")


def test_check_state_counts_and_shortens():
    shapes = {f"layer{i}": torch.Size([2]) for i in range(6)}
    state = {"layer0": torch.ones(3), "centre": torch.ones(1)}
    with pytest.raises(ValueError) as caught:
        check_state(shapes, state, "net", optional=("centre", "layer5"))
    assert str(caught.value) == ("The weights do not fit a net: 4 missing (layer1, layer2, layer3, layer4); "
                                 "1 of another shape (layer0 is [3] instead of [2]).")
    with pytest.raises(ValueError, match=r"6 missing \(layer0, layer1, layer2, layer3 and 2 more\)\.$"):
        check_state(shapes, {}, "net")
    check_state({"a": torch.Size([])}, {"a": torch.tensor(1.0)}, "net")


def test_an_unknown_file_says_what_it_holds(tmp_path, toy_system):
    tree = {"model": {"conv.weight": torch.ones(1), "b": 1}, "w": torch.ones(2, 3), "n": 5}
    torch.save(tree, tmp_path / "x.pt")
    with pytest.raises(ValueError) as caught:
        load(tmp_path / "x.pt")
    assert str(caught.value) == (
        "x.pt cannot be used: the torch zip file holds model (entries: conv.weight, b), w (2x3), n (int), "
        "which is none of: toy painter.")


def test_systems_are_found_by_their_folders():
    core = Path(recognise_module.__file__).parents[1]
    folders = [path.parent.name for path in sorted(core.glob("*/weights.py"))]
    assert [system.name for system in recognise_module.systems()] == folders and "triagan" in folders
    for system in recognise_module.systems():
        assert system.select({"other": torch.ones(1), "nested": {"x": 1}}) is None


def test_broken_numbers_are_refused(tmp_path, toy_system, toy_state):
    toy_state["linear.bias"][1] = float("nan")
    save_file(toy_state, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match="nan.safetensors cannot be used: linear.bias holds NaN or infinite"):
        load(tmp_path / "nan.safetensors")


def test_more_values_than_the_file_has_are_refused(tmp_path, toy_system):
    expanded = {"linear.weight": torch.ones(1, 1).expand(1000, 1000), "linear.bias": torch.ones(1000)}
    torch.save(expanded, tmp_path / "small.pt")
    with pytest.raises(ValueError, match="small.pt cannot be used: its tensors claim more data than"):
        load(tmp_path / "small.pt")


def test_names_and_folders(tmp_path, toy_system, toy_state):
    runtime = Runtime(root=tmp_path)
    folder = tmp_path / "models" / "anyone"
    assert model_files(runtime) == []
    (folder / "mine").mkdir(parents=True)
    save_file(toy_state, folder / "mine" / "toy.safetensors")
    (folder / "readme.txt").write_text("no weights")
    for name in ("model.ckpt-0.data-00000-of-00001", "model.ckpt-0.meta", "checkpoint"):
        (folder / name).touch()
    (folder / ".unfinished.safetensors").touch()
    assert model_files(runtime) == ["mine/toy.safetensors"]
    assert available("inpainter", runtime)[-1] == "mine/toy.safetensors"
    for name in ("mine/toy.safetensors", "mine\\toy.safetensors"):
        assert resolve(name, "inpainter", runtime) == folder / "mine" / "toy.safetensors"
    assert load_as("mine/toy.safetensors", "inpainter", runtime).name == "mine/toy.safetensors"
    with pytest.raises(ValueError, match="mine/toy.safetensors holds a toy painter, which is no detector"):
        load_as("mine/toy.safetensors", "detector", runtime)


@pytest.mark.parametrize("name, role, file", [
    ("vitpose-plus-small", "estimator", "detection/vitpose-plus-small/model.safetensors"),
    ("openpose-body", "detector", "mine/body_pose_model.pth"),
    ("face-bisenet", "parser", "79999_iter.pth"),
    ("triagan-body", "inpainter", "triagan-body.ckpt"),
    ("deformable-fashion", "transfer", "mine/generator-warp-mask-nn5-cl12.h5"),
    ("deformable-market", "transfer", "market/generator-warp-mask-nn3-cl12.h5"),
    ("deformable-prw", "transfer", "prw/generator-warp-mask-nn3-cl12.h5"),
    ("pg2-market", "transfer", "pg2-market/model.ckpt-0.index")])
def test_a_published_name_means_its_file_wherever_it_lies(tmp_path, name, role, file):
    runtime = Runtime(root=tmp_path)
    path = tmp_path / "models" / "anyone" / file
    with pytest.raises(FileNotFoundError):
        resolve(name, role, runtime)
    path.parent.mkdir(parents=True)
    path.touch()
    assert resolve(name, role, runtime) == path
    with pytest.raises(FileNotFoundError, match=f"There is no refiner {name}; there is sam2.1-hiera-tiny, "):
        resolve(name, "refiner", runtime)


def test_what_is_not_here_yet_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        resolve("openpose-body", "detector", Runtime(root=tmp_path))
    assert str(caught.value) == (
        "openpose-body is not on this machine yet; tick download, or run: python run.py models fetch "
        f"openpose-body --root {tmp_path} (OpenPose body, COCO's 18 joints (CVPR 2017), 199 MB, licence: CMU "
        "OpenPose, non-commercial).")
    with pytest.raises(FileNotFoundError, match="its link is dead; if you have the file .md5 b649"):
        resolve("triagan-body", "inpainter", Runtime(root=tmp_path))
    with pytest.raises(FileNotFoundError, match="if you have the file, put it into .* pg2-fashion/model"):
        resolve("pg2-fashion", "transfer", Runtime(root=tmp_path))


def test_what_is_offered():
    assert [row.name for row in offered("inpainter")] == ["triagan-person"], "no dead links"
    assert [row.name for row in offered("detector")][:2] == ["detect-person", "rf-detr-seg-nano"]
    assert [row.name for row in offered("parser", "clothes")] == ["segformer-b2-clothes"]
    assert {row.status for row in offered("transfer")} <= {"embedded", "manual"}
    assert [row.name for row in offered("parser", "faces")] == ["face-parsing", "face-bisenet"]


@pytest.mark.parametrize("name", ["gone.pt", "../secret.pt", "/etc/hostname", "mine/../../secret.pt", ""])
def test_names_outside_the_folder(tmp_path, name):
    folder = tmp_path / "models" / "anyone"
    (folder / "mine").mkdir(parents=True)
    (folder.parent / "secret.pt").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="There is no inpainter .*models/anyone"):
        resolve(name, "inpainter", Runtime(root=tmp_path))
