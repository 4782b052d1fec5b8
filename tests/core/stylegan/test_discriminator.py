"""The plain discriminator: sizes, groups, architectures, classes."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from anyone.core.equalised import add_deviation, binomial_filter
from anyone.core.stylegan.discriminator import Discriminator, DiscriminatorConfig
from anyone.core.stylegan.layers import HALF


def test_the_published_network_has_the_published_size():
    """The three networks of a file of 364 MB have 2 * 30,276,583 + 699,904 * 2 + D numbers of 4 bytes."""
    with torch.device("meta"):
        discriminator = Discriminator(DiscriminatorConfig(channels=(512,) * 5 + (256, 128, 64)))
    assert sum(value.numel() for value in discriminator.parameters()) == pytest.approx(
        364e6 / 4 - 2 * (30_276_583 + 699_904), rel=0.02)
    assert discriminator.names == ["b512", "b256", "b128", "b64", "b32", "b16", "b8"]
    people = DiscriminatorConfig(channels=(12, 8), start=(4, 2))
    assert Discriminator(people).b4.fc.weight.shape == (12, 8 * 12)


def test_a_block_halves_both_ways(make_discriminator):
    discriminator = make_discriminator(conv_clamp=0.6)
    block, image = discriminator.blocks[0], torch.randn(2, 3, 16, 16)
    found, _ = block(None, image)
    x = block.fromrgb(image)
    assert x.abs().max().item() == pytest.approx(0.6)
    kernel = binomial_filter().expand(8, 1, 4, 4)
    small = F.conv2d(x, kernel, stride=2, padding=1, groups=8)
    expected = F.conv2d(small, block.skip.weight) / 8 ** 0.5 * HALF
    h = F.conv2d(block.conv0(x), kernel, padding=2, groups=8)
    h = F.conv2d(h, block.conv1.weight / 72 ** 0.5, block.conv1.bias, stride=2)
    expected = expected + F.leaky_relu(h, 0.2).clamp(-0.6 * HALF, 0.6 * HALF)
    torch.testing.assert_close(found, expected)


def test_members_of_a_group_are_apart():
    x = torch.zeros(4, 2, 3, 3)
    x[0], x[2] = 1, 3                                      # groups 0, 2 and 1, 3
    found = add_deviation(x, 2)
    assert found.shape == (4, 3, 3, 3) and torch.equal(found[:, :2], x)
    torch.testing.assert_close(found[:, 2, 0, 0], torch.tensor([1, 1e-4, 1, 1e-4]))
    assert torch.equal(found[:, 2], found[:, 2, :1, :1].expand(4, 3, 3))
    assert add_deviation(x[:1], 4)[0, 2].max() == pytest.approx(1e-4)
    with pytest.raises(ValueError, match="groups of 2 pictures; got a batch of 3: use a multiple of 2"):
        add_deviation(x[:3], 2)


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
def test_every_parameter_learns(architecture, make_discriminator):
    discriminator = make_discriminator(architecture=architecture, labels=3, embed=5, mapping=(6, 12))
    discriminator(torch.randn(4, 3, 16, 16), torch.eye(3)[[0, 1, 2, 0]]).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in discriminator.parameters())


def test_skip_shows_every_block_the_picture(make_discriminator):
    discriminator, image = make_discriminator(architecture="skip"), torch.randn(2, 3, 16, 16)
    assert {name for name in discriminator.state_dict() if "fromrgb.weight" in name} == {
        f"b{side}.fromrgb.weight" for side in (16, 8, 4)}
    x, half = discriminator.b16(None, image)
    torch.testing.assert_close(half[:, :, 1:-1, 1:-1], F.conv2d(
        image, binomial_filter().expand(3, 1, 4, 4), stride=2, padding=1, groups=3)[:, :, 1:-1, 1:-1])
    shown, _ = discriminator.b8(x, half)
    expected = discriminator.b8.conv1(discriminator.b8.conv0(x + discriminator.b8.fromrgb(half)))
    torch.testing.assert_close(shown, expected)


def test_a_class_is_judged_by_its_label(make_discriminator):
    discriminator, image = make_discriminator(labels=3, embed=5, mapping=(6, 12)), torch.randn(2, 3, 16, 16)
    score = discriminator.b4(*reduced(discriminator, image))
    label = discriminator.mapping.map(torch.zeros(2, 0), torch.eye(3)[:2])
    expected = (score * label).sum(1, keepdim=True) / 12 ** 0.5
    torch.testing.assert_close(discriminator(image, torch.eye(3)[:2]), expected)


def reduced(discriminator, image):
    x = None
    for block in discriminator.blocks:
        x, image = block(x, image)
    return x, image
