"""One picture and its pose in, other poses out."""
from __future__ import annotations

import pytest
import torch
from anyone.core.checkpoints.system import LoadedNet
from anyone.core.deformable import infer
from anyone.core.deformable.network import Config, Generator
from anyone.core.deformable.weights import SYSTEM
from anyone.core.people.frame import Drawn
from anyone.core.pose.maps import gaussian_maps
from anyone.core.pose.parts import part_geometry, whole_geometry

SIZE, CPU = (128, 64), torch.device("cpu")


def loaded(metadata=None, **options):
    torch.manual_seed(0)
    module = Generator(Config(widths=(2, 3, 3, 4, 4), **options)).eval().requires_grad_(False)
    return LoadedNet(module, SYSTEM, "tiny", metadata or {})


def redraw(net, *arguments):
    return infer.redraw(net.module, net, CPU, *arguments)


@pytest.fixture
def picture():
    return torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_sizes_are_the_files_or_the_published_ones():
    def size(levels, **metadata):
        with torch.device("meta"):
            module = Generator(Config(widths=(2,) * levels))
        return infer.frame_size(LoadedNet(module, SYSTEM, "tiny", metadata))

    assert size(6) == (128, 64) and size(7) == (256, 256) and size(5) == (128, 64)
    assert size(5, size="192x96") == (192, 96)
    for odd in ("128", "0x64", "100x64", "128x64x3"):
        with pytest.raises(ValueError, match=f"tiny says it draws pictures of '{odd}'.*multiples of 16"):
            size(5, size=odd)


def test_who_wants_people_lifted():
    assert infer.lifted(loaded(outputs=4)) and not infer.lifted(loaded())
    assert infer.takes_background(loaded(background=True)) and not infer.takes_background(loaded())


@pytest.mark.parametrize("stepped", [True, False])
def test_the_network_gets_what_it_was_trained_on(picture, standing, walking, stepped):
    """Published weights whole pixels and staircases, ours neither."""
    net = loaded({} if stepped else {"heatmaps": "smooth"})
    shifted = [joints + 0.3 for joints in (standing, walking)]
    joints = [standing, walking] if stepped else shifted
    heat = [gaussian_maps(one, *SIZE, stepped=stepped) for one in joints]
    expected = net.module(picture[None] * 2 - 1, *heat, part_geometry(*joints, SIZE)) / 2 + 0.5
    drawn = redraw(net, picture, shifted[0][0], shifted[1])
    torch.testing.assert_close(drawn.picture, expected)
    assert drawn.opacity is None
    other = redraw(loaded({"heatmaps": "smooth"} if stepped else {}), picture, shifted[0][0], shifted[1])
    assert (other.picture - drawn.picture).abs().max() > 1e-4


def test_half_pixels_round_up(picture, standing, walking):
    net = loaded()
    assert torch.equal(redraw(net, picture, standing[0] - 0.5, walking + 0.49).picture,
                       redraw(net, picture, standing[0], walking).picture)


def test_one_transform_where_the_file_says_so(picture, standing, walking):
    net = loaded({"warp": "full"})
    heat = [gaussian_maps(joints, *SIZE) for joints in (standing, walking)]
    expected = net.module(picture[None] * 2 - 1, *heat, whole_geometry(standing, walking, SIZE)) / 2 + 0.5
    torch.testing.assert_close(redraw(net, picture, standing[0], walking).picture, expected)


def test_the_source_is_looked_at_once(picture, standing, walking, monkeypatch):
    net, seen = loaded(outputs=4), []
    look = net.module.appearance.forward
    monkeypatch.setattr(net.module.appearance, "forward", lambda x: seen.append(len(x)) or look(x))
    both = redraw(net, picture, standing[0], torch.cat([walking, standing]))
    assert seen == [1]
    assert both.picture.shape == (2, 3, *SIZE) and both.opacity.shape == (2, *SIZE)
    alone = redraw(net, picture, standing[0], standing)
    torch.testing.assert_close(both.picture[1], alone.picture[0])
    torch.testing.assert_close(both.opacity[1], alone.opacity[0])
    assert (both.opacity[0] - both.opacity[1]).abs().max() > 1e-4


def test_the_fourth_plane_is_the_opacity(picture, standing, walking):
    net = loaded({"heatmaps": "smooth"}, outputs=4)
    heat = [gaussian_maps(joints, *SIZE, stepped=False) for joints in (standing, walking)]
    planes = net.module(picture[None] * 2 - 1, *heat, part_geometry(standing, walking, SIZE)) / 2 + 0.5
    drawn, expected = redraw(net, picture, standing[0], walking), Drawn.read(planes)
    torch.testing.assert_close(drawn.opacity, planes[:, 3])
    torch.testing.assert_close(drawn.picture, expected.picture)


@pytest.mark.parametrize("deformable", [True, False])
def test_a_background_is_shown_to_who_takes_one(picture, standing, walking, deformable):
    net = loaded(background=True, deformable=deformable)
    behind = torch.stack([picture.flip(2), picture.flip(1)])
    drawn = redraw(net, picture, standing[0], walking.repeat(2, 1, 1), behind).picture
    heat = [gaussian_maps(joints, *SIZE) for joints in (standing, walking)]
    geometry = part_geometry(standing, walking, SIZE) if deformable else None
    expected = net.module(picture[None] * 2 - 1, *heat, geometry, background=behind[1:] * 2 - 1) / 2 + 0.5
    torch.testing.assert_close(drawn[1:], expected)
    assert (drawn[0] - drawn[1]).abs().max() > 1e-4


def test_the_baseline_needs_no_trunk(picture, standing, walking):
    net, crouching = loaded(deformable=False), walking.clone()
    crouching[:, 8] = torch.nan
    infer.check_joints(net, standing, crouching)
    assert redraw(net, picture, standing[0], crouching).picture.isfinite().all()


def test_poses_without_a_trunk_are_named(picture, standing, walking):
    net, lame = loaded(), walking.clone()
    lame[:, 8, 0] = torch.nan
    infer.check_joints(net, standing, walking)
    with pytest.raises(ValueError, match="target pose needs both shoulders and both hips; pose 2 lacks some"):
        infer.check_joints(net, standing, torch.cat([walking, lame]))
    with pytest.raises(ValueError, match="source pose needs both shoulders and both hips[.]"):
        redraw(net, picture, lame[0], walking)
    with pytest.raises(ValueError, match="tiny is a .*, not a Deformable GAN"):
        infer.frame_size(LoadedNet(torch.nn.Identity(), SYSTEM, "tiny"))


def test_limbs_without_length_and_strangers_far_outside(picture, standing, walking):
    odd = walking.clone()
    odd[:, 3] = odd[:, 2]                                  # an upper arm of no length
    odd[:, 4] = torch.tensor([-5000.0, 4000.0])
    assert redraw(loaded(), picture, standing[0], odd).picture.isfinite().all()
    assert redraw(loaded(), picture, odd[0], walking).picture.isfinite().all()
