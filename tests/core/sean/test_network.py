"""The published networks: sizes, rules, training."""
from __future__ import annotations

import pytest
import torch
from anyone.core.sean.network import (
    Config,
    Discriminator,
    Encoder,
    Generator,
    SpectralConv,
    draw_noise,
    nearest,
    region_means,
    to_mask,
)


def numbers(net):
    return sum(parameter.numel() for parameter in net.parameters())


def test_published_networks_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        generator, discriminator = Generator(Config()), Discriminator(19)
    unused = 3 * 2                                        # blending parameters of up_3, which we leave out
    assert numbers(generator) == 266_907_367 - unused
    assert numbers(generator.Zencoder) == 1_568_576
    assert numbers(discriminator) == 1_364_098


def test_stages_of_the_published_network():
    stages = Config().stages
    assert [(stage.name, stage.inputs, stage.outputs, stage.size[0]) for stage in stages] == [
        ("head_0", 1024, 1024, 8), ("G_middle_0", 1024, 1024, 16), ("G_middle_1", 1024, 1024, 16),
        ("up_0", 1024, 512, 32), ("up_1", 512, 256, 64), ("up_2", 256, 128, 128), ("up_3", 128, 64, 256)]
    assert [stage.styled for stage in stages] == [True] * 6 + [False]
    assert sum(len(stage.norms) for stage in stages) == 18


def test_more_upsampling_doubles_between_the_middle_blocks():
    config = Config(start=(4, 8), more=True)
    assert config.stages[2].size == (16, 32)
    assert config.size == (256, 512)


@pytest.mark.parametrize(("name", "values"), [
    ("head_0.ace_0", (-1.1258, -1.1524, 0.3223)), ("head_0.ace_1", (-0.5692, 0.9200, -1.6293)),
    ("G_middle_0.ace_0", (-0.8834, -0.4189, -0.2596)), ("up_0.ace_s", (0.4047, -0.6549, -0.1169)),
    ("up_1.ace_s", (1.3706, -0.0510, 0.4520)), ("up_2.ace_1", (1.5933, -0.0532, 0.3890)),
    ("up_3.ace_1", (0.7600, -0.6100, -0.5845)),
])
def test_noise_is_what_the_published_code_draws(name, values):
    plane = draw_noise(Config(), torch.Generator().manual_seed(0))[name]
    found = plane[0, 0, 0, 0], plane[0, 0, 1, 0], plane[0, 0, 0, 1]
    torch.testing.assert_close(torch.stack(found), torch.tensor(values), atol=5e-5, rtol=0)


def test_nearest_takes_the_pixel_below():
    assert nearest(torch.arange(5)[None], (1, 3)).tolist() == [[0, 1, 3]]
    assert nearest(torch.arange(6)[:, None], (3, 1)).flatten().tolist() == [0, 2, 4]


def test_masks_of_label_maps():
    mask = to_mask(torch.tensor([[[0, 2, 3]]], dtype=torch.uint8), 3)
    assert mask.tolist() == [[[[1, 0, 0]], [[0, 0, 0]], [[0, 1, 0]]]]
    assert to_mask(mask, 3) is mask


def test_codes_are_means_over_the_pixels_of_a_region(make_labels):
    features, labels = torch.randn(2, 6, 12, 10), make_labels(2, 24, 20)
    labels[1][labels[1] == 3] = 2
    mask = to_mask(labels, 5) * 0.25                       # any value but zero counts fully
    codes = region_means(features, mask)
    for sample in range(2):
        small = labels[sample, ::2, ::2]
        for label in range(5):
            inside = features[sample][:, small == label]
            expected = inside.mean(1) if inside.shape[1] else torch.zeros(6)
            torch.testing.assert_close(codes[sample, label], expected, atol=1e-6, rtol=1e-5)
    assert not codes[1, 3].any()


def test_features_of_odd_pictures():
    encoder = Encoder(2, 4)
    assert encoder.features(torch.zeros(1, 3, 45, 63)).shape == (1, 4, 24, 32)


def test_one_matrix_for_all_blocks_or_one_for_each(make_generator, make_labels, make_codes):
    generator, labels, codes = make_generator(), make_labels(2), make_codes(2)
    expected = generator(labels, codes)
    each = codes[:, None].repeat(1, 4, 1, 1)
    before, after = {}, {}
    torch.testing.assert_close(generator(labels, each, features=before), expected, rtol=0, atol=1e-5)
    each[:, 3] = -each[:, 3]
    generator(labels, each, features=after)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["up_0", "up_1"]


def test_regions_change_where_their_style_does(make_generator, make_labels, make_codes):
    generator, labels, codes = make_generator(), make_labels(), make_codes()
    other = codes.clone()
    other[:, 2] = -other[:, 2]
    change = (generator(labels, codes) - generator(labels, other)).abs().mean(1)[0]
    inside = nearest(labels, generator.config.size)[0] == 2
    assert change[inside].mean() > 2 * change[~inside].mean()


