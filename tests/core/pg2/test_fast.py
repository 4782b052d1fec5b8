"""The fast form against the plain one."""
from __future__ import annotations

import pytest
import torch
from anyone.core.pg2.fast import FastConv, FastPG2, taps
from anyone.core.pg2.network import COORDINATES, ENCODED, SameConv, network_pose

CONFIGS = {
    "small": {},
    "wide enough for Winograd": {"height": 64, "width": 32, "channels": 32},
    "with the first skip": {"height": 64, "width": 16, "first_skip": True},
    "opacity": {"outputs": 4},
    "coordinates": {"pose": COORDINATES},
    "an encoder for the pose": {"pose": ENCODED},
}


@pytest.fixture
def make_inputs(standing, walking):
    """make_inputs(net): two pictures and two poses as the network takes them."""
    def make(net):
        height, width = net.config.height, net.config.width
        image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
        joints = torch.cat([standing, walking]) * torch.tensor([width / 64, height / 128])
        return image, network_pose(joints, net.config)
    return make


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_fast_equals_plain(changes, make_net, make_inputs):
    net = make_net(**changes)
    call = make_inputs(net)
    for found, expected in zip(FastPG2(net)(*call), net(*call), strict=True):
        assert expected.std() > 0.01
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())


def test_half_precision(make_net, make_inputs):
    net = make_net(height=64, width=32, channels=32)
    call = make_inputs(net)
    _, expected = net(*call)
    _, found = FastPG2(net).bfloat16()(*(plane.bfloat16() for plane in call))
    assert found.dtype == torch.bfloat16
    assert 0 < (found.float() - expected).square().mean().sqrt() < 0.05 * expected.std()


def test_filters_lie_as_they_are_used(make_net):
    fast = FastPG2(make_net())
    convs = [module for module in fast.modules() if isinstance(module, FastConv)]
    assert len(convs) == 14 + 6 and all(taps(conv.weight).is_contiguous() for conv in convs)
    others = [module for module in fast.modules() if isinstance(module, SameConv)]
    assert [conv.stride[0] * conv.kernel_size[0] for conv in others] == [6, 6, 1, 1]


def test_the_plain_networks_stay_as_they_were(make_net, make_inputs):
    net = make_net()
    call = make_inputs(net)
    expected, fast = net(*call)[1], FastPG2(net)
    assert torch.equal(net(*call)[1], expected)
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (fast, net)]
    assert shapes[0] == shapes[1]
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_pictures_of_another_size(make_net, make_inputs):
    net = make_net()
    image, pose = make_inputs(net)
    with pytest.raises(ValueError, match="draws 32x8"):
        FastPG2(net)(image.mT, pose)


def test_the_accelerator_route_has_the_right_shapes(make_net, make_inputs):
    net = make_net(height=64, width=32, channels=32)
    planes = [plane.to("meta") for plane in make_inputs(net)]
    assert [picture.shape for picture in FastPG2(net).to("meta")(*planes)] == [(2, 3, 64, 32)] * 2
