"""Beyond the golden case: single joints whose maps can be written down."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.pose import JOINTS, disc_maps, gaussian_maps, pixel_joints, polygon_mask, pose_mask
from anyone.core.pose.maps import MASK_LIMBS
from anyone.core.pose.parts import inside_polygons


def joints(**points: tuple[float, float]) -> torch.Tensor:
    """[18,2] x, y; joints not named are missing."""
    out = torch.full((18, 2), torch.nan)
    for name, point in points.items():
        out[JOINTS.index(name)] = torch.tensor(point)
    return out


def inside_polygon(corners: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """With half-open rows."""
    return inside_polygons(corners.double().flip(-1), columns, rows).mT


def test_pixel_joints_have_whole_numbers_in_the_middle_of_pixels(person, without):
    pose = without(person.moved(0.5, 0.5), "neck")
    found = pixel_joints(pose, 256, 200)
    assert found[0].tolist() == [100, 40]
    assert torch.isnan(found[JOINTS.index("neck")]).all()
    assert pixel_joints(person, 128, 50)[0].tolist() == [100 / 4 - 0.5, 40 / 2 - 0.5]


def test_staircase():
    maps = gaussian_maps(joints(nose=(10, 20)), 40, 30)
    assert maps.shape == (18, 40, 30)
    expected = {0: 0, 1: 1, 8: 1, 9: 2, 12: 2, 13: 3}                             # 72 = 6 * 12, 144 = 12 * 12
    for distance, step in expected.items():
        assert float(maps[0, 20, 10 + distance]) == pytest.approx(math.exp(-step))
    assert float(maps[0, 20 + 6, 10 + 6]) == pytest.approx(math.exp(-1))          # d^2 = 72 exactly
    assert not maps[1:].any()
    off = gaussian_maps(joints(nose=(10.4, 19.5)), 40, 30)
    assert torch.equal(off, maps)                                                 # rounded to pixels


def test_smooth():
    maps = gaussian_maps(joints(nose=(10.5, 20)), 40, 30, stepped=False)
    assert float(maps[0, 22, 13]) == pytest.approx(math.exp(-(4 + 6.25) / 72))
    wider = gaussian_maps(joints(nose=(10.5, 20)), 40, 30, sigma=3.0, stepped=False)
    assert float(wider[0, 22, 13]) == pytest.approx(math.exp(-(4 + 6.25) / 18))
    assert torch.isfinite(gaussian_maps(joints(nose=(1e30, 0)), 4, 4)).all()


def test_discs():
    maps = disc_maps(torch.stack([joints(nose=(10, 20), neck=(-2.5, 3)), joints()]), 40, 30)
    assert maps.shape == (2, 18, 40, 30)
    assert maps[0, 0].sum() == 49
    assert maps[0, 0, 16, 10] == maps[0, 0, 20, 14] == 1
    assert maps[0, 0, 17, 13] == maps[0, 0, 15, 10] == 0                          # 9 + 9 > 16
    assert maps[0, 1, 3].nonzero()[:, 0].tolist() == [0, 1, 2]                    # -2.5 counts as -2
    assert not maps[1].any()
    assert disc_maps(joints(nose=(10, 20)), 40, 30, radius=1).sum() == 5


def test_pose_mask_covers_the_limb():
    limb = joints(right_elbow=(10, 20), right_wrist=(30, 20))
    mask = pose_mask(limb, 40, 40)
    assert mask[20].nonzero()[:, 0].tolist() == list(range(6, 35))
    assert mask[:, 20].nonzero()[:, 0].tolist() == list(range(16, 25))
    assert not pose_mask(joints(right_elbow=(10, 20), left_wrist=(30, 20)), 40, 40).any()
    assert not pose_mask(joints(), 40, 40).any()
    open_mask = pose_mask(limb, 40, 40, closing=1)
    assert (mask & ~open_mask).any()                                              # notches between discs
    assert not (open_mask & ~mask).any()
    # Far outside the picture the limb still crosses it.
    for far in (1e6, 1e9):
        assert pose_mask(joints(right_elbow=(-far, 20), right_wrist=(far, 20)), 40, 40)[20].all()


def test_pose_mask_is_the_discs_of_all_points_of_a_limb():
    """Points are a radius apart or a little more; what is out of sight is left out without being missed."""
    for start, end in (((-300.0, 7.0), (31.5, 50.25)), ((12.0, -90.0), (12.0, 400.0)), ((5.5, 5.5),) * 2):
        a, b = (torch.tensor(point, dtype=torch.float64) for point in (start, end))
        count = max(1, int(math.dist(start, end) / 4))
        points = torch.stack([*(a + (b - a) * step / count for step in range(count)), b]).trunc()
        y, x = torch.meshgrid(torch.arange(40), torch.arange(30), indexing="ij")
        near = (x[..., None] - points[:, 0]).square() + (y[..., None] - points[:, 1]).square() <= 16
        assert torch.equal(pose_mask(joints(left_hip=start, left_knee=end), 40, 30, closing=1), near.any(-1))


@pytest.mark.parametrize("draw", [pose_mask, polygon_mask])
def test_masks_of_many_people_at_once_are_those_of_each(draw):
    rng = torch.Generator().manual_seed(6)
    people = 90 * torch.rand(2, 3, 18, 2, generator=rng) - 20
    people[torch.rand(2, 3, 18, generator=rng) < 0.3] = torch.nan
    masks = draw(people, 50, 40)
    assert masks.shape == (2, 3, 50, 40)
    for row in range(2):
        for column in range(3):
            assert torch.equal(masks[row, column], draw(people[row, column], 50, 40))
    assert draw(people[:0], 50, 40).shape == (0, 3, 50, 40)


def test_polygon_mask_has_discs_at_single_joints():
    mask = polygon_mask(joints(nose=(10, 20)), 40, 40)
    assert mask.sum() == 45                                                       # four fewer: d^2 < 16
    limb = polygon_mask(joints(right_elbow=(10, 20), right_wrist=(30, 20)), 40, 40)
    assert limb[:, 20].nonzero()[:, 0].tolist() == list(range(16, 24))            # 8 wide, half-open
    assert polygon_mask(joints(right_elbow=(10, 20), right_wrist=(10, 20)), 40, 40).sum() == 45


def test_polygon_mask_is_all_polygons_over_the_whole_picture():
    """Its windows lose nothing, inside, across and outside the border."""
    points = 120 * torch.rand(18, 2, generator=torch.Generator().manual_seed(4)) - 30
    rows, columns = torch.arange(60), torch.arange(50)
    x, y = points[..., None, None].unbind(1)                                      # [18,1,1]
    expected = ((rows[:, None] - y).square() + (columns - x).square() < 16).any(0)
    for a, b in MASK_LIMBS:
        start, end = points[a].double(), points[b].double()
        across = 4 * torch.stack([start[1] - end[1], end[0] - start[0]]) / (end - start).norm()
        corners = torch.stack([start + across, start - across, end - across, end + across])
        expected = expected | inside_polygon(corners, rows, columns)
    mask = polygon_mask(points, 60, 50)
    grown = torch.nn.functional.max_pool2d(expected[None].float(), 5, 1, 2)
    assert torch.equal(mask, -torch.nn.functional.max_pool2d(-grown, 5, 1, 2)[0] > 0)
    assert 0.1 < mask.float().mean() < 0.9


def test_half_open_polygons_tile_the_plane():
    square = torch.tensor([[2.0, 3.0], [6.0, 3.0], [6.0, 8.0], [2.0, 8.0]])
    beside = square + torch.tensor([4.0, 0.0])
    rows, columns = torch.arange(10), torch.arange(12)
    inside, other = (inside_polygon(corners, rows, columns) for corners in (square, beside))
    assert inside.sum() == other.sum() == 20
    assert not (inside & other).any()
    assert inside[3, 2]
    assert not inside[8, 2]
    assert torch.equal(inside_polygon(square.flip(0), rows, columns), inside)
    assert torch.equal(inside_polygon(square, rows[4:], columns[:5]), inside[4:, :5])
