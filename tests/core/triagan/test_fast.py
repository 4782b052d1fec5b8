"""The fast form against the plain one."""
from __future__ import annotations

import pytest
import torch
from anyone.core.triagan.fast import FastGenerator, moments
from anyone.core.triagan.network import Config

FACE = {"layer_scale": False, "use_segmentation": False, "use_joint_map": False, "keypoint_channels": 3}
CONFIGS = {
    "body": {},
    "wide enough for Winograd": {"dims": (64, 80), "height": 40, "width": 24},
    "one block, no noise": {"blocks": 1, "middle_blocks": 1, "noise": False},
    "face": FACE | {"height": 32, "width": 32},
    "no keypoints": {"keypoint_channels": 0, "use_joint_map": False},
}


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_fast_equals_plain(changes, make_generator, make_planes):
    generator = make_generator(**changes)
    planes, w = make_planes(generator.config), torch.randn(2, 12)
    plain, noted = {}, {}
    expected = generator(planes, w, features=plain)
    found = FastGenerator(generator)(planes, w, features=noted)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())
    assert plain.keys() - noted.keys() == {f"dec{generator.config.levels - 1}"}
    for name, feature in noted.items():
        torch.testing.assert_close(feature, plain[name], rtol=0, atol=1e-4 * plain[name].std().item())


def test_styles_equal_plain(make_generator, make_planes):
    generator = make_generator()
    fast, planes, w = FastGenerator(generator), make_planes(generator.config), torch.randn(2, 12)
    table = fast.styles(w)
    torch.testing.assert_close(table, generator.styles(w), rtol=0, atol=1e-5)
    edited = table[0] + 0.3 * torch.randn(table.shape[1:])
    expected, found = generator(planes, styles=edited), fast(planes, styles=edited)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())


def test_half_is_close_and_float32(make_generator, make_planes):
    generator = make_generator(dims=(64, 80), height=40, width=24)
    fast, planes, w = FastGenerator(generator), make_planes(generator.config), torch.randn(2, 12)
    full, half = fast(planes, w), fast(planes, w, half=True)
    assert half.dtype == torch.float32
    assert 0.001 < (half - full).square().mean().sqrt() / full.std() < 0.1


def test_dense_keypoint_planes_take_the_dense_way(make_generator, make_planes):
    generator = make_generator()
    planes = make_planes(generator.config)
    planes[:, 7:24] = torch.rand(planes[:, 7:24].shape)
    expected = generator(planes, torch.ones(2, 12))
    found = FastGenerator(generator)(planes, torch.ones(2, 12))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())


def test_people_do_not_depend_on_their_company(make_generator, make_planes):
    fast = FastGenerator(make_generator())
    planes, w = make_planes(fast.config, 3), torch.randn(3, 12)
    alone = fast(planes[1:2], w[1:2])
    torch.testing.assert_close(fast(planes, w)[1:2], alone, rtol=0, atol=1e-4 * alone.std().item())


def test_the_input_stays_as_it_was(make_generator, make_planes):
    fast, planes = FastGenerator(make_generator()), make_planes(Config(height=36, width=20))
    before = planes.clone()
    first = fast(planes, torch.ones(2, 12))
    assert torch.equal(planes, before)
    assert torch.equal(fast(planes, torch.ones(2, 12)), first)


def test_moments_survive_a_large_mean():
    x = torch.randn(2, 48, 40, 6) * 0.01 + 30
    mean, variance = moments(x)
    torch.testing.assert_close(mean, x.double().mean((1, 2)).float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance, x.double().var((1, 2), correction=0).float(), rtol=1e-3, atol=0)


def test_one_copy_of_the_weights(make_generator):
    generator = make_generator(dims=(64, 80), height=40, width=24)
    fast = FastGenerator(generator)
    plain_size, fast_size = (sum(value.numel() for value in module.state_dict().values())
                             for module in (generator, fast))
    assert fast_size < plain_size
    assert not any(value.requires_grad for value in fast.buffers())


def test_the_accelerator_route_has_the_right_shapes(make_generator, make_planes):
    fast = FastGenerator(make_generator(dims=(64, 80), height=40, width=24)).to("meta")
    planes, w = make_planes(fast.config).to("meta"), torch.ones(2, 12, device="meta")
    for half in (False, True):
        assert fast(planes, w, half=half).shape == (2, 3, 40, 24)
