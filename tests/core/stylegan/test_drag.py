"""Generators as dragging sees them: the plain form, and the fast one on windows."""
from __future__ import annotations

import copy

import pytest
import torch
from anyone.core.drag import Box, DragSettings, drag
from anyone.core.drag.plain import WholeMap
from anyone.core.stylegan.drag import DragSource
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.windows import WindowedSource, drag_source, merged

CONFIGS = {                                               # with the block whose features are compared
    "square": ({}, 3),
    "deeper than the rows that change": ({"channels": (12, 10, 8, 6, 6, 5)}, 4),
    "person, clamped": ({"start": (4, 2), "conv_clamp": 0.8, "channels": (12, 10, 8, 6, 5)}, 4),
    "orig, no noise": ({"architecture": "orig", "noise": False}, 2),
    "wide enough for Winograd": ({"channels": (64, 64, 64, 64), "mapping": (64,)}, 3),
}
BOXES = [Box(3, 4, 7, 8), Box(4, 6, 9, 9), Box(0, 0, 3, 2), Box(13, 10, 16, 16)]


@pytest.fixture
def make_sources(make_generator, make_ws):
    """(name of a config) -> the plain and the fast form of one generator and latent."""
    def make(name):
        changes, block = CONFIGS[name]
        generator = FastGenerator(make_generator(**changes))
        ws = make_ws(generator.config, 1)
        return DragSource(generator, ws, block), drag_source(copy.deepcopy(generator), ws, block)
    return make


def gradient_of(source, rows, boxes, weights):
    rows = rows.clone().requires_grad_()
    parts = source.features(rows, boxes)
    total = sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True))
    return parts, torch.autograd.grad(total, rows)[0]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("boxes", ["few", "whole", "large"])
def test_windows_are_cut_from_the_whole_and_have_its_gradient(name, boxes, make_sources):
    plain, fast = make_sources(name)
    assert isinstance(fast, WindowedSource)
    side = plain.map_size[0]
    across = max(plain.margin[1] - 5, 0)                  # so that some reach beside the picture
    wanted = {"few": [box.moved(0, across) for box in BOXES], "whole": [Box(0, 0, side, side)],
              "large": [Box(1, 2, side - 3, side - 1), Box(0, 0, 2, 2)]}[boxes]
    rows = plain.start * 1.1                              # not those the constants were made of
    rng = torch.Generator().manual_seed(0)
    channels = plain.generator.config.channels[plain.block]
    weights = [torch.randn(channels, *box.size, generator=rng) for box in wanted]
    expected, expected_gradient = gradient_of(plain, rows, wanted, weights)
    found, gradient = gradient_of(fast, rows, wanted, weights)
    assert [part.shape for part in found] == [weight.shape for weight in weights]
    for part, other in zip(found, expected, strict=True):
        close(part, other)
    close(gradient, expected_gradient)
    assert expected_gradient.any(1)[:min(6, 2 * plain.block + 1)].all()


def test_the_plain_features_are_the_generators(make_sources):
    plain, _ = make_sources("person, clamped")
    features = plain.generator.generator.features(plain.ws, 4).x
    assert (plain.size, plain.margin, plain.map_size) == ((64, 32), (0, 16), (64, 64))
    beside, across = plain.features(plain.start, [Box(0, 2, 3, 9), Box(5, 12, 9, 20)])
    assert beside.shape == (5, 3, 7) and not beside.any()
    assert not across[:, :, :4].any() and torch.equal(across[:, :, 4:], features[0, :, 5:9, :4])


def test_handles_beside_a_person_see_nothing(make_sources):
    for source in make_sources("person, clamped"):
        [part] = source.features(source.start, [Box(0, 2, 3, 9)])
        assert part.shape == (5, 3, 7) and not part.any()


