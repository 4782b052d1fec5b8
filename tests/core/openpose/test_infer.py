import pytest
import torch
from anyone.core.checkpoints import LoadedNet
from anyone.core.openpose import detect_people
from anyone.core.openpose.infer import LONGEST, pad, shrink
from anyone.core.openpose.weights import SYSTEM
from anyone.core.runtime import Runtime
from torch import nn


class DrawsPeople(nn.Module):
    """Answers with maps of known people, given in shares of the picture."""

    def __init__(self, draw, people):
        super().__init__()
        self.draw, self.people, self.seen = draw, people, []

    def forward(self, x):
        self.seen.append(x)
        height, width = x.shape[2] // 8, x.shape[3] // 8
        cells = [joints * torch.tensor([width, height]) - 0.5 for joints in self.people]
        fields, heats = self.draw(cells, height, width, 1.4, 1.5)
        return fields[None], heats[None]


@pytest.fixture
def net_of(maps_of):
    return lambda people: LoadedNet(DrawsPeople(maps_of, people), SYSTEM, "drawn")


@pytest.fixture
def two_people(standing):
    small, large = standing(0.301, 0.302, 0.5), standing(0.701, 0.202, 0.7)
    return [small, large]


def test_people_and_their_masks(net_of, two_people):
    image = torch.full((1, 368, 368, 3), 0.5)
    detection, = detect_people(net_of(two_people), image, runtime=Runtime("cpu"))
    assert (detection.frame.width, detection.frame.height) == (368, 368)
    for pose, truth in zip(detection.frame.people, two_people[::-1], strict=True):        # largest first
        assert pose.present.all()
        assert (pose.keypoints - truth * 368).norm(dim=1).max() < 3
    assert detection.masks.shape == (2, 368, 368) and (detection.masks.sum(0) <= 1).all()
    x, y = detection.frame.people[0].keypoints[1].long().tolist()
    assert detection.masks[0, y + 20, x]
    assert not detection.regions.any() and detection.regions.dtype == torch.uint8


def test_what_the_network_sees():
    colours = torch.tensor([1.0, 0.5, 0.0])[:, None, None].expand(3, 92, 60)                # red, green, blue
    resized = shrink((colours * 255).round().flip(0), 0.5)
    assert resized.shape == (3, 184, 120)
    assert resized[:, 0, 0].tolist() == [0, 128, 255]
    padded = pad(resized[:, :, :117])
    assert padded.shape == (3, 184, 120) and padded[:, 5, 119].tolist() == [128, 128, 128]


def test_the_threshold_leaves_joints_and_people_out(net_of, two_people):
    image = torch.full((1, 184, 184, 3), 0.5)
    net = net_of(two_people)
    assert detect_people(net, image, threshold=2.0, runtime=Runtime("cpu"))[0].frame.people == ()
    assert len(detect_people(net, image, max_people=1, runtime=Runtime("cpu"))[0].frame.people) == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (1, 8000)])
def test_thin_pictures_stay_small(net_of, size):
    net = net_of([])
    detection, = detect_people(net, torch.zeros(1, *size, 3), runtime=Runtime("cpu"))
    assert detection.frame.people == () and detection.masks.shape == (0, *size)
    x, = net.module.seen
    assert max(x.shape[2:]) <= LONGEST


def test_several_scales_look_several_times(net_of, two_people):
    net = net_of(two_people)
    image = torch.full((2, 184, 120, 3), 0.5)
    found = detect_people(net, image, scales=(0.5, 1.0), runtime=Runtime("cpu"))
    assert [x.shape[2] for x in net.module.seen] == [184, 368] * 2
    assert [len(one.frame.people) for one in found] == [2, 2]
