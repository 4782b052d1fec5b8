"""Recognising, reading and refusing StyleGAN2 files."""
from __future__ import annotations

import json
import math

import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.equalised import binomial_filter
from anyone.core.stylegan.weights import (
    SYSTEM,
    mean_latent,
    read_config,
    read_discriminator,
    read_discriminator_config,
    read_generator,
    select,
    select_discriminator,
)
from safetensors.torch import save_file

GENERATORS = {
    "usual": {},
    "person": {"start": (4, 2)},
    "with classes": {"labels": 3, "embed": 5},
    "resnet": {"architecture": "resnet"},
    "orig": {"architecture": "orig", "noise": False, "image_channels": 1},
    "small": {"channels": (6, 4), "mapping": (8,) * 8},
}
JUDGES = {
    "usual": {},
    "person": {"start": (4, 2), "channels": (6, 5, 4, 3)},
    "with classes": {"architecture": "orig", "labels": 3, "embed": 5, "mapping": (6, 12)},
    "skip": {"architecture": "skip", "image_channels": 1},
}
ROSINALITY = {"weight": "conv.weight", "bias": "activate.bias", "affine.weight": "conv.modulation.weight",
              "affine.bias": "conv.modulation.bias", "noise_strength": "noise.weight"}


def with_filters(state):
    """As published: the filter again and again."""
    layers = {name.rsplit(".", 1)[0] for name in state if name.endswith(("conv1.weight", "conv0.weight"))}
    return state | {f"{layer}.resample_filter": binomial_filter() for layer in layers}


def to_rosinality(state):
    """The table of the layout: spec 4.3."""
    tree = {}
    for name, value in state.items():
        network, place, *rest = name.split(".")
        if network == "mapping":
            key = "latent_avg" if place == "w_avg" else f"style.{int(place[2:]) + 1}.{rest[0]}"
        elif rest == ["const"]:
            key, value = "input.input", value[None]
        else:
            level, layer, kind = int(math.log2(int(place[1:]))) - 3, rest[0], ".".join(rest[1:])
            number = 2 * level + int(layer[-1]) if layer != "torgb" else 0
            if kind == "noise_const":
                key, value = f"noises.noise_{number + 1}", value[None, None]
            elif layer == "torgb":
                kind = "bias" if kind == "bias" else ROSINALITY[kind]
                key = f"to_rgbs.{level}.{kind}" if level >= 0 else f"to_rgb1.{kind}"
                value = value.view(1, -1, 1, 1) if kind == "bias" else value
            else:
                key = f"convs.{number}.{ROSINALITY[kind]}" if level >= 0 else f"conv1.{ROSINALITY[kind]}"
                value = value.view(1) if kind == "noise_strength" else value
            value = value[None] if kind in ("weight", "conv.weight") else value
        tree[key] = value
    mean = tree.pop("latent_avg")
    return {"g": {"x": mean}, "g_ema": tree | {"convs.0.conv.blur.kernel": 4 * binomial_filter()},
            "d_optim": {"state": {}}, "args": object(), "latent_avg": mean}


TENSORFLOW = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}
TENSORFLOW_LAYERS = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}


def to_tensorflow(state, lod=False):
    """The table of the first release: spec 4.4."""
    tree = {}
    side = max(int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b"))
    for name, value in state.items():
        network, place, *rest = name.split(".")
        if network == "mapping":
            layers = {"w_avg": "dlatent_avg", "embed": "mapping/LabelEmbed"}
            key = "/".join([layers.get(place, f"mapping/Dense{place[2:]}"), *rest])
            value = value.T if rest == ["weight"] else value
        elif rest == ["const"]:
            key, value = "synthesis/4x4/Const/const", value[None]
        else:
            level, kind = int(place[1:]), ".".join(rest[1:])
            layer = "Conv" if level == 4 and rest[0] == "conv1" else TENSORFLOW_LAYERS[rest[0]]
            if kind == "noise_const":
                number = int(2 * math.log2(level)) - (5 if rest[0] == "conv0" else 4)
                key, value = f"synthesis/noise{number}", value[None, None]
            else:
                key = f"synthesis/{level}x{level}/{layer}/{TENSORFLOW.get(kind, kind)}"
                if lod and layer == "ToRGB":
                    key = key.replace(f"{level}x{level}/ToRGB", f"ToRGB_lod{int(math.log2(side // level))}")
                if kind == "weight":
                    value = value.permute(2, 3, 1, 0)
                    value = value.flip(0, 1) if layer in ("Conv0_up", "Skip") else value
                elif kind.startswith("affine"):
                    value = value.T if value.ndim == 2 else value - 1
        tree[key] = value
    return {"G": {"x": torch.zeros(1)}, "G_ema": tree}


def same(found, expected, **limits):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, **{"atol": 0} | limits)


