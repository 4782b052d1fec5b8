import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.detect.network import Detector
from anyone.core.detect.weights import SYSTEM, build, fold, select, widths
from anyone.core.training.state import save_weights


@pytest.fixture
def net():
    torch.manual_seed(1)
    net = Detector((4, 8, 8, 12))
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
    return net.eval()


def picture():
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))


def test_the_embedded_size():
    assert 1.4e6 < sum(p.numel() for p in Detector().parameters()) < 1.6e6


def test_recognised_by_keys_and_widths_from_shapes(net):
    state = net.state_dict()
    assert select(state).keys() == state.keys() and widths(state) == (4, 8, 8, 12)
    assert select({}) is None and select({"state_dict": state}) is None
    assert select({**state, "head.weight": torch.zeros(5, 4, 1, 1)}) is None


def test_folding_changes_nothing_and_leaves_no_norm(net):
    before = net(picture())
    with torch.no_grad():
        after = fold(net)(picture())
    assert not [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for name in ("heat", "regions", "mask", "centre"):
        assert torch.allclose(getattr(before, name), getattr(after, name), atol=1e-4)
    assert before.heat.shape == (2, 18, 64, 64) and before.centre.shape == (2, 2, 64, 64)


def test_a_saved_file_loads_as_the_same_function(net, tmp_path):
    with torch.no_grad():
        before = net(picture())
    save_weights(tmp_path / "d.safetensors", net.state_dict(), {})
    loaded = load(tmp_path / "d.safetensors")
    assert loaded.system is SYSTEM and loaded.system.role == "detector"
    after = loaded.module(picture())
    assert torch.allclose(before.heat, after.heat, atol=2e-2) and before.heat.std() > 0.1


def test_what_does_not_fit_is_refused(net):
    state = dict(net.state_dict())
    del state["decoder.1.conv0.norm.weight"]
    with pytest.raises(ValueError, match=r"1 missing \(decoder.1.conv0.norm.weight\)"):
        build(state, {})
    with pytest.raises(ValueError, match="1 unknown"):
        build({**net.state_dict(), "extra": torch.zeros(1)}, {})
