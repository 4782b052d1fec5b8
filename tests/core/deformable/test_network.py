"""The published networks: sizes, rules, losses."""
from __future__ import annotations

import pytest
import torch
from anyone.core.deformable import network
from anyone.core.deformable.network import Config, DeformableSkip, Discriminator, Generator, Norm
from anyone.core.pose.maps import gaussian_maps
from anyone.core.pose.parts import Geometry, part_geometry, whole_geometry
from torch import nn

TINY = (2, 3, 3, 4, 4)


def numbers(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.fixture
def given(standing, walking):
    """Arguments of a generator's call for pictures of 128x64."""
    picture = torch.rand(1, 3, 128, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    heat = [gaussian_maps(joints, 128, 64) for joints in (standing, walking)]
    return picture, *heat, part_geometry(standing, walking, (128, 64))


def built(**options):
    torch.manual_seed(0)
    return Generator(Config(widths=TINY, **options))


def test_published_networks_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        assert numbers(Generator(Config())) == 61_109_085
        assert numbers(Generator(network.FASHION)) == 82_080_611
        assert numbers(Generator(Config(deformable=False))) == 36_072_533
        assert numbers(Discriminator()) == 2_803_782


def test_the_norm_knows_one_mean_and_one_deviation():
    x = torch.tensor([[1.0, 3, 5, 7], [2, 6, 10, 14]]).view(2, 2, 1, 2)
    norm = Norm()
    nn.init.constant_(norm.weight, 2.0)
    nn.init.constant_(norm.bias, 0.5)
    for sample, mean, deviation in zip(x, (4, 8), (5**0.5, 20**0.5), strict=True):
        torch.testing.assert_close(norm(sample[None]), (sample[None] - mean) / (deviation + 1e-3) * 2 + 0.5)


def test_the_norm_keeps_half_precision_but_not_its_sums():
    x = torch.full((1, 4, 64, 64), 100.0).half()
    x[:, :2] = 102
    torch.testing.assert_close(Norm()(x)[:, :2], torch.full((1, 2, 64, 64), 1 / 1.001).half())


def two_parts():
    """All of a 1x4 map as it is; its right half one pixel from the left."""
    transforms = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[1, 0, -1], [0, 1, 0]]])[None]
    return Geometry(transforms, torch.tensor([[[[1, 1, 1, 1]], [[0, 0, 1, 1]]]], dtype=torch.bool))


@pytest.mark.parametrize(("fusion", "expected"), [
    (network.MAXIMUM, [0.0, 5.0, 5.0, -2.0]), (network.AVERAGE, [-1.0, 5.0, 1.0, -2.5])])
def test_parts_are_fused(fusion, expected):
    features = torch.tensor([-1.0, 5, -3, -2]).view(1, 1, 1, 4)
    assert DeformableSkip(fusion)(features, two_parts()).flatten().tolist() == expected


def maps(batch, channels, size, seed=0):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def maximum(features, geometry):
    return torch.stack(list(network.moved(features, geometry))).amax(0)


