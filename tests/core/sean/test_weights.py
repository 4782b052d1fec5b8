"""Recognising, reading and refusing SEAN files."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.regions import FACE_REGIONS, PERSON_REGIONS
from anyone.core.sean.fast import FastGenerator
from anyone.core.sean.network import Config, Discriminator
from anyone.core.sean.weights import (
    SYSTEM,
    read_config,
    read_discriminator,
    read_generator,
    region_names,
    select,
)
from safetensors.torch import save_file

SIZE = {"size": "32x48"}


@pytest.fixture
def state(make_generator):
    """As a published file: with everything that is stored but never used."""
    state = dict(make_generator().state_dict())
    for key, value in list(state.items()):
        block, _, name = key.partition(".noise_var")
        if not name and block != key:
            for statistic in ("running_mean", "running_var"):
                state[f"{block}.Spade.param_free_norm.{statistic}"] = torch.full_like(value, 9.0)
            state[f"{block}.Spade.param_free_norm.num_batches_tracked"] = torch.tensor(3)
            state.setdefault(f"{block}.blending_gamma", torch.zeros(1))
            state.setdefault(f"{block}.blending_beta", torch.zeros(1))
            if f"{block}.fc_mu0.weight" in state:
                for label in range(5, 19):                 # published nets have 19 whatever the mask has
                    state[f"{block}.fc_mu{label}.weight"] = torch.zeros(10, 10)
                    state[f"{block}.fc_mu{label}.bias"] = torch.zeros(10)
    return state


@pytest.mark.parametrize("changes", [
    {}, {"labels": 3}, {"dims": (6, 5)} | {"styled": (True,) * 3 + (False,)}, {"style": 4, "hidden": 3},
    {"styled": (True, False, True, True, True)}, {"encoder": 2},
    {"styled": (False,) * 5, "style": 0, "encoder": 0},
])
def test_hyper_parameters_come_from_the_shapes(changes, make_generator):
    generator = make_generator(**changes)
    height, width = generator.config.size
    found = read_config(select(generator.state_dict()), {"size": f"{height}x{width}"})
    assert found == generator.config


def test_published_files_start_from_8x8(state):
    config = read_config(select(state))
    assert (config.start, config.size, config.more) == ((8, 8), (64, 64), False)
    assert read_config(select(state), {"upsampling": "more"}).size == (128, 128)


@pytest.mark.parametrize(("metadata", "message"), [
    ({"size": "30x48"}, "multiples of 8"), ({"size": "32"}, "its size is '32'"),
    ({"size": "0x0"}, "multiples of 8"),
    ({"upsampling": "most"}, "its upsampling is 'most'; known are normal and more"),
])
def test_odd_metadata_is_refused(metadata, message, state):
    with pytest.raises(ValueError, match=message):
        read_config(select(state), metadata)


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    lambda state: {f"module.{key}": value for key, value in state.items()},
    lambda state: {"state_dict": state, "epoch": 50},
])
def test_published_files_give_the_same_pictures(wrap, state, make_generator, make_labels, make_codes):
    network = SYSTEM.build(select(wrap(state)), SIZE)
    labels, codes = make_labels(), make_codes()
    torch.testing.assert_close(network(labels, codes), make_generator()(labels, codes), rtol=0, atol=1e-5)


def test_spade_files_are_networks_without_styles(make_generator, make_labels):
    expected = make_generator(styled=(False,) * 5, style=0, encoder=0)
    for name, value in expected.state_dict().items():
        if name.endswith("noise_var"):
            value.zero_()
    published = {key.replace(".ace_", ".norm_").replace(".Spade.", "."): value
                 for key, value in expected.state_dict().items() if not key.endswith("noise_var")}
    assert "up_0.norm_s.mlp_shared.0.weight" in published
    network, labels = SYSTEM.build(select(published), SIZE), make_labels()
    noise = {"up_0.ace_0": torch.ones(1, 1, 16, 24)}       # has no strength
    torch.testing.assert_close(network(labels, noise=noise), expected(labels), rtol=0, atol=1e-5)


def test_discriminators_are_recognised():
    expected = Discriminator(5, 4).initialise(2).eval()
    found = SYSTEM.build(select(expected.state_dict()), {})
    mask, image = torch.rand(1, 5, 32, 32), torch.rand(1, 3, 32, 32)
    assert torch.equal(found(mask, image)[1][-1], expected(mask, image)[1][-1])
    assert not found.training
    state = dict(expected.state_dict())
    del state["discriminator_0.model1.0.0.weight_u"]
    with pytest.raises(ValueError, match="1 missing .discriminator_0.model1.0.0.weight_u"):
        read_discriminator(state)


def test_foreign_trees_are_left_to_others(state):
    assert select({}) is None
    assert select({"state_dict": {"fc.weight": torch.zeros(2, 2)}}) is None
    assert select({"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}) is None
    assert select({key: value for key, value in state.items() if not key.startswith("conv_img")}) is None
    assert select({1: state}) is None


@pytest.mark.parametrize("key", [
    "up_0.conv_0.weight_v", "head_0.ace_1.fc_mu3.weight", "up_0.ace_s.Spade.mlp_gamma.bias",
    "Zencoder.model.10.weight", "up_1.ace_0.noise_var", "G_middle_0.ace_0.param_free_norm.running_var",
])
def test_missing_tensors_are_named(key, state):
    del state[key]
    with pytest.raises(ValueError, match=rf"1 missing \({key}\)"):
        read_generator(select(state), SIZE)


def test_the_difference_is_named(state):
    state["up_0.conv_0.bias"] = torch.zeros(3)
    state["extra"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"1 unknown \(extra\); 1 of another shape \(up_0.conv_0.bias is"):
        read_generator(select(state), SIZE)
    del state["head_0.ace_0.Spade.mlp_shared.0.weight"]
    with pytest.raises(ValueError, match="do not fit a SEAN region styler: .*shared.0.weight' is missing"):
        read_config(state)


def test_names_of_regions():
    assert region_names({}, 19) == FACE_REGIONS
    assert region_names({}, 12) == PERSON_REGIONS
    assert region_names({}, 3) == ("region 0", "region 1", "region 2")
    assert region_names({"regions": "sky,sea"}, 2) == ("sky", "sea")
    with pytest.raises(ValueError, match="names 2 regions, but its network has 3"):
        region_names({"regions": "sky,sea"}, 3)


def test_files_load_through_the_registry(state, tmp_path, make_generator, make_labels, make_codes):
    torch.save(state, tmp_path / "latest_net_G.pth")
    own = {key: value for key, value in make_generator().state_dict().items() if "num_batches" not in key}
    save_file(own, tmp_path / "own.safetensors", SIZE | {"regions": "a,b,c,d,e"})
    labels, codes = make_labels(), make_codes()
    published, ours = load(tmp_path / "latest_net_G.pth"), load(tmp_path / "own.safetensors")
    assert published.system is ours.system is SYSTEM and isinstance(published.module, FastGenerator)
    assert published.module.config == Config(**(vars(ours.module.config) | {"start": (8, 8)}))
    torch.testing.assert_close(ours.module(labels, codes), make_generator()(labels, codes), rtol=0, atol=1e-5)
    save_file(own, tmp_path / "wrong.safetensors", {"regions": "a,b"})
    with pytest.raises(ValueError, match="wrong.safetensors cannot be used: The file names 2 regions"):
        load(tmp_path / "wrong.safetensors")
