"""Encoding pictures and drawing region maps with tiny random networks."""
from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.image import resize
from anyone.core.regions import RegionMap
from anyone.core.runtime import Interrupted, Progress, Runtime
from anyone.core.sean.codes import StyleCodes
from anyone.core.sean.infer import encode_styles, fit_labels, fit_picture, net_regions, network_labels, render
from anyone.core.sean.network import Discriminator, draw_noise
from anyone.core.sean.weights import SYSTEM, select

NAMES = ("sky", "skin", "hair", "top", "shoes")
PALETTE = ((0, 0, 0),) * 5
CPU = Runtime("cpu")


@pytest.fixture
def make_net(make_generator):
    def make(names=NAMES, **changes):
        generator = make_generator(**changes)
        height, width = generator.config.size
        metadata = {"size": f"{height}x{width}", "regions": ",".join(names)}
        return LoadedNet(SYSTEM.build(select(generator.state_dict()), metadata), SYSTEM, "tiny", metadata)
    return make


@pytest.fixture
def make_regions(make_labels):
    def make(batch=1, height=32, width=48, seed=0, names=NAMES):
        return RegionMap(make_labels(batch, height, width, seed).to(torch.uint8), names, PALETTE)
    return make


def picture(batch=1, height=32, width=48, seed=3):
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_pictures_are_the_networks_own(make_net, make_regions):
    net, regions, image = make_net(), make_regions(), picture()
    styles = encode_styles(net, image, regions, CPU)
    codes = net.module.encode(image.movedim(-1, 1) * 2 - 1, regions.labels)
    torch.testing.assert_close(styles.codes, codes, rtol=0, atol=1e-6)
    assert styles.present.all() and styles.names == NAMES and styles.model == "tiny"
    drawn = render(net, regions, styles, runtime=CPU)
    expected = (net.module(regions.labels.long(), codes) + 1) / 2
    assert drawn.shape == (1, 32, 48, 3)
    torch.testing.assert_close(drawn, expected.movedim(1, -1).clamp(0, 1), rtol=0, atol=1e-6)


def test_regions_that_vanish_are_absent(make_net, make_regions):
    regions = make_regions()
    labels = regions.labels.clone()
    labels[labels == 4] = 3
    labels[0, 1, 1] = 4                                   # no pixel of the feature map sees it
    styles = encode_styles(make_net(), picture(), RegionMap(labels, NAMES, PALETTE), CPU)
    assert styles.present.tolist() == [[True, True, True, True, False]]
    assert not styles.codes[0, 4].any()


def test_seeds(make_net, make_regions):
    net, regions = make_net(), make_regions(2)
    styles = encode_styles(net, picture(2), regions, CPU)

    def draw(seed):
        return render(net, regions, styles, seed, runtime=CPU)

    assert torch.equal(draw(0), draw(0)) and torch.equal(draw(7), draw(7))
    assert not torch.equal(draw(0), draw(7)) and not torch.equal(draw(8), draw(7))
    noise = draw_noise(net.module.config, torch.Generator().manual_seed(7))
    expected = (net.module(regions.labels[1:].long(), styles.codes[1:], noise=noise) + 1) / 2
    torch.testing.assert_close(draw(7)[1:], expected.movedim(1, -1).clamp(0, 1), rtol=0, atol=1e-6)


def test_batches_of_different_lengths_are_repeated(make_net, make_regions):
    net, one, three = make_net(), make_regions(1), make_regions(3, seed=5)
    styles = encode_styles(net, picture(2), one, CPU)
    assert styles.codes.shape == (2, 5, 10)
    drawn = render(net, three, styles, runtime=CPU)
    assert len(drawn) == 3
    last = RegionMap(three.labels[2:], NAMES, PALETTE)
    first = StyleCodes(styles.codes[:1], styles.present[:1], NAMES, "tiny")
    assert torch.equal(drawn[2:], render(net, last, first, runtime=CPU))


def test_maps_of_any_size_are_drawn_in_the_networks_frame(make_net, make_regions):
    net, small = make_net(), make_regions()
    styles = encode_styles(net, picture(), small, CPU)
    large = RegionMap(small.labels.repeat_interleave(3, 1).repeat_interleave(3, 2), NAMES, PALETTE)
    drawn = render(net, large, styles, runtime=CPU)
    assert drawn.shape == (1, 96, 144, 3)
    expected = resize(render(net, small, styles, runtime=CPU).movedim(-1, 1), 96, 144)
    torch.testing.assert_close(drawn.movedim(-1, 1), expected, rtol=0, atol=1e-6)


