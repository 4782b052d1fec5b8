"""Recognising, reading and refusing Deformable GAN files."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from anyone.core.checkpoints import load, read
from anyone.core.deformable.fast import FastGenerator
from anyone.core.deformable.network import AVERAGE, FASHION, Config, Discriminator, Generator, Norm
from anyone.core.deformable.weights import (
    OPTIONS,
    SYSTEM,
    build,
    option,
    read_config,
    read_generator,
    select,
)
from anyone.core.pose.maps import gaussian_maps
from anyone.core.pose.parts import part_geometry
from safetensors.torch import save_file

FORMAT = Path(__file__).parents[2] / "golden/deform-h5-format"
SMALL, SQUARE = (2, 3, 4, 5, 5, 6), (2, 3, 4, 5, 5, 5, 6)


def layers(config, first=1):
    """Our module, the published layer, in the order of a file: by depth. Keras numbers from `first` on."""
    levels = len(config.widths)
    encoders = list(enumerate(["appearance", "pose"][:1 + config.deformable]))
    for level in range(levels):
        for number, name in encoders:
            yield f"{name}.{level}{'.conv' if level else ''}", f"conv2d_{first + number * levels + level}"
        for number, name in encoders if 0 < level < levels - 1 else ():
            norm = first + number * (levels - 2) + level - 1
            yield f"{name}.{level}.norm", f"instance_normalization_{norm}"
    for block in range(levels - 1):
        norm = first + len(encoders) * (levels - 2) + block
        yield f"decoder.blocks.{block}.conv", f"conv2d_transpose_{first + block}"
        yield f"decoder.blocks.{block}.norm", f"instance_normalization_{norm}"
    yield "decoder.picture", f"conv2d_{first + len(encoders) * levels}"


def published(net, pairs):
    """What Keras would write of these modules."""
    tree = {}
    for name, layer in pairs:
        module = net.get_submodule(name)
        norm = isinstance(module, Norm)
        weight = module.weight if norm else module.weight.permute(2, 3, 1, 0)
        tree[f"{layer}/{'gamma' if norm else 'kernel'}:0"] = weight
        if module.bias is not None:
            tree[f"{layer}/{'beta' if norm else 'bias'}:0"] = module.bias
    return tree


def made(**options):
    torch.manual_seed(3)
    net = Generator(Config(**{"widths": SMALL} | options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.requires_grad_(False)


@pytest.fixture
def draw(standing, walking):
    """draw(net): what it makes of a given picture and poses."""
    picture, background = torch.rand(2, 1, 3, 128, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    heat = [gaussian_maps(joints, 128, 64) for joints in (standing, walking)]
    geometry = part_geometry(standing, walking, (128, 64))
    return lambda net: net(picture, *heat, geometry, background if net.config.background else None)


@pytest.mark.parametrize(("config", "count"), [
    (Config(), 31), (FASHION, 37), (Config(deformable=False), 21),
    (Config(widths=FASHION.widths, deformable=False), 25), (Config(background=True), 31),
    (Config(deformable=False, background=True), 21)])
def test_the_published_variants_are_told_apart(config, count):
    with torch.device("meta"):
        tree = published(Generator(config), layers(config))
    assert len({key.partition("/")[0] for key in tree}) == count
    assert read_config(select(tree)) == config


@pytest.mark.parametrize("options", [
    {}, {"deformable": False}, {"background": True}, {"deformable": False, "background": True}])
@pytest.mark.parametrize("first", [1, 40])
def test_published_files_draw_the_same(options, first, draw):
    net = made(**options)
    found = read_generator(select(published(net, layers(net.config, first))))
    assert found.config == net.config and not found.training
    assert torch.equal(draw(found), draw(net))


def test_the_square_variant_keeps_its_seven_levels():
    net = made(widths=SQUARE)
    found = read_generator(select(published(net, layers(net.config))))
    torch.testing.assert_close(found.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_the_order_of_the_file_counts_and_no_number():
    """The encoder of the pose was made first here, both take 21 planes."""
    net = made(background=True)
    names = dict(layers(net.config))
    swapped = {name: names[name.replace(*pair)] for name in names for pair in [
        ("appearance", "pose") if name.startswith("appearance") else ("pose", "appearance")]}
    assert swapped["appearance.0"] == "conv2d_7" and swapped["pose.0"] == "conv2d_1"
    found = read_generator(select(published(net, swapped.items())))
    torch.testing.assert_close(found.state_dict(), net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tiny-generator.h5", "tiny-generator-weights.h5"])
def test_files_that_keras_wrote_load(name):
    net, tree = load(FORMAT / name), read(FORMAT / name).tree
    plain = read_generator(select(tree))
    assert (net.system.name, net.system.role, net.module.config) == (
        "deformable", "transfer", Config(widths=(2, 3, 4, 5, 5, 5)))
    assert [layer for _, layer in layers(Config())] == list(dict.fromkeys(key.split("/")[0] for key in tree))
    for module, layer in layers(net.module.config):
        kind = "gamma" if "norm" in layer else "kernel"
        weight = tree[f"{layer}/{kind}:0"]
        expected = weight if kind == "gamma" else weight.permute(3, 2, 0, 1)
        assert torch.equal(plain.get_submodule(module).weight, expected), layer
    assert torch.equal(plain.decoder.picture.bias, tree["conv2d_13/bias:0"])


@pytest.mark.parametrize("options", [
    {}, {"outputs": 4}, {"joints": 5, "fusion": AVERAGE}, {"widths": (3, 2, 2)},
    {"deformable": False, "outputs": 4}, {"background": True, "outputs": 4}])
def test_files_of_our_own_load_by_recognition(options, tmp_path, draw):
    net = made(**options)
    save_file(net.state_dict(), tmp_path / "own.safetensors",
              {"system": "deformable", "fusion": net.config.fusion, "warp": "full", "heatmaps": "smooth"})
    loaded = load(tmp_path / "own.safetensors")
    assert loaded.system is SYSTEM and loaded.module.config == net.config
    assert isinstance(loaded.module, FastGenerator)
    if net.config.widths == made().config.widths and net.config.joints == 18:
        torch.testing.assert_close(draw(loaded.module), draw(net), rtol=0, atol=1e-5)


def test_what_the_file_does_not_say_is_as_published():
    assert [option({}, name) for name in OPTIONS] == ["maximum", "mask", "stepped"]
    assert option({"heatmaps": "smooth"}, "heatmaps") == "smooth"


@pytest.mark.parametrize(("metadata", "message"), [
    ({"fusion": "sum"}, "its fusion is 'sum'; known are maximum and average"),
    ({"warp": "stn"}, "its warp is 'stn'; known are mask and full"),
    ({"heatmaps": ""}, "its heatmaps is ''; known are stepped and smooth")])
def test_odd_metadata_is_refused(metadata, message):
    with pytest.raises(ValueError, match=message):
        build(made().state_dict(), metadata)


def judge():
    blocks = [f"blocks.{number}" for number in range(4)]
    pairs = [("conv", "conv2d_5"), *((f"{block}.conv", f"conv2d_{6 + i}") for i, block in enumerate(blocks)),
             *((f"{block}.norm", f"instance_normalization_{3 + i}") for i, block in enumerate(blocks[:3]))]
    net = Discriminator(widths=(2, 3, 3, 4))
    return net.state_dict(), published(net, pairs)


def test_discriminators_are_recognised_and_refused(tmp_path):
    ours, theirs = judge()
    torch.testing.assert_close(select(theirs), dict(ours), rtol=0, atol=0)
    save_file(ours, tmp_path / "d.safetensors")
    with pytest.raises(ValueError, match="d.safetensors cannot be used: It holds the discriminator"):
        load(tmp_path / "d.safetensors")


@pytest.mark.parametrize(("changes", "message"), [
    ({"conv2d_13/bias:0": None}, r"1 missing \(decoder.picture.bias\)"),
    ({"more": torch.zeros(2)}, r"1 unknown \(more\)"),
    ({"instance_normalization_14/gamma:0": torch.ones(1)}, r"unknown \(instance_normalization_14/gamma:0\)"),
    ({"conv2d_8/kernel:0": torch.zeros(4, 4, 2, 9)}, r"pose.1.conv.weight is \[9, 2, 4, 4\] instead"),
    ({"conv2d_7/kernel:0": torch.zeros(3, 3, 5, 2)}, r"pose.0.weight is \[2, 5, 3, 3\] instead of \[2, 21"),
    ({"conv2d_1/kernel:0": torch.zeros(2)}, "appearance.0.weight is missing or of an impossible shape"),
    ({"conv2d_1/kernel:0": torch.zeros(3, 3, 0, 2)}, "appearance.0.weight is missing or of an impossible"),
    ({"conv2d_13/kernel:0": torch.zeros(3, 3, 4, 7)}, "draw 7 planes of 18 joints, a generator draws 3 or 4"),
    ({"conv2d_1/kernel:0": torch.zeros(3, 3, 3, 2)}, "of 0 joints"),
    ({"conv2d_9/kernel:0": None}, "its 30 layers are those of no published generator"),
    ({"conv2d_transpose_2/kernel:0": None}, "its 30 layers are those of no published generator"),
    ({f"conv2d_transpose_{number}/kernel:0": torch.zeros(1) for number in range(6, 40)}, "65 layers"),
])
def test_weights_that_do_not_fit(changes, message):
    net = made()
    tree = published(net, layers(net.config)) | changes
    with pytest.raises(ValueError, match=message):
        build(select({name: value for name, value in tree.items() if value is not None}))


def test_more_levels_than_anybody_draws_with():
    more = {f"appearance.{level}.conv.weight": torch.zeros(1) for level in range(6, 50)}
    with pytest.raises(ValueError, match="they have 50 levels, expected are 3 to 9"):
        build(made().state_dict() | more)


def test_other_files_are_others():
    assert select({"block1_conv1/kernel:0": torch.zeros(3, 3, 3, 4)}) is None
    assert select({"conv2d_1/kernel:0": torch.zeros(3, 3, 3, 4), "dense_1/kernel:0": torch.ones(2)}) is None
    assert select({"conv2d_1/kernel:0": 1, "instance_normalization_1/gamma:0": "x"}) is None
    assert select({"appearance.0.weight": torch.zeros(1), "decoder": {}}) is None