@pytest.mark.parametrize("changes", GENERATORS.values(), ids=GENERATORS)
def test_hyper_parameters_come_from_the_shapes(changes, make_generator):
    generator = make_generator(**changes)
    assert read_config(generator.state_dict()) == generator.config


@pytest.mark.parametrize("changes", JUDGES.values(), ids=JUDGES)
def test_those_of_a_discriminator_too(changes, make_discriminator):
    discriminator = make_discriminator(**changes, group=4)
    assert read_discriminator_config(discriminator.state_dict()) == discriminator.config


def test_the_averaged_generator_of_a_trainer_file_is_taken(make_generator):
    state = make_generator().state_dict()
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    tree = {"training_set_kwargs": {"path": "x"}, "G": other, "D": {}, "G_ema": with_filters(state),
            "augment_pipe": None}
    same(select(tree), with_filters(state))
    same(select(state), state)
    same(read_generator(select(tree)).state_dict(), state)


@pytest.mark.parametrize("changes", [{}, {"start": (4, 2)}, {"channels": (6, 4), "mapping": (8,) * 8}])
def test_rosinality_files(changes, make_generator):
    state = make_generator(**changes).state_dict()
    tree = to_rosinality(state)
    same(select(tree), state)
    del tree["latent_avg"]
    assert "mapping.w_avg" not in select(tree)
    same(select(tree["g_ema"]), {name: value for name, value in state.items() if name != "mapping.w_avg"})


@pytest.mark.parametrize("changes", [{}, {"architecture": "resnet"}, {"labels": 2, "embed": 5}])
def test_files_of_the_first_release(changes, make_generator):
    state = make_generator(**changes).state_dict()
    same(select(to_tensorflow(state)), state, atol=1e-6)


def test_files_of_the_first_release_that_draw_at_the_end(make_generator):
    state = make_generator(architecture="orig").state_dict()
    tree = to_tensorflow(state, lod=True)
    assert "synthesis/ToRGB_lod0/weight" in tree["G_ema"]
    same(select(tree), state, atol=1e-6)


def test_discriminators_of_other_programs(make_discriminator):
    state = make_discriminator().state_dict()
    same(select_discriminator({"D": state, "G_ema": {}}), state)
    same(select_discriminator(state), state)
    names = {"b16.fromrgb.weight": "convs.0.0.weight", "b16.fromrgb.bias": "convs.0.1.bias",
             "b4.conv.weight": "final_conv.0.weight", "b4.conv.bias": "final_conv.1.bias"}
    for side, number in ((16, 1), (8, 2)):
        names |= {f"b{side}.conv0.weight": f"convs.{number}.conv1.0.weight",
                  f"b{side}.conv0.bias": f"convs.{number}.conv1.1.bias",
                  f"b{side}.conv1.weight": f"convs.{number}.conv2.1.weight",
                  f"b{side}.conv1.bias": f"convs.{number}.conv2.2.bias",
                  f"b{side}.skip.weight": f"convs.{number}.skip.1.weight"}
    for kind in ("weight", "bias"):
        names |= {f"b4.fc.{kind}": f"final_linear.0.{kind}", f"b4.out.{kind}": f"final_linear.1.{kind}"}
    kernels = {"convs.1.skip.0.kernel": binomial_filter()}
    same(select_discriminator({"d": kernels | {names[name]: value for name, value in state.items()}}), state)
    layers = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip"}
    first = {}
    for name, value in state.items():
        place, layer, kind = name.split(".")
        key = f"{place[1:]}x{place[1:]}/{layers.get(layer)}"
        key = {"b4.conv": "4x4/Conv", "b4.fc": "4x4/Dense0", "b4.out": "Output"}.get(f"{place}.{layer}", key)
        first[f"{key}/{kind}"] = value.permute(*{4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim])
    same(select_discriminator({"D": first}), state)
    first["FromRGB_lod0/weight"], first["FromRGB_lod0/bias"] = (
        first.pop(f"16x16/FromRGB/{kind}") for kind in ("weight", "bias"))
    same(select_discriminator({"D": first}), state)
    same(read_discriminator(state).state_dict(), state)


def test_foreign_trees_are_left_to_others(make_generator):
    state = make_generator().state_dict()
    assert select({}) is None and select_discriminator({}) is None
    assert select({"G_ema": {"synthesis.input.freqs": torch.zeros(3)}}) is None
    assert select({"G_ema": 3, "latent_avg": torch.zeros(3)}) is None
    assert select({name: value for name, value in state.items() if "fc0" not in name}) is None
    odd = {"input.input": torch.zeros(()), "conv1.conv.modulation.weight": torch.zeros(2, 0),
           "style.1.weight": torch.zeros(0), "to_rgb1.bias": torch.zeros(1, 2, 3),
           "noises.noise_1": torch.zeros(1)}
    assert select({"g_ema": odd})["synthesis.b4.const"].shape == ()
    first = {"synthesis/4x4/Const/const": torch.zeros(3), "mapping/Dense0/weight": torch.zeros(3, 1, 1),
             "synthesis/4x4/Conv/mod_weight": torch.zeros(()),
             "synthesis/8x8/Conv0_up/weight": torch.zeros(2)}
    assert "synthesis.b8.conv0.weight" in select({"G_ema": first})


