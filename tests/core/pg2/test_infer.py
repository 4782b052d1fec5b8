"""One picture in, other poses out."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.people.frame import Drawn
from anyone.core.pg2 import infer
from anyone.core.pg2.weights import SYSTEM
from anyone.core.pose.maps import disc_maps

CPU = torch.device("cpu")


@pytest.fixture
def loaded(make_net):
    return lambda **changes: LoadedNet(make_net(height=64, width=32, **changes), SYSTEM, "tiny")


@pytest.fixture
def picture():
    return torch.rand(3, 64, 32, generator=torch.Generator().manual_seed(0))


def redraw(net, *arguments):
    return infer.redraw(net.module, net, CPU, *arguments)


def test_the_network_gets_discs_and_the_picture(loaded, picture, standing, walking):
    net, joints = loaded(), torch.cat([standing, walking]) / 2
    maps = 2 * disc_maps(joints, 64, 32) - 1
    _, refined = net.module(picture.expand(2, -1, -1, -1) * 2 - 1, maps)
    drawn = redraw(net, picture, standing[0], joints)
    torch.testing.assert_close(drawn.picture, ((refined + 1) / 2).clamp(0, 1))
    assert drawn.opacity is None and drawn.picture.min() == 0     # it leaves -1..1 and is cut
    assert (drawn.picture[0] - drawn.picture[1]).abs().max() > 1e-3


def test_the_sources_pose_does_not_matter(loaded, picture, standing, walking):
    net, nowhere = loaded(), torch.full((18, 2), torch.nan)
    assert torch.equal(redraw(net, picture, nowhere, walking / 2).picture,
                       redraw(net, picture, standing[0], walking / 2).picture)


def test_the_fourth_plane_is_the_opacity(loaded, picture, walking):
    net = loaded(outputs=4)
    assert infer.lifted(net) and not infer.lifted(loaded())
    _, refined = net.module(picture[None] * 2 - 1, 2 * disc_maps(walking / 2, 64, 32) - 1)
    planes = ((refined + 1) / 2).clamp(0, 1)
    drawn = redraw(net, picture, walking[0], walking / 2)
    torch.testing.assert_close(drawn.opacity, planes[:, 3])
    assert drawn.opacity.min() == 0 and drawn.opacity.max() > 0
    torch.testing.assert_close(drawn.picture, Drawn.read(planes).picture)


def test_size_and_background(loaded):
    assert infer.frame_size(loaded()) == (64, 32)
    assert not infer.takes_background(loaded())
    with pytest.raises(ValueError, match="tiny is a .*, not a PG2"):
        infer.frame_size(LoadedNet(torch.nn.Identity(), SYSTEM, "tiny"))


def test_targets_need_a_joint(loaded, standing):
    nobody = torch.full_like(standing, torch.nan)
    one = nobody.clone()
    one[:, 7] = 3.0
    infer.check_joints(loaded(), nobody, torch.cat([standing, one]))
    with pytest.raises(ValueError, match="target pose needs joints; pose 2 has none"):
        infer.check_joints(loaded(), standing, torch.cat([standing, nobody]))
