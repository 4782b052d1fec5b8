import torch
from anyone.core.vitpose.decode import find_maxima, refine
from anyone.core.vitpose.infer import read_joints


def gaussians(*centres):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    return torch.stack([torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8) for cx, cy in centres])[None]


def test_the_top_of_a_gaussian_is_found_between_cells():
    heat = gaussians((20.3, 30.7), (11.5, 40.1))
    places, scores = find_maxima(heat)
    assert places[0, 0].tolist() == [20, 31] and 0.9 < scores.min() <= 1
    assert (refine(heat, places)[0] - torch.tensor([[20.3, 30.7], [11.5, 40.1]])).abs().max() < 0.02


def test_flat_and_negative_maps_say_nothing():
    heat = torch.tensor([0.4, -3.0, 0.0])[None, :, None, None].expand(1, 3, 64, 48)
    places, _ = find_maxima(heat)
    assert (refine(heat, places) - places).abs().max() <= 2
    joints = read_joints(heat, torch.tensor([[50.0, 60.0, 47.0, 63.0]]))
    assert torch.isfinite(joints).all()
    assert joints[0, :, 2].tolist() == [0.4000000059604645, 0, 0]


def test_steps_that_leave_the_neighbourhood_are_not_taken():
    heat = torch.full((1, 1, 64, 48), 0.5)
    heat[0, 0, 30, 20:24] = torch.tensor([0.5001, 0.50009, 0.50008, 0.50007])
    places, _ = find_maxima(heat)
    assert (refine(heat, places) - places).abs().max() <= 2
