from __future__ import annotations

import pytest
import torch
from anyone.core.pose import JOINTS, Pose, PoseFrame, draw_poses


def frame_of(points: dict[str, tuple[float, float]], width=64, height=64) -> PoseFrame:
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, point in points.items():
        keypoints[JOINTS.index(name)], scores[JOINTS.index(name)] = torch.tensor(point), 1
    return PoseFrame(width, height, (Pose(keypoints, scores, width, height),))


def test_limb_and_joints_have_openpose_colours():
    # The upper right arm is limb 2 (60 % of 255, 170, 0) between joint 2 (255, 170, 0) and 3 (255, 255, 0).
    arm = frame_of({"right_shoulder": (12.5, 32.5), "right_elbow": (52.5, 32.5)})
    picture = draw_poses(arm, line_width=8)
    assert picture.shape == (64, 64, 3)
    assert picture[32, 12].tolist() == pytest.approx([1, 170 / 255, 0])
    assert picture[32, 52].tolist() == pytest.approx([1, 1, 0])
    assert picture[32, 32].tolist() == pytest.approx([0.6, 0.4, 0])
    assert picture[35, 32].tolist() == pytest.approx([0.6, 0.4, 0])
    assert float(picture[37:, 32].max()) == float(picture[:, 60:].max()) == 0


def test_edges_are_soft_and_symmetric():
    picture = draw_poses(frame_of({"nose": (32.0, 32.0)}), line_width=11)
    red = picture[..., 0]
    assert torch.allclose(red, red.flip(0), atol=1e-5)
    assert torch.allclose(red, red.T, atol=1e-5)
    assert float(red.sum()) == pytest.approx(torch.pi * 5.5 ** 2, rel=0.02)
    assert ((red > 0.1) & (red < 0.9)).sum() >= 8


def test_limb_is_an_ellipse_of_the_right_area():
    points = {"neck": (20.3, 40.8), "nose": (44.1, 11.2)}
    blue = draw_poses(frame_of(points), line_width=6)[..., 2]
    length = ((44.1 - 20.3) ** 2 + (40.8 - 11.2) ** 2) ** 0.5
    # The joints cover its ends.
    assert float(blue.sum() / 0.6) == pytest.approx(torch.pi * 3 * length / 2, rel=0.15)


def test_missing_joints_draw_nothing():
    assert float(draw_poses(frame_of({})).max()) == 0
    alone = draw_poses(frame_of({"left_knee": (10, 10)}))
    assert float(alone[20:, 20:].max()) == 0


def test_width_scales_with_the_picture():
    small = draw_poses(frame_of({"nose": (256, 256)}, 512, 512))[..., 0].sum()
    large = draw_poses(frame_of({"nose": (512, 512)}, 1024, 1024))[..., 0].sum()
    assert float(large / small) == pytest.approx(4, rel=0.02)
    assert float(small) == pytest.approx(torch.pi * 16, rel=0.03)    # 8 pixels wide at 512


def test_background_is_scaled_to_and_kept():
    background = torch.rand(128, 96, 3, generator=torch.Generator().manual_seed(0))
    before = background.clone()
    picture = draw_poses(frame_of({"nose": (32.25, 16.25)}), background, line_width=7)
    assert torch.equal(background, before)
    assert picture[32, 48].tolist() == pytest.approx([1, 0, 0])      # the canvas is 64x64
    assert torch.equal(picture[60:], background[60:])


@pytest.mark.parametrize("point", [(-50, 30), (30, 1e6), (-1e6, -1e6), (64, 64), (0, 0)])
def test_joints_outside_are_cut_off(point):
    picture = draw_poses(frame_of({"neck": (32, 32), "nose": point}))
    assert torch.isfinite(picture).all()
    assert float(picture.min()) == 0
    assert 0.3 < float(picture.max()) <= 1


def test_joints_on_one_spot_and_tiny_pictures():
    picture = draw_poses(frame_of({"neck": (4.5, 8.5), "nose": (4.5, 8.5)}, 9, 17))
    assert picture[8, 4].tolist() == pytest.approx([1, 85 / 255, 0])  # the neck lies over the nose
