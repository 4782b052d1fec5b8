"""The fast form against the plain one."""
from __future__ import annotations

import copy

import pytest
import torch
from anyone.core.stylegan.fast import FastGenerator

CONFIGS = {
    "square": {},
    "person, clamped": {"start": (4, 2), "conv_clamp": 0.8},
    "wide enough for Winograd": {"channels": (64, 64, 64, 64), "mapping": (64,)},
    "resnet, clamped": {"architecture": "resnet", "conv_clamp": 0.8},
    "orig, no noise": {"architecture": "orig", "noise": False},
    "grey, one block": {"channels": (12,), "image_channels": 1},
}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * expected.abs().max().item())


@pytest.mark.parametrize("noise", ["const", "random", "none"])
@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_fast_equals_plain(changes, noise, make_generator, make_ws):
    plain = make_generator(**changes)
    fast, ws = FastGenerator(copy.deepcopy(plain)), make_ws(plain.config)
    seeded = [torch.Generator().manual_seed(4) for _ in range(2)]
    close(fast.picture(ws, noise, seeded[0]), plain.picture(ws, noise, seeded[1]))
    for block in range(len(plain.config.channels)):
        found, expected = (net.features(ws, block, noise, torch.Generator().manual_seed(4))
                           for net in (fast, plain))
        assert found.block == expected.block == block
        close(found.x, expected.x)
        assert (found.image is None) == (expected.image is None)


def test_synthesis_goes_on_from_either_form(make_generator, make_ws):
    plain = make_generator()
    fast, ws = FastGenerator(copy.deepcopy(plain)), make_ws(plain.config)
    expected = plain.picture(ws)
    for stage in (plain.features(ws, 1), fast.features(ws, 1)):
        before = stage.x.clone()
        close(fast.picture(ws, after=stage), expected)
        close(plain.picture(ws, after=stage), expected)
        assert torch.equal(stage.x, before)


def test_samples_do_not_depend_on_their_company(make_generator, make_ws):
    fast = FastGenerator(make_generator())
    ws = make_ws(fast.config, 3)
    close(fast.picture(ws)[1:2], fast.picture(ws[1:2]))


def test_the_plain_form_stays_usable_and_shares_the_weights(make_generator, make_ws):
    plain = make_generator()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    expected, fast = plain.picture(make_ws(plain.config)), FastGenerator(plain)
    assert all(torch.equal(value, before[name]) for name, value in fast.generator.state_dict().items())
    assert {name.removeprefix("generator.") for name in fast.state_dict()} == before.keys()
    close(fast.generator.picture(make_ws(plain.config)), expected)
    assert fast.mapping is plain.mapping


def test_bad_latents_are_refused_as_by_the_plain_form(make_generator):
    fast = FastGenerator(make_generator())
    with pytest.raises(ValueError, match="8 rows of 11 numbers"):
        fast.picture(torch.zeros(1, 9, 11))
    with pytest.raises(ValueError, match="noise must be one of"):
        fast.features(torch.zeros(1, 8, 11), 0, "loud")


def test_the_accelerator_route_has_the_right_shapes(make_generator):
    fast = FastGenerator(make_generator(channels=(64, 64, 64), start=(4, 2), mapping=(8,))).to("meta")
    assert fast.picture(torch.zeros(2, 6, 8, device="meta")).shape == (2, 3, 16, 8)
