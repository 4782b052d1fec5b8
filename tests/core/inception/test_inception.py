"""Inception v3 of 2015: against torchvision's later model with the differences undone, and its input."""
from __future__ import annotations

import math
from types import MethodType

import pytest
import torch
import torch.nn.functional as F
from anyone.core.checkpoints import LoadedNet
from anyone.core.inception.infer import class_probabilities, stretched
from anyone.core.inception.network import Inception
from anyone.core.inception.weights import SYSTEM
from anyone.core.runtime import Runtime
from torch import nn


def filled(net):
    """Random weights that keep numbers near 1, and statistics that matter."""
    random = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=random)
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in ((layer.weight.data, .8, 1.2), (layer.bias.data, -.2, .2),
                                      (layer.running_mean, -.2, .2), (layer.running_var, .5, 1.5)):
                values.uniform_(low, high, generator=random)
    return net.eval()


@pytest.fixture(scope="module")
def net():
    """As published, without the counters that older files lack."""
    state = {name: value for name, value in filled(Inception()).state_dict().items() if "tracked" not in name}
    return LoadedNet(SYSTEM.build(SYSTEM.select(state), {}).eval(), SYSTEM, "inception")


def last_block(self, x):
    """torchvision's, but pooling by maximum."""
    middle, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
    return torch.cat([self.branch1x1(x), self.branch3x3_2a(middle), self.branch3x3_2b(middle),
                      self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double),
                      self.branch_pool(F.max_pool2d(x, 3, 1, 1))], 1)


def test_it_is_torchvisions_but_for_two_poolings(net, monkeypatch):
    inception = pytest.importorskip("torchvision.models.inception", reason="torchvision is not installed")
    average = F.avg_pool2d
    other = inception.Inception3(num_classes=1008, aux_logits=False, init_weights=False).eval()
    other.load_state_dict(net.module.state_dict())
    other.Mixed_7c.forward = MethodType(last_block, other.Mixed_7c)
    other.fc = nn.Identity()
    monkeypatch.setattr(inception.F, "avg_pool2d", lambda *args, **options: average(
        *args, **options, count_include_pad=False))
    picture = torch.rand(2, 3, 299, 299, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = other(picture)
        torch.testing.assert_close(net.module(picture), expected)
    assert 0.1 < expected.mean() < 10


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Inception().parameters()) == 23_850_960


def test_pictures_are_stretched_as_the_graph_does_it():
    """Pixel i of the result lies at i * old / 299, whatever the sizes."""
    picture = torch.tensor([[0.0, 10.0], [100.0, 140.0]]).expand(1, 3, 2, 2)
    found = stretched(picture)[0, 1]
    for row, column in ((0, 0), (0, 100), (100, 0), (60, 120), (149, 149), (298, 298), (200, 30)):
        y, x = (min(place * 2 / 299, 1) for place in (row, column))
        expected = (1 - y) * 10 * x + y * (100 + 40 * x)
        assert float(found[row, column]) == pytest.approx(expected, abs=1e-3)
    large = torch.rand(1, 3, 598, 299)
    assert torch.equal(stretched(large), large[:, :, ::2])


def test_probabilities_leave_the_bias_away_and_see_8_bits(net):
    picture = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(2))
    wide = torch.rand(3, 299, 299, generator=torch.Generator().manual_seed(3))
    found = class_probabilities(net, [picture, wide], Runtime("cpu"))
    assert found.shape == (2, 1008)
    with torch.no_grad():
        seen = ((wide * 255).round() - 128) / 128
        logits = net.module.fc(net.module(seen[None])) - net.module.fc.bias
    torch.testing.assert_close(found[1], logits.softmax(1)[0], rtol=1e-4, atol=1e-6)
    assert math.isclose(float(found[0].sum()), 1, abs_tol=1e-5) and not torch.equal(found[0], found[1])


def test_later_models_and_other_networks_are_refused():
    with torch.device("meta"):
        state = Inception().state_dict()
    later = state | {"fc.weight": torch.zeros(1000, 2048), "AuxLogits.fc.bias": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"v3 of 2015: 1 unknown \(AuxLogits.* instead of \[1008, 2048"):
        SYSTEM.build(SYSTEM.select(later), {})
    other = LoadedNet(nn.Identity(), SYSTEM, "mine")
    with pytest.raises(ValueError, match="mine holds a .*; inception scores need"):
        class_probabilities(other, [torch.zeros(3, 8, 8)], Runtime("cpu"))
    assert SYSTEM.select({"fc.weight": torch.zeros(1)}) is None
