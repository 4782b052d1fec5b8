"""Recognising, reading and refusing PG2 files."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.checkpoints.tf_bundle import read_bundle
from anyone.core.pg2.network import COORDINATES, ENCODED, FASHION, MARKET, PG2
from anyone.core.pg2.weights import build, read_config, select
from safetensors.torch import save_file

STAGES = (("g1", "Pose_AE"), ("g2", "UAEnoFC"))


def published(net):
    """Names and layouts of a training checkpoint; layers are numbered in the order of their making."""
    tree = {"step": torch.tensor(7), "Discriminator.BN2.scale": torch.ones(3)}
    for stage, scope in STAGES:
        counts = {}
        for layer in getattr(net, stage).modules():
            kind = {torch.nn.Linear: "fully_connected"}.get(type(layer), "Conv")
            if not hasattr(layer, "weight"):
                continue
            number = counts[kind] = counts.get(kind, -1) + 1
            name = f"{scope}/G/{kind}" + (f"_{number}" if number else "")
            weight = layer.weight
            tree[f"{name}/weights"] = weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.T
            tree[f"{name}/biases"] = layer.bias
            tree[f"{name}/weights/Adam"] = torch.ones_like(tree[f"{name}/weights"])
    return tree


@pytest.mark.parametrize(("config", "names"), [
    (MARKET, {"g1": {"Conv": "first", "Conv_1": "encoder.0.conv1", "Conv_3": "encoder.0.change",
                     "Conv_13": "encoder.4.conv1", "Conv_14": "encoder.4.conv2", "Conv_15": "decoder.0.conv1",
                     "Conv_17": "decoder.0.change", "Conv_28": "decoder.4.conv2", "Conv_29": "last",
                     "fully_connected": "encode", "fully_connected_1": "decode"},
              "g2": {"Conv_6": "encoder.1.change", "Conv_8": "encoder.2.conv2", "Conv_9": "decoder.0.conv1",
                     "Conv_14": "decoder.2.conv2", "Conv_15": "last"}}),
    (FASHION, {"g1": {"Conv_17": "encoder.5.conv2", "Conv_18": "decoder.0.conv1",
                      "Conv_20": "decoder.0.change", "Conv_35": "last"},
               "g2": {"Conv_11": "encoder.3.conv2", "Conv_12": "decoder.0.conv1", "Conv_20": "last"}}),
])
def test_published_names(config, names):
    with torch.device("meta"):
        net = PG2(config)
        tree = published(net)
        state = select(tree)
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in net.state_dict().items()}
    assert read_config(state) == config
    for stage, scope in STAGES:
        for theirs, ours in names[stage].items():
            marked = select(tree | {f"{scope}/G/{theirs}/biases": torch.arange(5)})
            assert torch.equal(marked[f"{stage}.{ours}.bias"], torch.arange(5))


def test_published_files_compute_the_same(make_net):
    net = make_net()
    image, pose = torch.randn(1, 3, 32, 8), torch.ones(1, 18, 32, 8)
    torch.testing.assert_close(build(select(published(net)))(image, pose), net(image, pose))


def test_a_checkpoint_that_tensorflow_wrote_is_recognised():
    """Its names are the published ones, its arrays are not."""
    folder = Path(__file__).parents[2] / "golden/pg2-ckpt-format"
    tree = read_bundle(folder / "model.ckpt-0.index")
    state = select(tree)
    assert len(state) == 2 * (30 + 2 + 16) and all(name[:3] in ("g1.", "g2.") for name in state)
    assert torch.equal(state["g1.decoder.4.conv2.weight"],
                       tree["Pose_AE/G/Conv_28/weights"].permute(3, 2, 0, 1))
    with pytest.raises(ValueError, match="The weights do not fit a PG2 pose transfer"):
        build(state)


@pytest.mark.parametrize("changes", [
    {}, {"height": 64, "width": 24}, {"first_skip": True}, {"height": 64, "width": 8, "first_skip": True},
    {"channels": 3, "code": 5, "joints": 2}, {"outputs": 4}, {"pose": COORDINATES, "joints": 5},
    {"pose": ENCODED, "outputs": 4, "joints": 7}])
def test_hyper_parameters_come_from_the_shapes(make_net, changes):
    net = make_net(**changes)
    assert read_config(net.state_dict()) == net.config
    assert build(net.state_dict()).config == net.config


def test_files_of_our_own_load_by_recognition(make_net, tmp_path):
    net = make_net()
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    loaded = load(tmp_path / "own.safetensors")
    assert (loaded.system.name, loaded.system.role) == ("pg2", "transfer")
    torch.testing.assert_close(loaded.module.state_dict(), net.state_dict())
    assert not loaded.module.training


def test_published_checkpoints_load(make_net, tmp_path, save_bundle):
    net = make_net()
    loaded = load(save_bundle(tmp_path / "model.ckpt-0.index", published(net)))
    assert (loaded.system.name, loaded.name, loaded.module.config) == ("pg2", "model.ckpt-0", net.config)
    torch.testing.assert_close(loaded.module.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_other_files_are_others():
    assert select({"Pose_AE/G/Conv/weights": torch.zeros(1)}) is None
    assert select({"g1.first.weight": torch.zeros(1), "g2": {}}) is None
    assert select({"Pose_AE/G/Conv/weights": 1, "UAEnoFC/G/Conv/weights": "x"}) is None


@pytest.mark.parametrize(("changes", "message"), [
    ({"g1.last.bias": None}, r"1 missing \(g1.last.bias\)"),
    ({"more": torch.zeros(2)}, r"1 unknown \(more\)"),
    ({"g2.last.weight": torch.zeros(3, 4, 1, 1)}, r"g2.last.weight is \[3, 4, 1, 1\] instead of \[3, 4, 3, "),
    ({"g1.first.weight": torch.zeros(4)}, "g1.first.weight is missing or of an impossible shape"),
    ({"g1.decode.weight": None}, "g1.decode.weight is missing"),
    ({"g1.decode.weight": torch.zeros(0, 3)}, "g1.decode.weight is missing or of an impossible shape"),
    ({"g1.decode.weight": torch.zeros(31, 3)}, "g1.decode makes 31 values, expected is a multiple of 32"),
    ({f"g1.encoder.{level}.conv1.weight": torch.zeros(1) for level in range(40)}, "stage 1 has 40 levels"),
    ({"g1.encoder.2.conv1.weight": None}, "stage 1 has 2 levels"),
    ({"g1.last.weight": torch.zeros(5, 8, 3, 3)}, "draws 3 planes, or 4 with the opacity, not 5"),
    ({"g1.pose.0.weight": torch.zeros(4)}, "g1.pose.0.weight is missing or of an impossible shape"),
    ({"g1.pose.first.weight": torch.zeros(4, 18, 3, 3)}, "missing .g1.pose"),
])
def test_weights_that_do_not_fit(make_net, changes, message):
    state = make_net().state_dict() | changes
    with pytest.raises(ValueError, match=message):
        build({name: value for name, value in state.items() if value is not None})


def test_a_layer_too_many_is_named(make_net):
    tree = published(make_net()) | {"Pose_AE/G/Conv_18/weights": torch.zeros(3, 3, 1, 1)}
    with pytest.raises(ValueError, match=r"1 unknown \(Pose_AE/G/Conv_18/weights\)"):
        build(select(tree))
