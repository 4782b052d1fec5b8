import pytest
import torch
from anyone.core.vitpose.crop import HEIGHT, WIDTH, crop, grow, to_picture

MEAN = torch.tensor([.485, .456, .406])[:, None, None]
DEVIATION = torch.tensor([.229, .224, .225])[:, None, None]


@pytest.mark.parametrize(("box", "size"), [
    ((10, 20, 40, 60), (37.5, 50.0)), ((0, 0, 90, 10), (112.5, 150.0))])
def test_boxes_grow_to_the_aspect(box, size):
    x, y, width, height = grow(torch.tensor([box]).float())[0].tolist()
    assert (x, y) == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert (width, height) == size


def test_corners_map_to_corners_and_back():
    grown = torch.tensor([[95.5, 127.5, 191.0, 255.0]])
    picture = (torch.arange(256 * 192).view(256, 192) % 256).float().expand(3, -1, -1) / 255
    seen = crop(picture, grown)[0] * DEVIATION + MEAN
    torch.testing.assert_close(seen, picture, atol=1e-6, rtol=0)
    corners = torch.tensor([[[0.0, 0.0], [47.0, 63.0]]])
    assert to_picture(corners, grown, 64, 48)[0].tolist() == [[0, 0], [191, 255]]


def test_outside_is_black_and_sharp():
    seen = crop(torch.ones(3, 50, 40), grow(torch.tensor([[-20.0, 10.0, 20.0, 40.0]])))[0] * DEVIATION + MEAN
    assert seen.shape == (3, HEIGHT, WIDTH)
    assert set(seen.mul(255).round().unique().tolist()) == {0, 255}


@pytest.mark.parametrize("size", [(1, 1), (3, 8000)])
def test_odd_pictures(size):
    seen = crop(torch.full((3, *size), 0.5), grow(torch.tensor([[0.0, 0.0, size[1], size[0]]])))
    assert torch.isfinite(seen).all()
