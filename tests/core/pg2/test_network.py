"""The published networks: sizes, rules, losses."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from anyone.core.pg2.network import (
    COORDINATES,
    ENCODED,
    FASHION,
    G1,
    G2,
    MARKET,
    PG2,
    Config,
    Discriminator,
    SameConv,
    discriminator_loss,
    generator_loss,
    mask_l1,
    network_pose,
)


def numbers(net):
    return sum(parameter.numel() for parameter in net.parameters())


def inputs(net, batch=2):
    rng = torch.Generator().manual_seed(5)
    size = net.config.height, net.config.width
    return (torch.rand(batch, 3, *size, generator=rng) * 2 - 1,
            (torch.rand(batch, 18, *size, generator=rng) > 0.9) * 2.0 - 1)


@pytest.mark.parametrize(("config", "g1", "g2", "output"), [
    (MARKET, 70_795_075, 6_058_883, 16_384), (FASHION, 122_103_235, 12_696_067, 32_768)])
def test_published_networks_have_the_published_numbers_of_parameters(config, g1, g2, output):
    with torch.device("meta"):
        assert (numbers(G1(config)), numbers(G2(config))) == (g1, g2)
        discriminator = Discriminator(config)
    assert discriminator.output.in_features == output
    assert [conv.out_channels for conv in discriminator.convs][:4] == [64, 128, 256, 512]


@pytest.mark.parametrize(("size", "stride", "sums"), [
    (3, 1, [2, 3, 3, 3, 3, 2]), (3, 2, [3, 3, 2]), (5, 2, [4, 5, 3]), (1, 1, [1] * 6)])
def test_odd_padding_goes_to_the_end(size, stride, sums):
    """How many pixels of a row of ones every output sees."""
    conv = SameConv(1, 1, size, stride)
    torch.nn.init.zeros_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    with torch.no_grad():
        conv.weight[..., size // 2, :] = 1
        assert conv(torch.ones(1, 1, 6, 6))[0, 0, 0].tolist() == sums


def test_the_code_reads_rows_columns_channels(make_net):
    net = make_net(width=16)
    skip = net.g1.features(torch.cat(inputs(net, 1), 1))[-1]                                    # [1,12,8,4]
    with torch.no_grad():
        net.g1.encode.weight.zero_()
        net.g1.encode.weight[0, (5 * 4 + 2) * 12 + 7] = 1                         # row 5, column 2, channel 7
        net.g1.encode.bias.zero_()
    torch.testing.assert_close(net.g1.code(skip)[0], torch.stack([skip[0, 7, 5, 2], *torch.zeros(2)]))


def test_the_code_reaches_the_coarse_picture(make_net):
    net = make_net()
    skips = net.g1.features(torch.cat(inputs(net, 1), 1))
    flat = [torch.zeros_like(skip) for skip in skips]
    code = net.g1.code(skips[-1])
    assert not torch.equal(net.g1.draw(code, flat), net.g1.draw(2 * code, flat))


def test_the_refined_picture_is_coarse_plus_difference(make_net):
    net = make_net()
    image, pose = inputs(net)
    coarse, refined = net(image, pose)
    assert coarse.shape == (2, 3, 32, 8)
    torch.testing.assert_close(coarse, net.g1(image, pose))
    torch.testing.assert_close(refined - coarse, net.g2(coarse, image))


@pytest.mark.parametrize("first_skip", [False, True])
def test_whether_g2_hands_its_first_features_on(make_net, first_skip):
    """With the decoder deaf to what comes from below, only the first skip is left to change anything."""
    net = make_net(height=64, width=8, first_skip=first_skip).g2
    channels = net.config.channels
    with torch.no_grad():
        net.decoder[-1].conv1.weight[:, :channels] = 0
    rng = torch.Generator().manual_seed(0)
    pictures = [torch.rand(1, 3, 64, 8, generator=rng) for _ in range(3)]
    same = torch.equal(net(pictures[0], pictures[1]), net(pictures[0], pictures[2]))
    assert same is not first_skip
    assert len(net.decoder) == 2


@pytest.mark.parametrize("changes", [{"height": 64, "width": 16, "first_skip": True}, {"pose": COORDINATES},
                                     {"pose": ENCODED, "outputs": 4}])
def test_every_weight_learns(make_net, changes):
    net = make_net(**changes)
    height, width = net.config.height, net.config.width
    joints = torch.rand(4, 18, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([width, height])
    coarse, refined = net(inputs(net, 4)[0], network_pose(joints, net.config))
    (coarse.square().mean() + refined.square().mean()).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())


@pytest.mark.parametrize(("height", "width"), [(16, 8), (96, 48), (128, 60), (128, 0)])
def test_sizes_without_a_network(height, width):
    with pytest.raises(ValueError, match=f"not {height}x{width}"):
        Config(height, width)


def test_pictures_of_another_size(make_net):
    net = make_net()
    image, pose = inputs(net)
    with pytest.raises(ValueError, match="draws 32x8 .* the picture is 8x32"):
        net(image.mT, pose)
    with pytest.raises(ValueError, match="draws 32x8 .* the pose is 16x8"):
        net(image, pose[:, :, :16])


def test_the_fourth_plane_is_refined_like_the_others(make_net):
    net = make_net(outputs=4)
    image, pose = inputs(net)
    coarse, refined = net(image, pose)
    assert coarse.shape == refined.shape == (2, 4, 32, 8)
    assert net.g2.first.in_channels == 7, "the coarse opacity is seen by stage 2"
    torch.testing.assert_close(refined[:, 3], coarse[:, 3] + net.g2(coarse, image)[:, 3])
    with pytest.raises(ValueError, match="3 planes, or 4 with the opacity, not 5"):
        make_net(outputs=5)


@pytest.mark.parametrize("pose", [COORDINATES, ENCODED])
def test_an_embedded_pose_reaches_the_picture_through_the_code_alone(make_net, pose):
    net = make_net(pose=pose)
    joints = torch.rand(2, 18, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([8.0, 32.0])
    image = inputs(net, 1)[0]
    assert net.g1.first.in_channels == 3
    pictures = [net(image, network_pose(joints[row:row + 1], net.config))[0] for row in (0, 1)]
    assert (pictures[0] - pictures[1]).abs().max() > 1e-4
    with torch.no_grad():
        net.g1.decode.weight[:, net.config.code:] = 0
    same = [net(image, network_pose(joints[row:row + 1], net.config))[0] for row in (0, 1)]
    assert torch.equal(*same)


def test_what_the_network_is_told_of_a_pose(make_net):
    joints = torch.full((1, 18, 2), torch.nan)
    joints[0, 0], joints[0, 3] = torch.tensor([2.0, 9.0]), torch.tensor([7.5, -0.5])
    maps = network_pose(joints, make_net().config)
    assert maps.shape == (1, 18, 32, 8) and maps[0, 0, 9, 2] == 1 and (maps[:, 1] == -1).all()
    torch.testing.assert_close(network_pose(joints, make_net(pose=ENCODED).config), maps)
    x, y, there = network_pose(joints, make_net(pose=COORDINATES).config).unflatten(1, (3, 18))[0]
    assert (x[0], y[0]) == (5 / 8 - 1, 19 / 32 - 1) and (x[3], y[3]) == (1, -1), "the corner of the picture"
    assert there.nonzero()[:, 0].tolist() == [0, 3] and not x[1] and not y[1]


def test_random_start():
    config = Config(32, 8, channels=8, code=3)
    net, judge = PG2(config).initialise(3), Discriminator(config, 16).initialise(3)
    first = net.g1.first.weight
    assert 0.95 < first.abs().max() / (6 / (9 * (21 + 8))) ** 0.5 <= 1
    assert not net.g1.first.bias.any()
    assert 0.0195 < judge.output.weight.std() < 0.0205 and judge.norms[0].weight.eq(1).all()
    torch.testing.assert_close(first, PG2(config).initialise(3).g1.first.weight)
    assert not torch.equal(first, PG2(config).initialise(4).g1.first.weight)


def test_the_discriminator_uses_the_batch_at_hand():
    judge = Discriminator(Config(32, 8), 2).initialise(0)
    images = torch.randn(3, 3, 32, 8, generator=torch.Generator().manual_seed(0))
    logits = judge(images)
    assert logits.shape == (3,)
    torch.testing.assert_close(judge.eval()(images), logits)
    assert not torch.allclose(judge(images[:2]), logits[:2])
    x = judge.convs[1](F.leaky_relu(judge.convs[0](images), 0.2))
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    normed = (x - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(judge.output(F.leaky_relu(normed, 0.2).flatten(1))[:, 0], logits)


def test_losses():
    image, target = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, -1.0]]]])
    assert mask_l1(image, target, torch.tensor([[[[1.0, 0.0]]]])).item() == pytest.approx((0.5 * 2 + 2) / 2)
    logits = [torch.tensor(row) for row in ([1.0, -2.0], [0.5, 0.5], [3.0, 0.0])]
    ones = [F.binary_cross_entropy_with_logits(row, torch.ones(2)) for row in logits]
    zeros = [F.binary_cross_entropy_with_logits(row, torch.zeros(2)) for row in logits]
    torch.testing.assert_close(generator_loss(logits[0]), ones[0])
    torch.testing.assert_close(discriminator_loss(*logits), ones[0] / 2 + zeros[1] / 4 + zeros[2] / 4)
