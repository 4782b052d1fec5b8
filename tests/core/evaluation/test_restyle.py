"""A styler on procedural people."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from anyone.core.evaluation import restyle
from anyone.core.metrics.images import region_colours
from anyone.core.regions import PERSON_REGIONS
from anyone.core.runtime import Runtime
from anyone.core.sean.codes import StyleCodes


@pytest.fixture
def painter(monkeypatch):
    """A styler that knows mean colours only: its codes are those, and it paints regions flat."""
    def encode(net, image, regions, runtime):
        colours = region_colours(image.movedim(-1, 1), regions.labels, 12)
        present = ~colours.isnan().any(-1)
        return StyleCodes(colours.nan_to_num().float(), present, PERSON_REGIONS, "painter")

    def render(net, regions, styles, *, runtime):
        return torch.stack([codes[labels.long()] for codes, labels in zip(
            styles.codes, regions.labels, strict=True)]).clamp(0, 1)

    config = SimpleNamespace(config=SimpleNamespace(size=(64, 64), encoder=1))
    for name, value in (("encode_styles", encode), ("render", render), ("generator_of", lambda net: config)):
        monkeypatch.setattr(restyle, name, value)


def test_flat_colours_are_the_right_colours(painter):
    scores = restyle.score_styler(None, count=6, runtime=Runtime("cpu"))
    assert scores["colour_error"] == pytest.approx(0, abs=1e-6) and scores["own_colour"] > 0.1
    assert 0.3 < scores["ssim"] < 0.95 and 0 < scores["rmse"] < 0.2
    assert 0 < scores["miou"] < scores["real_miou"] <= 1 and scores["fid_detector"] > 0


def test_everybody_takes_the_next_ones_styles():
    codes = torch.tensor([[1.0, 2.0], [3.0, 0.0], [5.0, 6.0]])[..., None]
    styles = StyleCodes(codes, codes[..., 0] != 0, ("a", "b"), "m")
    following = restyle.of_the_next(styles)
    assert following.codes[..., 0].tolist() == [[3, 2], [5, 6], [1, 2]]