def test_latents_and_pictures(make_sources):
    plain, fast = make_sources("deeper than the rows that change")
    assert torch.equal(plain.latent(plain.start), plain.ws)
    rows = plain.start * 2
    ws = fast.latent(rows)
    assert torch.equal(ws[0, :6], rows) and torch.equal(ws[0, 6:], plain.ws[0, 6:])
    expected = (plain.generator.generator.picture(ws)[0].permute(1, 2, 0) + 1) / 2
    torch.testing.assert_close(fast.picture(rows), expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_grey_pictures_are_shown_in_three_channels(make_generator, make_ws):
    generator = FastGenerator(make_generator(image_channels=1))
    source = drag_source(generator, make_ws(generator.config, 1), 1)
    assert source.picture(source.start).shape == (32, 32, 3)


def test_constants_do_not_follow_the_callers_tensors(make_generator, make_ws):
    generator = FastGenerator(make_generator())
    ws = make_ws(generator.config, 1)
    source = drag_source(generator, ws, 3)
    before = source.ws.clone()
    ws.zero_()
    assert torch.equal(source.ws, before)


def test_dragging_a_generator(make_sources):
    """Both forms move the same handle along; 32 pixels are few, so that it is done soon."""
    plain, fast = make_sources("square")
    settings = DragSettings(steps=6, learning_rate=0.1, motion_radius=48, tracking_radius=64,
                            mask_weight=1)
    mask = torch.zeros(32, 32)
    mask[:, 4:28] = 1
    results = [drag(plain, [(10, 12)], [(20, 12)], mask=mask, settings=settings, look=WholeMap),
               drag(fast, [(10, 12)], [(20, 12)], mask=mask, settings=settings)]
    for expected, found in zip(*(result.steps for result in results), strict=True):
        assert found.handles.tolist() == expected.handles.tolist()
        assert found.loss == pytest.approx(expected.loss, rel=2e-3)
    torch.testing.assert_close(results[1].rows, results[0].rows, atol=1e-3, rtol=0)
    assert results[0].steps[-1].handles[0, 0] > 10


def test_residual_generators_take_the_plain_form(make_generator, make_ws):
    generator = FastGenerator(make_generator(architecture="resnet"))
    source = drag_source(generator, make_ws(generator.config, 1), 2)
    assert type(source) is DragSource


def test_what_does_not_fit(make_generator, make_ws):
    generator = FastGenerator(make_generator())
    ws = make_ws(generator.config, 1)
    with pytest.raises(ValueError, match="features of block 5, .* pictures 32 high has only blocks 0 to 3"):
        drag_source(generator, ws)
    with pytest.raises(ValueError, match="belongs to another generator"):
        drag_source(generator, ws[:, 1:], 3)
    with pytest.raises(ValueError, match="one latent at a time; got 2"):
        drag_source(generator, torch.cat([ws, ws]), 3)


def test_windows_are_joined_where_that_saves_work():
    near, far = [Box(0, 0, 6, 6), Box(2, 3, 8, 9)], Box(30, 30, 36, 36)
    assert merged([near[0], far, near[1]]) == [far, Box(0, 0, 8, 9)]
    assert merged([near[0], near[0]]) == [near[0]]
    tiles = [Box(y, x, y + 4, x + 4) for y in range(0, 12, 4) for x in range(0, 12, 4)]
    assert merged(tiles) == [Box(0, 0, 12, 12)]


def test_a_window_costs_little(make_generator, make_ws):
    """Of the largest layers only the surroundings of the window are computed."""
    generator = FastGenerator(make_generator(channels=(12, 10, 8, 6, 6, 5)))
    source = WindowedSource(generator, make_ws(generator.config, 1), 5)
    [(box, x)] = source._windows(source.start, [Box(60, 62, 66, 70)])
    assert (box, x.shape) == (Box(60, 62, 66, 70), (1, 5, 6, 8))


def test_the_accelerator_route_has_the_right_shapes(make_generator, make_ws):
    generator = FastGenerator(make_generator(channels=(64, 64, 64, 64), mapping=(8,))).to("meta")
    source = WindowedSource(generator, make_ws(generator.config, 1).to("meta"), 3)
    parts = source.features(source.start, [Box(0, 0, 32, 32), Box(4, 4, 6, 7)])
    assert [part.shape for part in parts] == [(64, 32, 32), (64, 2, 3)]
