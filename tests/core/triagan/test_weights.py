"""Recognising, reading and refusing TriA-GAN files."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.triagan.network import Config
from anyone.core.triagan.weights import SYSTEM, read_config, read_generator, select
from safetensors.torch import save_file

FACE = {"layer_scale": False, "use_segmentation": False, "use_joint_map": False, "keypoint_channels": 3}


@pytest.fixture
def state(make_generator):
    return make_generator().state_dict()


@pytest.mark.parametrize("changes", [
    {}, FACE, {"blocks": 1, "middle_blocks": 3}, {"dims": (6, 7)}, {"w_centers": 5},
    {"keypoint_channels": 0, "use_joint_map": False}, {"use_segmentation": False},
])
def test_hyper_parameters_come_from_the_shapes(changes, make_generator):
    generator = make_generator(**changes)
    assert read_config(generator.state_dict()) == generator.config


def test_without_noise_the_size_comes_from_the_metadata(make_generator):
    generator = make_generator(noise=False)
    assert read_config(generator.state_dict(), {"size": "36x20"}) == generator.config
    with pytest.raises(ValueError, match="metadata entry size, such as 144x80"):
        read_config(generator.state_dict())


def test_the_averaged_generator_of_a_trainer_file_is_taken(state):
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    tree = {"generator": other, "discriminator": {"x": torch.zeros(3)}, "EMA_generator": state,
            "D_optimizer": {"state": {}, "param_groups": [1]}, "train_state": object(), "scaler_G": None}
    assert select(tree).keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in select(tree).items())
    tree["running_average_generator"] = tree.pop("EMA_generator")
    assert torch.equal(select(tree)["from_rgb.weight"], state["from_rgb.weight"])
    assert select(dict(state)).keys() == state.keys()


def test_foreign_trees_are_left_to_others(state):
    assert select({}) is None
    assert select({"EMA_generator": {"from_rgb.weight": torch.zeros(3)}}) is None
    assert select({"EMA_generator": 3, "G_ema": {"b4.conv.weight": torch.zeros(1)}}) is None
    assert select({key: value for key, value in state.items() if "fc0" not in key}) is None


def test_centres_of_the_generator_win_over_those_of_the_file(state):
    outer, inner = torch.ones(3, 12), torch.zeros(4, 12)
    tree = {"EMA_generator": dict(state), "w_centers": outer}
    assert torch.equal(select(tree)["style_net.w_centers"], outer)
    tree["EMA_generator"]["style_net.w_centers"] = inner
    assert torch.equal(select(tree)["style_net.w_centers"], inner)
    module = SYSTEM.build(select(tree), {})
    assert torch.equal(module.style_net.w_centers, inner)


def test_old_files_keep_one_output_layer_per_level(state):
    old = {key: value for key, value in state.items() if "to_rgb" not in key}
    for level, value in ((2, 2.0), (0, 0.0), (1, 1.0)):
        old[f"decoder.to_rgb.{level}.weight"] = torch.full((3, 8 if level == 2 else 16, 1, 1), value)
        old[f"decoder.to_rgb.{level}.bias"] = torch.full((3,), value)
    renamed = select({"EMA_generator": old})
    assert renamed.keys() == state.keys()
    assert (renamed["decoder.to_rgb.weight"] == 2).all() and (renamed["decoder.to_rgb.bias"] == 2).all()
    old["decoder.to_rgb.2.weight"] = torch.zeros(3, 16, 1, 1)
    with pytest.raises(ValueError, match=r"to_rgb.weight is \[3, 16, 1, 1\] instead of \[3, 8, 1, 1\]"):
        read_generator(select({"EMA_generator": old}))


def test_the_difference_is_named(state):
    del state["from_rgb.bias"]
    state["extra.weight"] = torch.zeros(2)
    state["decoder.to_rgb.bias"] = torch.zeros(4)
    with pytest.raises(ValueError) as caught:
        read_generator(state)
    for part in ("1 missing (from_rgb.bias)", "1 unknown (extra.weight)", "decoder.to_rgb.bias is [4]"):
        assert part in str(caught.value)


@pytest.mark.parametrize(("key", "message"), [
    ("encoder.layers.1.0.conv0.weight", "encoder.layers.1.0.conv0.weight"),
    ("style_net.w_avg", "1 missing"),
    ("encoder.downsample.resample_filter", "1 missing"),
])
def test_missing_tensors_are_refused(state, key, message):
    del state[key]
    with pytest.raises(ValueError, match=message):
        read_generator(state)


def test_unknown_planes_and_filters_are_refused(state):
    with pytest.raises(ValueError, match="takes 29 planes"):
        read_config(state | {"from_rgb.weight": torch.zeros(8, 29, 7, 7)})
    with pytest.raises(ValueError, match="upsample.resample_filter is not made of 1, 3, 3, 1"):
        read_generator(state | {"decoder.upsample.resample_filter": torch.full((4, 4), 1 / 16)})


def test_half_files_are_read_as_float32(state, make_generator, make_planes):
    module = SYSTEM.build({key: value.half() for key, value in state.items()}, {})
    planes, generator = make_planes(module.config), make_generator()
    expected = generator(planes, generator.style_net.w_avg[None])
    found = module(planes, module.style_net.w_avg[None])
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.02 * expected.std()


def test_loading_does_not_touch_the_state(state):
    before = {key: value.clone() for key, value in state.items()}
    with torch.inference_mode():
        module = SYSTEM.build(state, {})
    assert all(torch.equal(value, before[key]) for key, value in state.items())
    assert not module.training and not any(value.is_inference() for value in module.buffers())


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_files_load_through_the_registry(state, suffix, tmp_path, make_generator, make_planes):
    path = tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        save_file(state, path, {"latent": "normal"})
    else:
        torch.save({"generator": {}, "EMA_generator": state, "scaler_G": {"scale": 2.0},
                    "train_state": SimpleNamespace(step=3)}, path)
    net = load(path)
    planes, w = make_planes(net.module.config), torch.ones(2, 12)
    torch.testing.assert_close(net.module(planes, w), make_generator()(planes, w), rtol=0, atol=1e-4)
    assert net.system is SYSTEM and load(path) is net


def test_an_unknown_latent_is_refused(state):
    assert SYSTEM.build(state, {"latent": "identity"}).config == Config(
        dims=(8, 12, 16), height=36, width=20, z=10, w=12)
    with pytest.raises(ValueError, match="its latent is 'laplace'; known are normal and identity"):
        SYSTEM.build(state, {"latent": "laplace"})
