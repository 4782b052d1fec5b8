"""Transforms, masks and sampling positions of the parts."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from anyone.core.pose import parts
from anyone.core.pose.parts import Geometry

SIZE = (128, 64)
RIGHT_KNEE, RIGHT_ANKLE, RIGHT_WRIST, LEFT_WRIST = 9, 10, 4, 7
HEAD_PART, RIGHT_SHIN, RIGHT_FOREARM = 1, 4, 8


def moves(source, target):
    return parts.part_geometry(source, target, SIZE)


def without(joints, *missing):
    joints = joints.clone()
    joints[:, list(missing)] = torch.nan
    return joints


def assert_none(transform):
    torch.testing.assert_close(transform, torch.tensor(parts.NO_TRANSFORM))


def send(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


def test_a_moved_person_moves_all_parts_alike(standing):
    moved = standing + torch.tensor([5.0, 3.0])
    found = moves(standing, moved).transforms[0]
    expected = torch.tensor([[1.0, 0, -5], [0, 1, -3]]).expand(10, 2, 3)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_limb_goes_to_where_the_source_has_it(standing, walking):
    found = moves(standing, walking).transforms[0, RIGHT_SHIN]
    ends = [RIGHT_KNEE, RIGHT_ANKLE]
    there, here = send(found, walking[0, ends]), standing[0, ends]
    torch.testing.assert_close(there, here, atol=0.2, rtol=0)
    axis = (here[1] - here[0]) / (here[1] - here[0]).norm()
    aside = (there - here) @ torch.stack([-axis[1], axis[0]])
    torch.testing.assert_close(aside, torch.zeros(2), atol=1e-4, rtol=0)


def test_a_limb_the_source_lacks_comes_from_the_other_side(standing, walking):
    mirrored = standing.clone()
    mirrored[:, [2, 3, 4]] = standing[:, [5, 6, 7]]
    expected = moves(mirrored, walking).transforms[0, RIGHT_FOREARM]
    lacking = moves(without(standing, RIGHT_WRIST), walking)
    shift = lacking.transforms[0, RIGHT_FOREARM] - expected
    assert shift.abs().max() < 0.5                         # only the trunk, which sets the width, differs
    assert_none(moves(without(standing, RIGHT_WRIST, LEFT_WRIST), walking).transforms[0, RIGHT_FOREARM])
    assert (lacking.masks == moves(standing, walking).masks).all()


def test_a_limb_the_target_lacks_is_left_out(standing, walking):
    found = moves(standing, without(walking, RIGHT_WRIST))
    assert_none(found.transforms[0, RIGHT_FOREARM])
    assert not found.masks[0, RIGHT_FOREARM].any()
    assert found.masks[0, RIGHT_FOREARM + 1].any()


def test_a_limb_without_length(standing, walking):
    folded = walking.clone()
    folded[:, RIGHT_WRIST] = folded[:, 3]
    found = moves(standing, folded)
    assert_none(found.transforms[0, RIGHT_FOREARM])
    assert not found.masks[0, RIGHT_FOREARM].any()
    flat = moves(folded, standing).transforms[0, RIGHT_FOREARM]
    assert abs(torch.linalg.det(flat[:, :2])) < 1e-5 and flat.abs().max() < 100


def test_the_head_needs_one_joint_in_both_poses(standing, walking):
    head = list(parts.HEAD)
    one = moves(without(standing, *head[1:]), walking).transforms[0, HEAD_PART]
    joints = [0, *parts.SHOULDERS]
    torch.testing.assert_close(send(one, walking[0, joints]), standing[0, joints], atol=1e-3, rtol=0)
    none = moves(without(standing, *head[:3]), without(walking, *head[3:]))
    assert_none(none.transforms[0, HEAD_PART])
    assert none.masks[0, HEAD_PART].any()
    assert not moves(standing, without(walking, *head)).masks[0, HEAD_PART].any()


def test_the_heads_box(standing):
    radius = int(0.4 * parts.trunk_length(standing.double()).item())
    rows, columns = moves(standing, standing).masks[0, HEAD_PART].nonzero().T
    assert (columns.min(), columns.max()) == (32 - radius, 32 + radius - 1)
    assert (rows.min(), rows.max()) == (15 - radius, 15 + radius - 1)


def test_far_outside_there_is_nothing(standing):
    found = moves(standing, standing - 500)
    assert found.masks[:, 0].all() and not found.masks[:, 1:].any()
    assert found.transforms.isfinite().all()


@pytest.mark.parametrize(("source", "target", "name"), [((), (8,), "target"), ((5,), (), "source")])
def test_shoulders_and_hips_are_needed(standing, walking, source, target, name):
    with pytest.raises(ValueError, match=f"The {name} pose needs both shoulders and both hips"):
        moves(without(standing, *source), without(walking, *target))


def test_the_message_counts_poses(standing, walking):
    with pytest.raises(ValueError, match="pose 2 lacks some"):
        moves(torch.cat([standing, without(walking, 2)]), torch.cat([walking, standing]))


def test_someone_shrunk_to_a_point(standing):
    point = torch.full_like(standing, 20.0)
    gone = moves(standing, point)
    for transform in gone.transforms[0]:
        assert_none(transform)
    assert not gone.masks[:, 1:].any()
    away = moves(point, standing).transforms[0]
    assert_none(away[0])
    assert away.isfinite().all() and (torch.linalg.det(away[2:, :, :2]).abs() < 1e-6).all()


def test_half_a_joint_is_missing(standing, walking):
    half = walking.clone()
    half[0, RIGHT_WRIST, 1] = torch.nan
    expected = moves(standing, without(walking, RIGHT_WRIST))
    found = moves(standing, half)
    assert (found.masks == expected.masks).all() and (found.transforms == expected.transforms).all()


def test_a_batch_is_its_poses_one_by_one(standing, walking):
    one = without(walking, RIGHT_WRIST, 0)
    sources, targets = torch.cat([standing, walking]), torch.cat([one, standing])
    for build in (parts.part_geometry, parts.whole_geometry):
        found = build(sources, targets, SIZE)
        for i in range(2):
            alone = build(sources[i:i + 1], targets[i:i + 1], SIZE)
            torch.testing.assert_close(found.transforms[i:i + 1], alone.transforms)
            assert (found.masks[i] == alone.masks[0]).all()


def test_the_whole_picture_follows_torso_and_common_knees(standing, walking):
    without_knees = parts.whole_geometry(without(standing, 9), without(walking, 12), SIZE)
    torso = moves(standing, walking).transforms[:, :1]
    torch.testing.assert_close(without_knees.transforms, torso)
    assert (parts.whole_geometry(standing, walking, SIZE).transforms - torso).abs().max() > 0.01
    assert without_knees.masks.shape == (1, 1, *SIZE) and without_knees.masks.all()


def svd_fit(target, source):
    """The published fit step by step: Hartley's normalisation, then the smallest singular vector."""
    def normaliser(points):
        centre = points.mean(0)
        scale = np.sqrt(2 / ((points - centre) ** 2).sum(1).mean())
        return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])

    to_p, to_q = normaliser(target), normaliser(source)
    ones = np.ones((len(target), 1))
    p, q = np.hstack([target, ones]) @ to_p.T, np.hstack([source, ones]) @ to_q.T
    zeros = np.zeros_like(p)
    system = np.vstack([np.hstack([p, zeros, q[:, :1]]), np.hstack([zeros, p, q[:, 1:2]])])
    v = np.linalg.svd(system)[2][-1]
    return (np.linalg.inv(to_q) @ np.vstack([(-v[:6] / v[6]).reshape(2, 3), [0, 0, 1]]) @ to_p)[:2]


