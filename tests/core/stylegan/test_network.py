"""The plain generator: published sizes and keys, latents and their rows, noise, architectures."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from anyone.core.equalised import Resample, binomial_filter
from anyone.core.stylegan.layers import HALF
from anyone.core.stylegan.network import Config, Generator, modulated_conv

GOLDEN = Path(__file__).parents[2] / "golden"
FULL = (512,) * 5
PUBLISHED = [                                             # spec 1.1: config, parameters, buffers
    (Config(channels=(512, 512, 512, 512, 256, 128, 64)), 24_767_458, 175_568),
    (Config(channels=(*FULL, 256, 128)), 30_034_338, 175_568),
    (Config(channels=(*FULL, 256, 128, 64)), 30_276_583, 699_904),
    (Config(channels=(*FULL, 256, 128, 64, 32)), 30_370_060, 2_797_104),
    (Config(channels=(*FULL, 256, 128, 64), start=(4, 2)), 30_272_487, 350_392),
    (Config(channels=(*FULL, 256, 128, 64, 32), start=(4, 2)), 30_365_964, 1_399_016),
]


def on_meta(config):
    with torch.device("meta"):
        return Generator(config)


@pytest.mark.parametrize(("config", "parameters", "buffers"), PUBLISHED)
def test_published_networks_have_the_published_size(config, parameters, buffers):
    generator = on_meta(config)
    filters = 3 * len(config.channels) - 1                # of published files, which repeat them
    own = sum(value.numel() for value in generator.state_dict().values()) - parameters
    assert sum(value.numel() for value in generator.parameters()) == parameters
    assert own == buffers - 16 * filters
    assert config.num_ws == {7: 14, 8: 16, 9: 18}[len(config.channels)]
    assert config.size(-1)[1] == config.size(-1)[0] * config.start[1] // 4


def test_keys_and_shapes_are_those_of_published_files():
    manifest = json.loads((GOLDEN / "stylegan2-256" / "manifest.json").read_text())
    shapes = {key: list(value.shape) for key, value in on_meta(PUBLISHED[0][0]).state_dict().items()}
    assert shapes == {key: entry["shape"] for key, entry in manifest["params"].items()
                      if not key.endswith("resample_filter")}


def test_modulation_scales_inputs_and_normalises_outputs():
    rng = torch.Generator().manual_seed(0)
    x, weight, style = (torch.randn(*shape, generator=rng, dtype=torch.float64)
                        for shape in ((2, 3, 5, 4), (6, 3, 3, 3), (2, 3)))
    demodulation = ((weight * style[:, None, :, None, None]) ** 2).sum((2, 3, 4)).add(1e-8).rsqrt()
    scaled = x * style[:, :, None, None]
    expected = F.conv2d(scaled, weight, padding=1)
    torch.testing.assert_close(modulated_conv(x, weight, style, demodulate=False), expected)
    torch.testing.assert_close(modulated_conv(x, weight, style), expected * demodulation[..., None, None])
    larger = modulated_conv(x, weight, style, up=True)
    expected = F.conv_transpose2d(scaled, weight.transpose(0, 1), stride=2) * demodulation[..., None, None]
    torch.testing.assert_close(larger, expected)


def test_upsampling_keeps_brightness_and_place():
    upsample = Resample(up=2, padding=(2, 1), gain=4)
    assert binomial_filter().sum() == 1
    torch.testing.assert_close(upsample(torch.ones(1, 2, 5, 6))[:, :, 2:-2, 2:-2], torch.ones(1, 2, 6, 8))
    spot = torch.zeros(1, 1, 4, 4)
    spot[..., 1, 2] = 1
    line = torch.tensor([1.0, 3, 3, 1]) / 4
    expected = torch.zeros(8, 8)
    expected[1:5, 3:7] = line.outer(line)                 # the spot's pixel covers rows 2, 3, columns 4, 5
    torch.testing.assert_close(upsample(spot)[0, 0], expected)


def test_truncation_leads_to_the_mean(make_generator):
    mapping, z = make_generator().mapping, torch.randn(3, 7)
    ws = mapping(z)
    assert ws.shape == (3, 8, 11) and torch.equal(ws[:, 0], ws[:, 7])
    torch.testing.assert_close(mapping(z, psi=0), mapping.w_avg.expand(3, 8, 11))
    torch.testing.assert_close(mapping(z, psi=0.25), 0.75 * mapping.w_avg + 0.25 * ws)
    some = mapping(z, psi=-1, cutoff=3)
    torch.testing.assert_close(some[:, :3], 2 * mapping.w_avg - ws[:, :3])
    torch.testing.assert_close(some[:, 3:], ws[:, 3:], rtol=0, atol=0)
    torch.testing.assert_close(mapping(z * 3), ws)        # only the direction of z counts


def test_w_avg_moves_only_when_told(make_generator):
    mapping = make_generator().mapping.train()
    before, w = mapping.w_avg.clone(), mapping.map(torch.randn(4, 7))
    assert torch.equal(mapping.w_avg, before)
    mapping.update_w_avg(w)
    torch.testing.assert_close(mapping.w_avg, 0.998 * before + 0.002 * w.mean(0))


def test_classes(make_generator):
    mapping, z = make_generator(labels=3, embed=5).mapping, torch.randn(2, 7)
    classes = torch.eye(3)[[0, 2]]
    assert (mapping(z, classes) - mapping(z)).abs().amax((1, 2)).min() > 0.01
    torch.testing.assert_close(mapping(z, torch.zeros(2, 3)), mapping(z), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"knows 3 classes, so 2 latents need labels \[2, 3\]; got \[2, 4\]"):
        mapping(z, torch.zeros(2, 4))


@pytest.mark.parametrize("start", [(4, 4), (4, 2)])
@pytest.mark.parametrize("noise", ["const", "random", "none"])
def test_synthesis_goes_on_where_it_stopped(start, noise, make_generator, make_ws):
    generator = make_generator(start=start)
    ws, rng = make_ws(generator.config), torch.Generator().manual_seed(3)
    stage = generator.features(ws, 1, noise, rng)
    assert stage.block == 1 and stage.x.shape == (2, 10, 2 * start[0], 2 * start[1])
    later = generator.features(ws, 2, noise, rng, after=stage)
    found = generator.picture(ws, noise, rng, after=later)
    expected = generator.picture(ws, noise, torch.Generator().manual_seed(3))
    assert found.shape == (2, 3, 8 * start[0], 8 * start[1])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("block", range(4))
def test_rows_a_block_depends_on(block, make_generator, make_ws):
    """Dragging edits the rows that reach its feature map; pictures have a row more."""
    generator = make_generator()
    ws = make_ws(generator.config, 1).requires_grad_()
    for value, last in ((generator.features(ws, block).x, 2 * block),
                        (generator.features(ws, block).image, 2 * block + 1)):
        used = torch.autograd.grad(value.square().sum(), ws)[0].abs().amax((0, 2)) > 0
        assert used.tolist() == [row <= last for row in range(8)]


def test_noise(make_generator, make_ws):
    generator = make_generator()
    ws = make_ws(generator.config, 1).repeat(2, 1, 1)
    const, none = generator.picture(ws), generator.picture(ws, "none")
    first, again = (generator.picture(ws, "random", torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.01      # every sample has its own
    assert torch.equal(const[0], const[1])
    assert min((a - b).abs().mean() for a, b in ((const, none), (first, none), (first, const))) > 0.01
    quiet = make_generator(noise=False)
    assert not any("noise" in key for key in quiet.state_dict())
    torch.testing.assert_close(quiet.picture(ws), quiet.picture(ws, "none"), rtol=0, atol=0)


def test_every_activation_is_clamped(make_generator, make_ws):
    free, tight = make_generator(), make_generator(conv_clamp=0.5)
    ws = make_ws(free.config)
    features = [tight.features(ws, block).x for block in range(4)]
    assert all(feature.abs().max() == 0.5 for feature in features)
    assert tight.features(ws, 0).image.abs().max() <= 0.5 < free.features(ws, 0).image.abs().max()


def test_resnet_adds_a_second_way(make_generator, make_ws):
    generator = make_generator(architecture="resnet", conv_clamp=0.7)
    block, ws = generator.synthesis.blocks[2], make_ws(generator.config)
    below, whole = generator.features(ws, 1), generator.features(ws, 2).x
    skip = block.skip.weight
    other = F.conv2d(below.x, skip) / 10 ** 0.5 * HALF
    block.skip.weight.data = torch.zeros_like(skip)
    convolved = generator.features(ws, 2).x
    torch.testing.assert_close(whole - convolved, Resample(up=2, padding=(2, 1), gain=4)(other))
    assert convolved.abs().max().item() == pytest.approx(0.7 * HALF)


@pytest.mark.parametrize("architecture", ["resnet", "orig"])
def test_others_draw_the_picture_at_the_end(architecture, make_generator, make_ws):
    generator = make_generator(architecture=architecture)
    ws = make_ws(generator.config).requires_grad_()
    assert generator.features(ws, 2).image is None
    names = [key for key in generator.state_dict() if "torgb.weight" in key]
    assert names == ["synthesis.b32.torgb.weight"]
    used = torch.autograd.grad(generator.picture(ws).square().sum(), ws)[0].abs().amax((0, 2)) > 0
    assert used.tolist() == [True] * 8


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_every_parameter_learns(architecture, make_generator):
    generator = make_generator(architecture=architecture, labels=3, embed=5).requires_grad_(True)
    ws = generator.mapping(torch.randn(4, 7), torch.eye(3)[[0, 1, 2, 0]])
    generator.picture(ws).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in generator.parameters())


def test_initialisation_is_as_published():
    generator = Generator(Config(channels=(64, 32), z=40, mapping=(48,) * 2)).initialise(seed=3)
    state = generator.state_dict()
    for key in ("b4.const", "b8.conv0.weight", "b8.conv0.affine.weight", "b8.conv0.noise_const"):
        assert state[f"synthesis.{key}"].std().item() == pytest.approx(1, rel=0.15)
    assert state["mapping.fc1.weight"].std().item() == pytest.approx(100, rel=0.1)
    assert (state["synthesis.b8.torgb.affine.bias"] == 1).all()
    zeros = ["mapping.w_avg", "mapping.fc0.bias", *(f"synthesis.b8.{key}" for key in (
        "conv1.bias", "torgb.bias", "conv0.noise_strength"))]
    assert all((state[key] == 0).all() for key in zeros)
    same = Generator(generator.config).initialise(seed=3).state_dict()
    assert all(torch.equal(value, same[key]) for key, value in state.items())


def test_wrong_latents_are_refused(make_generator):
    generator = make_generator()
    with pytest.raises(ValueError, match=r"\(8 rows of 11 numbers\); got \[1, 10, 11\]"):
        generator.picture(torch.zeros(1, 10, 11))
    with pytest.raises(ValueError, match=r"8 rows of 11 numbers\); got \[8, 11\]"):
        generator.picture(torch.zeros(8, 11))
    with pytest.raises(ValueError, match=r"latents z of 7 numbers; got a \[1, 512\] tensor"):
        generator.mapping(torch.zeros(1, 512))
    with pytest.raises(ValueError, match="noise must be one of const, random, none; got 'off'"):
        generator.picture(torch.zeros(1, 8, 11), "off")
    for block in (-1, 4):
        with pytest.raises(ValueError, match=f"has blocks 0 to 3; got {block}"):
            generator.features(torch.zeros(1, 8, 11), block)
