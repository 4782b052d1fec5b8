"""What is drawn where, and in which size."""
from __future__ import annotations

import torch
from anyone.core.drag.draw import draw_drag

RED, BLUE, WHITE = (torch.tensor(colour) / 255 for colour in ((235, 50, 45), (40, 110, 245), (255, 255, 255)))


def test_small_pictures_are_enlarged_with_red_handles_blue_targets_and_an_arrow():
    picture = torch.full((128, 64, 3), 0.4)
    drawn = draw_drag(picture, torch.tensor([[10.0, 20.0]]), torch.tensor([[50.0, 100.0]]))
    assert drawn.shape == (512, 256, 3) and torch.equal(picture, torch.full((128, 64, 3), 0.4))
    for (x, y), colour in (((10, 20), RED), ((50, 100), BLUE), ((30, 60), WHITE)):
        assert torch.allclose(drawn[4 * y + 2, 4 * x + 2], colour), "the middle of the pixel"
    assert (drawn != 102 / 255).any(-1).float().mean() < 0.05
    assert torch.equal(drawn[:50], torch.full((50, 256, 3), 102 / 255))


def test_large_pictures_keep_their_size_and_points_outside_do_no_harm():
    picture = torch.rand(700, 900, 3)
    handles, targets = [[100.0, 100.0], [-30.0, 2000.0]], [[104.0, 100.0], [5000.0, 9.0]]
    drawn = draw_drag(picture, torch.tensor(handles), torch.tensor(targets))
    assert drawn.shape == picture.shape and torch.allclose(drawn[100, 99], RED, atol=1e-6)
    assert (drawn[300:600, :80] - picture[300:600, :80]).abs().max() < 0.003, "in 8-bit steps"


def test_near_points_have_no_arrow():
    def white(x: float) -> int:
        handle, target = torch.tensor([[[100.0, 256.0]], [[x, 256.0]]])
        drawn = draw_drag(torch.zeros(512, 512, 3), handle, target)
        return int((drawn == 1).all(-1)[240:248, 130:].sum())

    assert white(105.0) == 0 and white(300.0) > 0
