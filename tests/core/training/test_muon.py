"""Muon: what one step does, and that it continues where it was saved."""
from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from anyone.core.training.muon import MOMENTUM, Muon, orthogonalised
from torch import nn


def test_singular_values_become_equal():
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(6, 20), full_matrices=False)
    matrix = u * torch.tensor([9.0, 5, 3, 1, 0.5, 0.3]) @ v
    for turned in (orthogonalised(matrix), orthogonalised(matrix.T).T):
        found_u, values, found_v = torch.linalg.svd(turned, full_matrices=False)
        assert values.min() > 0.6 and values.max() < 1.3
        assert torch.allclose((u.T @ turned @ v.T).diagonal(), (u.T @ turned @ v.T).sum(1), atol=1e-3)


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1))


def descend(net: nn.Module, optimizer: Muon, steps: int) -> list[float]:
    x, y = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(1)), torch.ones(4, 4, 5, 5) * 2
    losses = []
    for _ in range(steps):
        loss = F.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_only_hidden_weights_are_turned():
    net = small_net()
    optimizer = Muon(net, 0.02, 1e-3, others=net[3].parameters())
    hidden, rest = (group["params"] for group in optimizer.param_groups)
    assert [p is net[1].weight for p in hidden] == [True] and len(rest) == 7
    before = copy.deepcopy(net.state_dict())
    descend(net, optimizer, 1)
    step = (net[1].weight - before["1.weight"]).flatten(1)
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.6 * 0.02 and values.max() < 1.3 * 0.02
    moved = (net[0].weight - before["0.weight"]).abs()      # Adam's first step is the learning rate
    assert torch.allclose(moved, torch.full_like(moved, 1e-3), rtol=1e-3)


def test_the_first_step_follows_the_gradient_past_the_momentum():
    net = small_net()
    optimizer = Muon(net, 0.02, 1e-3)
    descend(net, optimizer, 1)
    gradient = net[1].weight.grad
    assert torch.allclose(optimizer.state[net[1].weight]["momentum"], gradient * (1 - MOMENTUM))


def test_the_loss_falls_and_a_saved_run_continues():
    net = small_net()
    optimizer = Muon(net, 0.02, 0.05, others=net[3].parameters())
    losses = descend(net, optimizer, 60)
    assert losses[-1] < 0.5 * losses[0]
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    ahead = descend(net, optimizer, 3)
    other = small_net()
    resumed = Muon(other, 1.0, 1.0, others=other[3].parameters())
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert descend(other, resumed, 3) == ahead


def test_a_transposed_convolution_is_turned_as_the_map_it_is():
    torch.manual_seed(0)
    net = nn.Sequential(nn.ConvTranspose2d(6, 5, 4, 2, 1, bias=False))
    optimizer = Muon(net, 0.02, 1e-3)
    before = net[0].weight.detach().clone()
    net(torch.randn(2, 6, 5, 5)).square().sum().backward()
    optimizer.step()
    step = nn.ConvTranspose2d(6, 5, 4, 2, 1, bias=False)
    with torch.no_grad():
        step.weight.copy_(net[0].weight - before)
    patches = torch.eye(24).view(24, 6, 2, 2)              # all that meets between two by two inputs
    matrix = step(patches)[:, :, 1:3, 1:3].flatten(1)      # the phases there
    values = torch.linalg.svdvals(matrix)
    assert values[:20].min() > 0.6 * 0.02 and values.max() < 1.3 * 0.02