def test_without_styles_it_is_spade(make_generator, make_labels):
    generator = make_generator(styled=(False,) * 5, style=0, encoder=0)
    assert not any("fc_mu" in key or "blending" in key for key in generator.state_dict())
    assert generator(make_labels(2)).shape == (2, 3, 32, 48)
    with pytest.raises(ValueError, match="it has no style encoder"):
        generator.encode(torch.zeros(1, 3, 32, 48), make_labels())


def test_spectral_norm_learns_in_training_only():
    conv = SpectralConv(6, 4, 3, 1)
    with torch.no_grad():
        conv.weight_orig.normal_()
        conv.bias.zero_()
    conv.weight_u.normal_()
    conv.weight_v.normal_()
    before = conv.weight_u.clone()
    stored = conv.weight_u @ (conv.weight_orig.flatten(1) @ conv.weight_v)
    torch.testing.assert_close(conv.eval().sigma(), stored)
    assert torch.equal(conv.weight_u, before)
    conv.train()
    for _ in range(200):
        conv(torch.randn(1, 6, 5, 5))
    largest = torch.linalg.matrix_norm(conv.weight_orig.flatten(1), 2)
    torch.testing.assert_close(conv.eval().sigma(), largest, rtol=1e-4, atol=0)
    torch.testing.assert_close(conv.weight_v.norm(), torch.tensor(1.0))


def test_training_reaches_every_parameter(make_generator, make_labels):
    generator = make_generator().train().requires_grad_(True)
    labels, image = make_labels(2), torch.rand(2, 3, 32, 48) * 2 - 1
    noise = draw_noise(generator.config, torch.Generator().manual_seed(1), 2)
    statistics = generator.up_0.ace_0.param_free_norm.running_mean.clone()
    fake = generator(labels, generator.encode(image, labels), noise=noise)
    discriminator = Discriminator(5, 4).initialise().train()
    judged = discriminator(to_mask(nearest(labels, (32, 48)), 5), fake)
    torch.stack([scale[-1].mean() for scale in judged]).sum().backward()
    silent = [name for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]
              if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()]
    # An instance norm follows these biases and takes them out again.
    assert {name for name in silent if not name.startswith("Zencoder.model.")} == set()
    assert not torch.equal(generator.up_0.ace_0.param_free_norm.running_mean, statistics)


def test_two_forward_passes_before_one_backward():
    """A generator step may draw twice: u and v change in between, the gradients must not notice."""
    conv = SpectralConv(3, 2, 3, 1)
    torch.nn.init.normal_(conv.weight_orig)
    torch.nn.init.zeros_(conv.bias)
    conv.weight_u.fill_(1)
    conv.weight_v.fill_(1)
    x = torch.randn(1, 3, 4, 4)
    (conv(x).square().sum() + conv(x).square().sum()).backward()
    assert conv.weight_orig.grad.isfinite().all()


def test_half_precision_stays_close(make_generator, make_labels):
    generator, labels, image = make_generator(), make_labels(), torch.rand(1, 3, 32, 48) * 2 - 1
    expected = generator(labels, generator.encode(image, labels))
    with torch.autocast("cpu", torch.bfloat16):
        found = generator(labels, generator.encode(image, labels))
    assert 0 < (found - expected).abs().mean() < 0.05 * expected.abs().mean()


def test_the_discriminator_sees_two_scales():
    outputs = Discriminator(19).initialise()(torch.zeros(1, 19, 256, 256), torch.zeros(1, 3, 256, 256))
    sides = [[layer.shape[-1] for layer in scale] for scale in outputs]
    assert sides == [[129, 65, 33, 34], [65, 33, 17, 18]]


def test_initial_weights_are_the_published_ones(make_generator):
    generator = Generator(make_generator().config).initialise(3)
    assert generator.up_0.ace_0.blending_gamma.sigmoid() == 0.5
    assert not generator.up_0.ace_0.noise_var.any() and not generator.fc.bias.any()
    weight = generator.G_middle_0.conv_0.weight_orig
    spread = 0.02 * (2 / (12 * 9 + 12 * 9)) ** 0.5
    assert weight.std().item() == pytest.approx(spread, rel=0.1)
    assert generator.G_middle_0.conv_0.weight_u.norm().item() == pytest.approx(1)


@pytest.mark.parametrize(("regions", "codes", "message"), [
    (torch.zeros(1, 4, 8, 8), torch.zeros(1, 5, 10), "knows 5 regions; the mask has channels for 4"),
    (torch.zeros(1, 8, 8), torch.zeros(1, 4, 10), "takes 5 of 10 numbers; got 4 of 10"),
    (torch.zeros(1, 8, 8), torch.zeros(1, 3, 5, 10), "come from another model"),
    (torch.zeros(1, 8, 8), None, "needs style codes"),
])
def test_what_does_not_fit_is_refused(regions, codes, message, make_generator):
    with pytest.raises(ValueError, match=message):
        make_generator()(regions, codes)