def test_the_maximum_is_that_of_all_parts(standing, walking):
    geometry = part_geometry(torch.cat([standing, walking]), torch.cat([walking, standing]), (128, 64))
    for step in (1, 4):
        features = maps(2, 3, (128 // step, 64 // step)).requires_grad_()
        plain, fast = maximum(features, geometry), network.greatest(features, geometry)
        assert torch.equal(fast, plain)
        slopes = [torch.autograd.grad(fused.square().sum(), features)[0] for fused in (fast, plain)]
        torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("seed", range(6))
def test_the_maximum_of_any_poses(seed, standing):
    """Some limbs missing, some joints far outside, some poses wholly so; the trunk is always there."""
    rng = torch.Generator().manual_seed(seed)
    source, target = (standing + torch.randn(8, 18, 2, generator=rng) * 12 for _ in range(2))
    limbs = [joint for joint in range(18) if joint not in (2, 5, 8, 11)]
    for poses in (source, target):
        gone = torch.rand(8, len(limbs), generator=rng) < 0.3
        poses[:, limbs] = torch.where(gone[..., None], torch.nan, poses[:, limbs])
    target[0, limbs[::3]] += 500
    target[1] += 300
    geometry = part_geometry(source, target, (128, 64))
    for step in (1, 2, 8):
        features = maps(8, 2, (128 // step, 64 // step), seed)
        assert torch.equal(network.greatest(features, geometry), maximum(features, geometry))
        one = features[:1]
        assert torch.equal(network.greatest(one, geometry), maximum(one.expand(8, -1, -1, -1), geometry))


def test_the_maximum_of_the_person_as_a_whole(standing, walking):
    geometry, features = whole_geometry(standing, walking, (128, 64)), maps(1, 3, (64, 32))
    found = network.greatest(features, geometry)
    assert torch.equal(found, maximum(features, geometry)) and found.min() < 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_maximum_in_half_precision(dtype, standing, walking):
    geometry, features = part_geometry(standing, walking, (128, 64)), maps(1, 4, (64, 32)).to(dtype)
    found = network.greatest(features, geometry)
    assert found.dtype == dtype and torch.equal(found, maximum(features, geometry))


def test_the_maximum_is_negative_only_where_all_parts_are():
    geometry = two_parts()
    everywhere = Geometry(geometry.transforms, torch.ones_like(geometry.masks))
    features = torch.tensor([-1.0, -5, -3, -2]).view(1, 1, 1, 4)
    assert network.greatest(features, everywhere).flatten().tolist() == [0.0, -1.0, -3.0, -2.0]


def test_one_part_is_not_clamped():
    both = two_parts()
    one = Geometry(both.transforms[:, 1:], torch.ones(1, 1, 1, 4, dtype=torch.bool))
    features = torch.tensor([-1.0, 5, -3, -2]).view(1, 1, 1, 4)
    assert DeformableSkip(network.MAXIMUM)(features, one).flatten().tolist() == [0.0, -1.0, 5.0, -3.0]


def test_gradients_go_back_to_where_the_features_came_from():
    features = torch.tensor([-1.0, 5, -3, -2], requires_grad=True)
    fused = DeformableSkip(network.AVERAGE)(features.view(1, 1, 1, 4), two_parts())
    fused.backward(torch.tensor([1.0, 10, 100, 1000]).view(1, 1, 1, 4))
    assert features.grad.tolist() == [1.0, 10 + 50, 50 + 500, 500]


def test_every_number_of_the_generator_learns(given):
    for deformable in (True, False):
        generator = built(deformable=deformable)
        generator(*given[:3], given[3] if deformable else None).square().mean().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


def test_what_the_parts_bring_matters(given):
    generator = built().eval()
    still = Geometry(torch.eye(2, 3).expand(1, 10, 2, 3), given[3].masks)
    with torch.no_grad():
        moved, kept = generator(*given), generator(*given[:3], still)
    assert moved.shape == (1, 3, 128, 64) and moved.abs().max() <= 1
    assert (moved - kept).abs().mean() > 1e-3


@pytest.mark.parametrize("fusion", [network.MAXIMUM, network.AVERAGE])
def test_one_source_for_all_targets(fusion, given, standing, walking):
    generator, (picture, own, target, _) = built(fusion=fusion).eval(), given
    geometry = part_geometry(standing.expand(2, -1, -1), torch.cat([walking, standing]), (128, 64))
    wanted = torch.cat([target, own])
    with torch.no_grad():
        looks = generator.appearance(torch.cat([picture, own], 1))
        expected = generator(picture.expand(2, -1, -1, -1), own.expand(2, -1, -1, -1), wanted, geometry)
        torch.testing.assert_close(generator.draw(looks, wanted, geometry), expected)


def test_dropout_is_for_training_and_for_three_blocks(given):
    generator = built()
    assert [block.dropout.p for block in generator.decoder.blocks] == [0.5, 0.5, 0.5, 0.0]
    with torch.no_grad():
        assert not torch.equal(generator(*given), generator(*given))
        generator.eval()
        assert torch.equal(generator(*given), generator(*given))


def test_bad_calls_say_what_is_wrong(given):
    with pytest.raises(ValueError, match="needs the geometry of the two poses; got none"):
        built()(*given[:3])
    with pytest.raises(ValueError, match="multiples of 16; got 60x128"):
        built()(*(tensor[..., :60] for tensor in given[:3]), given[3])


@pytest.mark.parametrize(("size", "scores"), [((128, 64), 3), ((256, 256), 49)])
def test_the_discriminator_scores_patches(size, scores):
    net = Discriminator(joints=2, widths=(2, 3, 3, 4))
    picture, heat = torch.rand(2, 3, *size), torch.rand(2, 2, *size)
    found = net(picture, heat, picture, heat)
    assert found.shape == (2, scores)
    assert (found > 0).all() and (found < 1).all()
    assert not torch.equal(found, net(picture, heat, 1 - picture, heat))


def test_surprise():
    assert network.surprise(torch.tensor([1.0, 1.0])).item() == pytest.approx(0, abs=1e-6)
    assert network.surprise(torch.tensor([0.0])).item() == pytest.approx(16.118, abs=1e-3)


def brute_force(fake, real, window):
    reach, (height, width) = window // 2, fake.shape[2:]
    found = torch.empty(len(fake), height, width)
    for y in range(height):
        for x in range(width):
            around = real[:, :, max(y - reach, 0):y + reach + 1, max(x - reach, 0):x + reach + 1]
            found[:, y, x] = (around - fake[:, :, y:y + 1, x:x + 1]).abs().sum(1).flatten(1).amin(1)
    return found


@pytest.mark.parametrize("window", [1, 3, 5, 9])
def test_the_nearest_neighbour_loss_searches_the_real_picture(window):
    rng = torch.Generator().manual_seed(0)
    fake, real = torch.randn(2, 2, 3, 6, 5, generator=rng)
    expected = brute_force(fake, real, window)
    torch.testing.assert_close(network.nearest_neighbours(fake, real, window), expected)


def test_a_shift_costs_nothing_within_the_window():
    real = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    fake = real.roll(2, dims=3)
    assert network.nearest_neighbours(fake, real, 5)[..., 2:].max() == 0
    assert network.nearest_neighbours(fake, real, 3)[..., 2:].min() > 0


def test_vgg_input_swaps_the_means_of_red_and_blue():
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    expected = torch.tensor([-123.68, -116.779, 255 - 103.939])
    torch.testing.assert_close(network.vgg_input(red).flatten(), expected)