def test_labels_and_pictures_are_fitted_as_pillow_does(make_labels):
    from PIL import Image

    labels, image = make_labels(1, 50, 37).to(torch.uint8), (picture(1, 50, 37) * 255).round() / 255
    found = fit_labels(labels, (32, 48))
    expected = Image.fromarray(labels[0].numpy()).resize((48, 32), Image.Resampling.NEAREST)
    assert np.array_equal(found[0].numpy(), np.asarray(expected))
    small = fit_picture(image.movedim(-1, 1), (20, 18))[0].movedim(0, -1)
    pillow = Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())
    reference = torch.from_numpy(np.asarray(pillow.resize((18, 20), Image.Resampling.BICUBIC)) / 255.0)
    assert (small - reference).abs().max() < 1.6 / 255


def test_regions_are_matched_by_name():
    regions = RegionMap(torch.tensor([[[0, 1, 2]]], dtype=torch.uint8), ("top", "skin", "hair"), PALETTE[:3])
    assert network_labels(regions, NAMES).tolist() == [[[3, 1, 2]]]
    assert network_labels(regions, ("skin", "unknown", "hair")).tolist() == [[[1, 0, 2]]]
    with pytest.raises(ValueError, match="a region 'top', which this styler does not know; it knows skin"):
        network_labels(regions, ("skin", "hair"))
    unused = RegionMap(torch.ones(1, 1, 1, dtype=torch.uint8), ("top", "skin"), PALETTE[:2])
    assert network_labels(unused, ("hair", "skin")).tolist() == [[[1]]]


def test_networks_without_styles(make_net, make_regions):
    net, regions = make_net(styled=(False,) * 5, style=0, encoder=0), make_regions()
    assert render(net, regions, None, runtime=CPU).shape == (1, 32, 48, 3)
    with pytest.raises(ValueError, match="has no style encoder"):
        encode_styles(net, picture(), regions, CPU)


def test_bad_inputs_are_named(make_net, make_regions):
    net, regions = make_net(), make_regions()
    with pytest.raises(ValueError, match="map is 48x32 but the picture 48x40; they should show the same"):
        encode_styles(net, picture(1, 40, 48), regions, CPU)
    assert len(encode_styles(net, picture(1, 64, 96), regions, CPU)) == 1
    with pytest.raises(ValueError, match="needs style codes"):
        render(net, regions, None, runtime=CPU)
    others = StyleCodes(torch.zeros(1, 2, 10), torch.ones(1, 2, dtype=torch.bool), ("a", "b"), "other")
    with pytest.raises(ValueError, match="come from other and describe a, b; tiny needs sky, skin"):
        render(net, regions, others, runtime=CPU)
    longer = StyleCodes(torch.zeros(1, 5, 11), torch.ones(1, 5, dtype=torch.bool), NAMES, "other")
    with pytest.raises(ValueError, match="takes 5 of 10 numbers; got 5 of 11"):
        render(net, regions, longer, runtime=CPU)


def test_other_networks_are_refused(make_regions):
    judge = LoadedNet(Discriminator(5, 4).initialise(), SYSTEM, "judge")
    with pytest.raises(ValueError, match="judge is SEAN's discriminator"):
        render(judge, make_regions(), None, runtime=CPU)
    parser = replace(SYSTEM, title="face parser")
    with pytest.raises(ValueError, match="stranger is a face parser, not a SEAN styler"):
        net_regions(LoadedNet(torch.nn.Identity(), parser, "stranger"))


def test_an_interrupt_stops_between_pictures(make_net, make_regions):
    class Stopping(Runtime):
        drawn = 0

        @contextmanager
        def use(self, net, memory=0):
            assert memory > 0
            with super().use(net, memory) as lent:
                yield lent

        def progress(self, total, label=""):
            self.total = total
            return Progress(total, self, label)

        def check_interrupt(self):
            self.drawn += 1
            if self.drawn == 2:
                raise Interrupted

    runtime, net, regions = Stopping("cpu"), make_net(), make_regions(3)
    styles = encode_styles(net, picture(), regions, CPU)
    with pytest.raises(Interrupted):
        render(net, regions, styles, runtime=runtime)
    assert (runtime.drawn, runtime.total) == (2, 3)
