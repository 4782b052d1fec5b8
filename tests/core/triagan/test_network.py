"""The plain generator: published sizes, gains and keys, training noise, the mean latent."""
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from anyone.core.triagan.network import Config, Generator

GOLDEN = Path(__file__).parents[2] / "golden"
STAGES = [                                                # spec: size, dims, parameters, keys
    (18, 10, (512,) * 2, 61_641_743, 176),
    (36, 20, (512,) * 3, 86_035_475, 241),
    (72, 40, (512,) * 4, 110_429_207, 306),
    (144, 80, (256, 512, 512, 512, 512), 121_005_339, 371),
    (288, 160, (128, 256, 512, 512, 512, 512), 124_212_639, 436),
]


def on_meta(config):
    with torch.device("meta"):
        return Generator(config)


def count(generator):
    return sum(parameter.numel() for parameter in generator.parameters()), len(generator.state_dict())


@pytest.mark.parametrize(("height", "width", "dims", "parameters", "keys"), STAGES)
def test_published_stages_have_the_published_size(height, width, dims, parameters, keys):
    generator = on_meta(Config(dims=dims, height=height, width=width))
    assert count(generator) == (parameters, keys)
    assert generator.from_rgb.gain == pytest.approx(1 / math.sqrt(343))


def test_the_face_variant_has_the_published_size():
    generator = on_meta(Config(dims=(256, 512, 512, 512, 512), height=128, width=128, layer_scale=False,
                               use_segmentation=False, use_joint_map=False, keypoint_channels=3))
    assert count(generator) == (120_718_875, 349)
    assert generator.from_rgb.weight.shape[1] == 8
    assert generator.from_rgb.gain == pytest.approx(1 / math.sqrt(245))


@pytest.mark.parametrize("case", ["triagan-288", "triagan-small"])
def test_keys_and_shapes_are_those_of_published_files(case):
    manifest = json.loads((GOLDEN / case / "manifest.json").read_text())
    init = manifest["init"]
    generator = on_meta(Config(
        dims=tuple(init["dim"] * factor for factor in init["dim_mults"]), height=init["imsize"][0],
        width=init["imsize"][1], z=init["z_channels"], w=init["w_dim"]))
    shapes = {key: list(value.shape) for key, value in generator.state_dict().items()}
    assert shapes == {key: entry["shape"] for key, entry in manifest["params"].items()}


def test_style_rows_of_the_body_model_are_in_execution_order():
    case = json.loads((GOLDEN / "triagan-288" / "case.json").read_text())
    assert list(on_meta(Config()).modulated_convs()) == case["style_rows"]


def test_a_style_table_equals_its_latent(make_generator, make_planes):
    generator = make_generator()
    planes, w = make_planes(generator.config), torch.randn(2, 12)
    table = generator.styles(w)
    assert table.shape == (2, 28, 32)                      # 3 + 3 levels and 1 of middle, 2 blocks, 2 layers
    expected = generator(planes, w)
    torch.testing.assert_close(generator(planes, styles=table), expected, rtol=0, atol=0)
    shared = generator(planes, styles=table[0])
    torch.testing.assert_close(shared[0], expected[0])
    assert (shared[1] - expected[1]).abs().mean() > 0.01


def test_training_draws_fresh_noise_for_each_sample(make_generator, make_planes):
    generator = make_generator().train()
    planes, w = make_planes(generator.config, 1).repeat(2, 1, 1, 1), torch.randn(1, 12).repeat(2, 1)
    first = generator(planes, w, rng=torch.Generator().manual_seed(0))
    again = generator(planes, w, rng=torch.Generator().manual_seed(0))
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.01
    still = generator.eval()(planes, w)
    torch.testing.assert_close(still[0], still[1])


def test_every_parameter_but_the_dead_biases_learns(make_generator, make_planes):
    generator = make_generator().train().requires_grad_(True)
    planes, z = make_planes(generator.config), torch.randn(2, 10)
    generator(planes, generator.style_net(z)).square().sum().backward()
    largest = {name: parameter.grad.abs().max().item() for name, parameter in generator.named_parameters()}
    scale = max(largest.values())
    idle = {name for name, value in largest.items() if value < 1e-6 * scale}
    assert idle == {name for name in largest if name.endswith("conv0.bias")}


def test_w_avg_moves_only_when_told(make_generator, make_planes):
    generator = make_generator().train()
    before, w = generator.style_net.w_avg.clone(), generator.style_net(torch.randn(4, 10))
    generator(make_planes(generator.config, 4), w)
    assert torch.equal(generator.style_net.w_avg, before)
    generator.style_net.update_w_avg(w)
    torch.testing.assert_close(generator.style_net.w_avg, 0.998 * before + 0.002 * w.mean(0))


def test_initialisation_follows_the_paper():
    generator = Generator(Config(dims=(16, 16), height=4, width=4, z=32, w=64)).initialise(seed=3)
    block = generator.encoder.layers[0][0]
    assert generator.style_net.fc0.weight.std().item() == pytest.approx(100, rel=0.1)
    assert block.conv0.weight.std().item() == pytest.approx(1, rel=0.1)
    assert (block.conv0.affine.bias == 1).all() and (block.conv0.affine_beta.bias == 0).all()
    assert (block.layer_scale == 1e-5).all()
    noisy = generator.decoder.middle_blocks[0].conv1
    assert noisy.noise_strength == 0 and noisy.noise_const.std() > 0.5
    same = Generator(Config(dims=(16, 16), height=4, width=4, z=32, w=64)).initialise(seed=3)
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), same.parameters(), strict=True))


def test_other_sizes_need_a_network_without_stored_noise(make_generator, make_planes):
    noisy, quiet = make_generator(), make_generator(noise=False)
    larger = make_planes(Config(height=52, width=28))
    with pytest.raises(ValueError, match="fits pictures of 36x20 only; got 52x28"):
        noisy(larger, torch.randn(2, 12))
    assert quiet(larger, torch.randn(2, 12)).shape == (2, 3, 52, 28)
    with pytest.raises(ValueError, match="multiples of 4; got 50x28"):
        quiet(larger[:, :, :50], torch.randn(2, 12))
    with pytest.raises(ValueError, match="takes 30 input planes; got 29"):
        quiet(larger[:, 1:], torch.randn(2, 12))
    with pytest.raises(ValueError, match="give w or styles"):
        quiet(larger)