@pytest.mark.parametrize(("arguments", "expected"), [
    (None, None),
    ({"conv_clamp": 200}, 200),
    ({"img_resolution": 32, "synthesis_kwargs": {"conv_clamp": 128}}, 128),
    ({"img_resolution": 32, "synthesis_kwargs": {"channel_base": 512}}, None),
    ({"img_resolution": 32, "synthesis_kwargs": {"conv_clamp": None}}, None),
    ({"img_resolution": 32, "channel_base": 512}, 256),
    ({"img_resolution": 32, "conv_clamp": None}, None),
    ({"resolution": 32, "fmap_base": 512}, None),
    ({"conv_clamp": "much"}, None),
])
def test_the_limit_of_activations_is_in_the_metadata(arguments, expected, make_generator):
    metadata = {} if arguments is None else {"arguments": json.dumps(arguments)}
    assert read_config(make_generator().state_dict(), metadata).conv_clamp == expected


def test_arguments_of_a_discriminator(make_discriminator):
    state = make_discriminator().state_dict()
    for arguments, group, clamp in (({}, 4, None), ({"mbstd_group_size": 8, "conv_clamp": 256}, 8, 256),
                                    ({"epilogue_kwargs": {"mbstd_group_size": 32}}, 32, None)):
        config = read_discriminator_config(state, {"discriminator_arguments": json.dumps(arguments)})
        assert (config.group, config.conv_clamp) == (group, clamp)
    with pytest.raises(ValueError, match="metadata entry discriminator_arguments is no JSON object"):
        read_discriminator_config(state, {"discriminator_arguments": "[1]"})


def test_a_missing_mean_is_sampled(make_generator):
    generator = make_generator()
    state = generator.state_dict()
    del state["mapping.w_avg"]
    found = read_generator(state).mapping.w_avg
    expected = generator.mapping.map(torch.randn(5000, 7, generator=torch.Generator().manual_seed(9))).mean(0)
    assert (found - expected).abs().max() < 0.05 * generator.mapping.map(torch.randn(500, 7)).std()
    assert torch.equal(found, mean_latent(generator.mapping))
    assert "mapping.w_avg" not in state


@pytest.mark.parametrize(("change", "message"), [
    ({"synthesis.b8.conv0.bias": None}, r"1 missing \(synthesis.b8.conv0.bias\)"),
    ({"synthesis.b4.const": None}, "synthesis.b4.const is missing"),
    ({"synthesis.b4.conv1.weight": None}, "synthesis.b4.conv1.weight is missing"),
    ({"synthesis.b16.conv1.weight": torch.zeros(3, 3)}, "synthesis.b16.conv1.weight is .* impossible shape"),
    ({"extra.weight": torch.zeros(2)}, r"1 unknown \(extra.weight\)"),
    ({"synthesis.b32.conv1.bias": torch.zeros(4)}, r"b32.conv1.bias is \[4\] instead of \[6\]"),
    ({"synthesis.b8.resample_filter": torch.full((4, 4), 1 / 16)}, "b8.resample_filter is not made of 1, 3"),
    ({"synthesis.b8.resample_filter": torch.ones(12)}, "b8.resample_filter is not made of 1, 3"),
])
def test_the_difference_is_named(change, message, make_generator):
    state = make_generator().state_dict() | change
    with pytest.raises(ValueError, match=message):
        read_generator({name: value for name, value in state.items() if value is not None})


def test_loading_does_not_touch_the_state(make_generator):
    state = make_generator().state_dict()
    before = {name: value.clone() for name, value in state.items()}
    with torch.inference_mode():
        module = SYSTEM.build(state, {})
    same(state, before)
    assert not module.training and not any(value.is_inference() for value in module.buffers())
    assert all(value.data_ptr() not in {old.data_ptr() for old in state.values()}
               for name, value in module.state_dict().items() if name.endswith("conv1.weight"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_files_load_through_the_registry(suffix, tmp_path, make_generator, make_ws):
    generator, path = make_generator(conv_clamp=0.9), tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        save_file(generator.state_dict(), path, {"arguments": json.dumps({"conv_clamp": 0.9})})
    else:
        generator = make_generator()
        torch.save(to_rosinality(generator.state_dict()) | {"args": 3}, path)
    net = load(path)
    ws = make_ws(generator.config)
    torch.testing.assert_close(net.module.picture(ws), generator.picture(ws), rtol=0, atol=1e-4)
    assert net.system is SYSTEM and net.system.role == "generator" and load(path) is net
