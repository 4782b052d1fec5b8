import pytest
import torch
from anyone.core.detect.decode import decode, find_peaks
from anyone.core.detect.labels import Labels, make_targets, person_centres
from anyone.core.detect.network import GRID, SIDE
from anyone.core.pose import JOINTS


def labels_of(ideal, keypoints, visibility=2):
    line = (torch.arange(GRID) + 0.5) * 2
    cells = ideal.drawn(keypoints, torch.stack(torch.meshgrid(line, line, indexing="xy"), -1))
    inside = ((keypoints >= 0) & (keypoints < SIDE)).all(-1)
    return Labels(keypoints[None], (inside * visibility).byte()[None], cells[None], cells[None] * 0)


CROWDS = {
    "one": [(64.3, 61.8, 100)],
    "two": [(35.2, 64.1, 90), (90.7, 60.4, 100)],
    "near and far": [(44.6, 66, 118), (105.3, 40.2, 40)],
    "five": [(14.1, 40, 50), (38.4, 45.5, 56), (64.9, 42, 60), (90.2, 41, 50), (113.6, 80.3, 55)],
    "cut at the waist": [(60, 125.5, 120)],
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_ideal_maps_give_every_person_back(ideal, crowd):
    keypoints = ideal.figures(CROWDS[crowd])
    labels = labels_of(ideal, keypoints)
    people = decode(ideal.ideal_maps(labels))
    assert len(people.scores) == len(keypoints)
    error = (people.centres[:, None] * SIDE - person_centres(keypoints)[None]).norm(dim=-1)
    who = error.argmin(1)
    assert sorted(who.tolist()) == list(range(len(keypoints)))
    inside = labels.visibility[0, who] > 0
    assert torch.equal(people.scores > 0.5, inside)
    # Joints nearer than a cell to each other of the same kind do not occur here, so every one is exact.
    assert (people.keypoints - keypoints[who]).norm(dim=-1)[inside].max() < 0.5
    for number, mask in zip(who.tolist(), people.masks > 0.5, strict=True):
        assert torch.equal(mask, labels.people[0] == number + 1)


def test_a_blank_answer_is_nobody(ideal):
    labels = labels_of(ideal, ideal.figures([(-500, -500, 50)]))
    people = decode(ideal.ideal_maps(labels))
    assert people.keypoints.shape == (0, 18, 2) and people.masks.shape == (0, GRID, GRID)


def test_the_number_of_people_can_be_limited(ideal):
    maps = ideal.ideal_maps(labels_of(ideal, ideal.figures(CROWDS["five"])))
    assert len(decode(maps, max_people=3).scores) == 3


def test_peaks_are_exact_between_cells():
    line = torch.arange(GRID).float()
    heat = torch.zeros(18, GRID, GRID)
    heat[4] = 0.9 * torch.exp(-((line - 20.37) ** 2 + (line[:, None] - 7.81) ** 2) / (2 * 1.5**2))
    places, scores = find_peaks(heat)
    assert torch.allclose(places[4, 0], torch.tensor([20.37, 7.81]), atol=1e-3)
    assert scores[4, 0] > 0.8 and (scores[4, 1:] == 0).all() and (scores[0] == 0).all()


def test_targets_put_joints_votes_and_masks_where_they_belong(ideal):
    keypoints = ideal.figures([(40, 64, 100), (95, 64, 80)])
    visibility = torch.full((1, 2, 18), 2, dtype=torch.uint8)
    visibility[0, 0, JOINTS.index("left_wrist")] = 1
    visibility[0, 1, JOINTS.index("nose")] = 0
    line = (torch.arange(GRID) + 0.5) * 2
    cells = ideal.drawn(keypoints, torch.stack(torch.meshgrid(line, line, indexing="xy"), -1))
    targets = make_targets(Labels(keypoints[None], visibility, cells[None], cells[None]))
    assert targets.heat.shape == (1, 18, GRID, GRID)
    wrist = targets.heat[0, JOINTS.index("left_wrist")]
    x, y = (keypoints[0, JOINTS.index("left_wrist")] / 2).floor().long().tolist()
    assert 0.6 < wrist[y, x] <= 0.7 and wrist.max() > 0.85           # hidden here, visible on the other
    nose = targets.heat[0, JOINTS.index("nose")]
    assert nose[:, :GRID // 2].max() > 0.85 and nose[:, GRID * 5 // 8:].max() == 0
    middle = person_centres(keypoints)[1] / SIDE
    way = middle - torch.tensor([47.5, 32.5]) / GRID
    assert torch.allclose(targets.centre[0, :, 32, 47], way, atol=1e-6)
    assert torch.equal(targets.mask[0, 0] > 0, cells > 0)
    assert targets.has_centre.sum() > targets.mask.sum()             # a rim round the joints votes as well