def test_the_fit_is_total_least_squares():
    rng = np.random.RandomState(0)
    target, source = rng.rand(5, 6, 2) * 100, rng.rand(5, 6, 2) * 100
    found = parts.fitted(torch.from_numpy(target), torch.from_numpy(source))
    expected = np.stack([svd_fit(*pair) for pair in zip(target, source, strict=True)])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-7)


def test_points_on_a_line_have_no_transform():
    line = torch.tensor([[0.0, 1], [10, 21], [20, 41], [30, 61]], dtype=torch.float64)
    bent = line + torch.tensor([[0.0, 0], [0, 5], [0, 0], [0, 0]], dtype=torch.float64)
    assert_none(parts.fitted(line, bent).float())
    assert_none(parts.fitted(bent, torch.ones_like(bent)).float())
    assert parts.fitted(bent, line)[0, 2].abs() < 100


def test_polygons_are_half_open():
    square = torch.tensor([[1.0, 2], [4, 2], [4, 5], [1, 5]], dtype=torch.float64)
    rows, columns = parts.inside_polygons(square, torch.arange(8), torch.arange(8)).nonzero().T
    assert (columns.unique().tolist(), rows.unique().tolist()) == ([1, 2, 3], [2, 3, 4])
    assert not parts.inside_polygons(square * torch.nan, torch.arange(8), torch.arange(8)).any()


def test_half_pixels_round_away_from_zero():
    shifts = torch.tensor([[[1.0, 0, 1], [0, 1, 0]], [[1, 0, -1], [0, 1, 0]]])[None]         # [1,2,2,3]
    plain = Geometry(shifts, torch.ones(1, 2, 8, 8, dtype=torch.bool))
    number, inside = (value.unflatten(2, (4, 4))[0, :, 0] for value in plain.sources((4, 4)))
    assert inside.tolist() == [[True, True, True, False], [False, True, True, True]]
    assert number.tolist() == [[1, 2, 3, 0], [0, 1, 2, 3]]


@pytest.mark.parametrize("size", [(128, 64), (16, 8)])
def test_spots_are_what_the_sources_say(size, standing, walking):
    source, target = torch.cat([standing, walking]), torch.cat([walking, standing - 20])
    geometry = parts.part_geometry(source, target, (128, 64))
    number, shown = geometry.sources(size)
    sample, part, place = shown[:, 1:].nonzero().T
    expected = torch.stack([sample, place, number[sample, part + 1, place]])
    assert torch.equal(torch.stack(geometry.spots(size)), expected)
    assert torch.equal(geometry.first.sources(size)[0], number[:, :1])


def test_rounding_is_exact_just_below_a_half():
    below = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0))
    assert parts._rounded(torch.stack([below, -below, torch.tensor(-2.5)])).tolist() == [0, 0, -3]


def test_small_masks_take_the_upper_left_pixel():
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[0, 0, 2, 0] = masks[0, 0, 1, 1] = True
    small = Geometry(torch.zeros(1, 1, 2, 3), masks).masks_at((2, 2))
    assert small.tolist() == [[[False, False, True, False]]]
