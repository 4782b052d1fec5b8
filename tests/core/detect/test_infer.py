import pytest
import torch
from anyone.core.detect import detect_people
from anyone.core.detect.infer import LARGE, Found, Square, fitting_square, is_person, tiles
from anyone.core.runtime import Interrupted, Runtime


def found(detection, keypoints):
    """For each true person the nearest found one: (index, largest joint error)."""
    pairs = []
    for person in keypoints:
        errors = [float((pose.keypoints - person).norm(dim=1)[pose.present].max())
                  for pose in detection.frame.people]
        best = min(range(len(errors)), key=errors.__getitem__)
        pairs.append((best, errors[best]))
    return pairs


@pytest.mark.parametrize(("height", "width", "places"), [
    (128, 128, [(40, 64, 110), (95, 60, 90)]),
    (300, 500, [(100, 150, 240), (250, 160, 200), (420, 200, 120)]),
    (500, 300, [(150, 250, 420)]),
    (97, 61, [(30, 50, 80)]),
    (3000, 4000, [(1000, 1500, 2400), (3000, 1700, 900)]),
])
def test_people_are_found_where_they_are(world, height, width, places):
    net, image, keypoints = world(places, height, width)
    detection, = detect_people(net, image, runtime=Runtime("cpu"))
    assert (detection.frame.width, detection.frame.height) == (width, height)
    assert len(detection.frame.people) == len(places)
    pairs = found(detection, keypoints)
    assert sorted(index for index, _ in pairs) == list(range(len(places)))
    tolerance = 0.006 * max(height, width)                # half a cell of the first look is 0.8 %
    for (index, error), (x, y, size) in zip(pairs, places, strict=True):
        assert error < min(tolerance, 0.012 * size)
        assert detection.frame.people[index].present.all()
        mask = detection.masks[index]
        assert mask[int(y), int(x)] and not mask[0, 0]
        truth = 1.02 * size * 0.36 * size                 # the figure's box
        assert abs(float(mask.sum()) / truth - 1) < 0.15
        assert detection.regions[int(y - 0.2 * size), int(x)] == 4
        assert detection.regions[int(y + 0.2 * size), int(x)] == 7


def test_shapes_types_and_what_belongs_together(world):
    net, image, _ = world([(40, 64, 110), (70, 60, 90)], 128, 128)
    detection, = detect_people(net, image, runtime=Runtime("cpu"))
    assert detection.masks.shape == (2, 128, 128) and detection.masks.dtype == torch.bool
    assert detection.regions.shape == (128, 128) and detection.regions.dtype == torch.uint8
    assert (detection.masks.sum(0) <= 1).all()
    assert torch.equal(detection.regions > 0, detection.masks.any(0))
    assert detection.masks[0].sum() >= detection.masks[1].sum()


def test_a_tiny_picture(world):
    net, image, keypoints = world([(4.5, 8.5, 14)], 17, 9)
    detection, = detect_people(net, image, runtime=Runtime("cpu"))
    assert detection.masks.shape == (1, 17, 9) and found(detection, keypoints)[0][1] < 0.5


def test_nobody(world):
    net, image, _ = world([], 40, 60)
    first, second = detect_people(net, image.repeat(2, 1, 1, 1), runtime=Runtime("cpu"))
    for detection in (first, second):
        assert detection.frame.people == () and detection.frame.width == 60
        assert detection.masks.shape == (0, 40, 60) and not detection.regions.any()


def test_a_crowd_is_capped(world):
    places = [(40 + 60 * column, 40 + 80 * row, 70) for row in range(3) for column in range(4)]
    net, image, _ = world(places, 240, 260)
    detection, = detect_people(net, image, max_people=5, runtime=Runtime("cpu"))
    assert len(detection.frame.people) == 5 and detection.masks.shape[0] == 5
    everybody, = detect_people(net, image, runtime=Runtime("cpu"))
    assert len(everybody.frame.people) == 12


def test_the_threshold_leaves_joints_out(world):
    net, image, _ = world([(64, 64, 110)], 128, 128, visibility=1)        # all hidden: heat .7
    detection, = detect_people(net, image, threshold=0.5, runtime=Runtime("cpu"))
    assert detection.frame.people[0].present.all()
    assert 0.5 < detection.frame.people[0].scores.max() <= 0.71
    strict, = detect_people(net, image, threshold=0.8, runtime=Runtime("cpu"))
    assert strict.frame.people == ()


@pytest.mark.parametrize("scores, threshold, somebody", [
    ([0.9, 0.9], 0.3, False), ([0.52] * 3, 0.3, True), ([0.5] * 18, 0.3, False), ([0.5] * 18, 0.2, True),
    ([1.0] * 3, 0.95, True)])
def test_few_or_unsure_joints_are_nobody(scores, threshold, somebody):
    assert is_person(torch.tensor(scores), threshold) is somebody


def test_grey_alpha_and_bad_pictures(world):
    net, image, _ = world([], 20, 20)
    alpha = torch.cat([image, image[..., :1]], -1)
    assert len(detect_people(net, alpha, runtime=Runtime("cpu"))) == 1
    with pytest.raises(ValueError, match="NaN"):
        detect_people(net, image * float("nan"), runtime=Runtime("cpu"))
    with pytest.raises(ValueError, match="image should be"):
        detect_people(net, torch.zeros(3, 3), runtime=Runtime("cpu"))


def test_interrupt_stops_between_pictures(world, impatient):
    net, image, _ = world([(64, 64, 110)], 128, 128)
    with pytest.raises(Interrupted):
        detect_people(net, image.repeat(3, 1, 1, 1), runtime=impatient(1))
    assert net.module.views == 1


@pytest.mark.parametrize("height, width", [(800, 1000), (1001, 700), (901, 901)])
def test_every_place_counts_in_one_tile(height, width):
    whole = fitting_square(height, width)
    places = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([width, height])
    found = Found(torch.zeros(0, 2), torch.zeros(0), [])
    everybody = Found(places, torch.full((500,), 1e-6), [Square(0, 0, i) for i in range(500)])
    for tile in tiles(whole, height, width):
        found = Found(torch.zeros(0, 2), torch.zeros(0), found.squares).joined(everybody, tile, whole)
    assert sorted(square.side for square in found.squares) == list(range(500))


def test_tiles_add_whom_nobody_has_seen():
    tile = Square(100, 0, 400)
    seen = Found(torch.tensor([[300.0, 200]]), torch.tensor([50.0]), [Square(0, 0, 1)])
    others = Found(torch.tensor([[310.0, 200], [220, 120], [480, 200]]), torch.tensor([40.0, 40, 40]),
                   [Square(0, 0, 2), Square(0, 0, 3), Square(0, 0, 4)])            # known, new, at the border
    joined = seen.joined(others, tile, Square(0, 0, 800))
    assert [square.side for square in joined.squares] == [1, 3]
    assert joined.centres.tolist() == [[300, 200], [220, 120]] and joined.sizes.tolist() == [50, 40]


def test_small_people_in_a_large_picture_are_found(world):
    """A tenth of the picture's width: nine cells in the whole picture, twice that in a tile."""
    width = LARGE + 100
    net, image, _ = world([(220, 230, 90), (600, 260, 90)], 400, width)
    detection, = detect_people(net, image, runtime=Runtime("cpu"))
    assert len(detection.frame.people) == 2
