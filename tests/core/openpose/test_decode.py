import time

import pytest
import torch
from anyone.core.openpose import decode
from anyone.core.openpose.infer import enlargement


def scale_maps(fields, heats, height, width, resized):
    rows, columns = (enlargement(size, inner, 8 * cells).float() for size, inner, cells in zip(
        (height, width), resized, heats.shape[1:], strict=True))
    return decode.ScaleMaps(fields, heats, rows, columns)


def joints_of(bodies, person):
    row = bodies.people[person, :18].long()
    assert (row >= 0).all()
    return bodies.peaks[row]


def test_two_people_are_found_whole(maps_of, standing):
    people = [standing(12.04, 8.03, 26.0), standing(34.04, 10.03, 26.4)]
    fields, heats = maps_of(people, 40, 48, 1.4, 1.5)
    bodies = decode.decode([scale_maps(fields, heats, 480, 576, (320, 384))])
    assert len(bodies.people) == 2 and bodies.people[:, 19].tolist() == [18, 18]
    for person, joints in enumerate(people):
        found = joints_of(bodies, person)
        truth = (joints + 0.5) * 12 - 0.5                 # cells of 12 pixels: 8, enlarged by 1.5
        assert (found[:, :2] - truth).abs().max() <= 1.0
        assert found[:, 3].tolist() == list(range(18))


def test_scales_are_averaged(maps_of, standing):
    """A joint that half of the scales see has half the heat."""
    fields, heats = maps_of([standing(12.04, 8.03, 26.0)], 40, 24, 1.4, 1.5)
    seen = scale_maps(fields, heats, 320, 192, (320, 192))
    blind = scale_maps(fields * 0, heats * 0, 320, 192, (320, 192))
    alone, = [joints_of(decode.decode([seen]), 0)]
    both, = [joints_of(decode.decode([seen, blind]), 0)]
    torch.testing.assert_close(both[:, 2], alone[:, 2] / 2)
    torch.testing.assert_close(both[:, :2], alone[:, :2])


def test_strips_do_not_matter(maps_of, standing, monkeypatch):
    fields, heats = maps_of([standing(12.04, 8.03, 26.0)], 40, 24, 1.4, 1.5)
    maps = scale_maps(fields, heats, 320, 192, (320, 192))
    whole = decode.decode([maps])
    monkeypatch.setattr(decode, "_STRIP", 192 * 7)
    monkeypatch.setattr(decode, "_CHUNK", 70)
    pieces = decode.decode([maps])
    assert torch.equal(pieces.peaks, whole.peaks) and torch.equal(pieces.people, whole.people)


def test_nobody():
    empty = decode.ScaleMaps(torch.zeros(38, 5, 4), torch.zeros(19, 5, 4), torch.eye(5), torch.eye(4))
    bodies = decode.decode([empty])
    assert bodies.peaks.shape == bodies.connections.shape == (0, 4) and bodies.people.shape == (0, 20)


def test_a_fragment_is_nobody(maps_of, standing):
    """Two limbs are three joints, and a person needs four."""
    joints = standing(12.04, 8.03, 26.0)
    fields, heats = maps_of([joints], 40, 24, 1.4, 1.5)
    heats[[j for j in range(19) if j not in (2, 3, 4)]] = 0
    maps = scale_maps(fields, heats, 320, 192, (320, 192))
    assert decode.decode([maps]).people.shape == (0, 20) and len(decode.decode([maps]).connections) == 2


def test_three_rows_with_one_pair():
    """The published code fails here; the third row is left alone."""
    heat = [1.0] * 8
    connections = [(0, 0, 1, 1.0), (1, 2, 3, 1.0), (2, 1, 4, 1.0), (2, 5, 6, 1.0)]
    people = decode.assemble(heat, connections)
    assert people == []                                   # all fragments, but nothing raised


@pytest.mark.parametrize("order", [(0.5, 0.5, 0.9), (0.9, 0.5, 0.5)])
def test_greedy_uses_every_peak_once(order):
    i, j = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    taken = decode.greedy(i, j, torch.tensor(order))
    assert [pair[:2] for pair in taken] == {0.5: [(1, 1), (0, 0)], 0.9: [(0, 0), (1, 1)]}[order[0]]


def test_a_crowd_is_quick(maps_of, standing):
    """Thirty people; a pass of the network takes seconds on the same processor."""
    people = [standing(8.04 + 12 * column, 6.03 + 16 * row, 14.0) for row in range(3) for column in range(10)]
    fields, heats = maps_of(people, 54, 128, 0.7, 0.7)
    maps = scale_maps(fields, heats, 432, 1024, (432, 1024))
    start = time.process_time()
    bodies = decode.decode([maps])
    assert time.process_time() - start < 5
    assert len(bodies.people) == 30 and bodies.people[:, 19].min() >= 17
