"""Growing: the schedule, the fade of pictures on both sides, and the discriminator."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from anyone.core.growing import Config, Discriminator, Schedule, Stage, ToPicture, at_stage
from torch.testing import assert_close

CONFIG = Config((6, 5, 4), (4, 2), 7)


def make_discriminator(smooth=False) -> Discriminator:
    """Also with biases at work."""
    discriminator, rng = Discriminator(CONFIG, smooth).initialise(), torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, value in discriminator.named_parameters():
            if name.endswith("bias"):
                value.copy_(torch.randn(value.shape, generator=rng))
    return discriminator


@pytest.mark.parametrize(("seen", "stage"), [
    (0, (0, 1)), (99, (0, 1)),                             # level 0 alone
    (100, (1, 0)), (125, (1, 0.25)), (199, (1, 0.99)), (200, (1, 1)), (299, (1, 1)),
    (300, (2, 0)), (350, (2, 0.5)), (400, (2, 1)), (499, (2, 1)), (500, (2, 1)), (10 ** 9, (2, 1))])
def test_levels_fade_in_and_stabilise(seen, stage):
    assert Schedule(3, 100).stage(seen) == pytest.approx(stage)


def test_a_schedule_starts_at_a_level():
    schedule = Schedule(3, 100, first=1)
    assert [schedule.stage(seen) for seen in (0, 99, 150, 200, 300)] == [
        (1, 1), (1, 1), (2, 0.5), (2, 1), (2, 1)]
    assert Schedule(9).images == 800_000
    with pytest.raises(ValueError, match="at least one picture; got 0"):
        Schedule(3, 0)


def test_pictures_are_halved_by_area_and_fade_as_the_networks_do():
    pictures = torch.tensor([[1.0, 3, 0, 0], [5, 7, 0, 8], [0, 0, 4, 4], [0, 0, 4, 4]]).expand(1, 3, 4, 4)
    assert torch.equal(at_stage(pictures, Stage(2), 3), pictures)
    assert at_stage(pictures, Stage(1), 3)[0, 1].tolist() == [[4, 2], [0, 4]]
    assert at_stage(pictures, Stage(0), 3)[0, 2].tolist() == [[2.5]]
    assert at_stage(pictures, Stage(1, 0.0), 3)[0, 0].tolist() == [[2.5, 2.5], [2.5, 2.5]]
    assert at_stage(pictures, Stage(1, 0.25), 3)[0, 0].tolist() == [[2.875, 2.375], [1.875, 2.875]]


def test_a_picture_fades_from_the_level_below():
    layers = ToPicture(CONFIG)
    features = [torch.randn(2, width, *CONFIG.size(level)) for level, width in enumerate(CONFIG.channels)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_()
            layer.bias.normal_()
    below, new = (F.conv2d(x, layer.weight / len(layer.weight[0]) ** 0.5, layer.bias)
                  for x, layer in zip(features[1:], list(layers)[1:], strict=True))
    below = below.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert_close(layers(features), new)
    assert_close(layers(features, 0.0), below)
    assert_close(layers(features, 0.25), 0.75 * below + 0.25 * new)
    assert torch.equal(layers(features, 0.0)[:, :, ::2, ::2], layers(features[:2]))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, 0.5])
def test_impossible_shares_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha should be 0 to 1, and 1 at level 0"):
        ToPicture(CONFIG)([torch.zeros(1, 6, 4, 2)], alpha)


def test_a_level_that_has_not_faded_in_changes_no_score():
    discriminator, pictures = make_discriminator(), torch.randn(3, 3, 16, 8)
    small = F.avg_pool2d(pictures, 2)
    assert torch.equal(discriminator(pictures, Stage(2, 0.0)), discriminator(small, Stage(1)))
    assert torch.equal(discriminator(small, Stage(1, 0.0)), discriminator(F.avg_pool2d(small, 2), Stage(0)))


def test_a_level_that_has_faded_in_leaves_no_trace_of_the_old_way():
    discriminator, pictures = make_discriminator(), torch.randn(3, 3, 16, 8)
    half, whole = (discriminator(pictures, Stage(2, alpha)) for alpha in (0.5, 1.0))
    with torch.no_grad():
        for number in (0, 1):
            discriminator.fromrgb[number].weight.fill_(math.nan)
    assert torch.equal(discriminator(pictures, Stage(2)), whole)
    assert discriminator(pictures, Stage(2, 0.5)).isnan().all() and not half.isnan().any()


@pytest.mark.parametrize("smooth", [False, True])
def test_the_discriminator_step_by_step(smooth):
    discriminator, pictures = make_discriminator(smooth).double(), torch.randn(3, 3, 16, 8).double()

    def conv(layer, x):
        scaled = layer.weight / math.sqrt(layer.weight[0].numel())
        return F.leaky_relu(F.conv2d(x, scaled, layer.bias, padding="same"), 0.2) * math.sqrt(2)

    def halve(x):
        if not smooth:
            return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
        taps = torch.tensor([1.0, 2, 1]).double() / 4      # binomial filter, then the mean of 2x2 pixels
        kernel = taps.outer(taps).expand(x.shape[1], 1, 3, 3)
        return F.avg_pool2d(F.conv2d(x, kernel, padding=1, groups=x.shape[1]), 2)

    x = conv(discriminator.fromrgb[2], pictures)
    for block in (discriminator.blocks[1], discriminator.blocks[0]):
        x = halve(conv(block.conv1, conv(block.conv0, x)))
    spread = ((x - x.mean(0)) ** 2).mean(0).add(1e-8).sqrt().mean()
    x = conv(discriminator.conv, torch.cat([x, spread.expand(3, 1, 4, 2)], 1)).flatten(1)
    x = F.leaky_relu(x @ discriminator.fc.weight.T / 48 ** 0.5 + discriminator.fc.bias, 0.2) * math.sqrt(2)
    expected = x @ discriminator.out.weight.T / 6 ** 0.5 + discriminator.out.bias
    assert_close(discriminator(pictures, Stage(2)), expected)


def test_levels_that_are_not_there_are_refused():
    assert CONFIG.blocks(None) == 3 and CONFIG.blocks(0) == 1 and CONFIG.size(2) == (16, 8)
    for level in (-1, 3):
        with pytest.raises(ValueError, match=f"levels 0 to 2; got {level}"):
            CONFIG.blocks(level)
