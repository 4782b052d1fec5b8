import pytest
import torch
from anyone.core.bisenet.infer import REGIONS, face_scores
from anyone.core.bisenet.network import BiSeNet
from anyone.core.bisenet.weights import SYSTEM, build, select
from anyone.core.checkpoints import load
from anyone.core.regions import FACE_REGIONS, face_ids
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def state():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BiSeNet().state_dict()


def test_the_published_order():
    order = [0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14]
    assert face_ids(REGIONS).tolist() == order


def test_training_heads_are_left_out_and_files_load(tmp_path, state):
    published = state | {"conv_out16.conv_out.weight": torch.zeros(19, 64, 1, 1)}
    assert set(select(published)) == set(state)
    save_file(published, tmp_path / "faces.safetensors")
    net = load(tmp_path / "faces.safetensors")
    assert net.system is SYSTEM and net.system.role == "parser"
    assert select({"cp.resnet.conv1.weight": torch.zeros(1)}) is None


def test_a_missing_layer_is_named(state):
    with pytest.raises(ValueError, match=r"1 missing \(ffm.conv1.weight\)"):
        build({name: tensor for name, tensor in state.items() if name != "ffm.conv1.weight"}, {})


def test_scores_come_in_our_order():
    def net(x):
        assert x.shape == (2, 3, 512, 512)
        return torch.arange(19.0).view(1, 19, 1, 1).expand(2, 19, 8, 8)

    scores = face_scores(net, torch.rand(2, 3, 40, 40))[0, :, 0, 0]
    assert scores[FACE_REGIONS.index("hat")] == REGIONS.index("hat")
    assert scores[FACE_REGIONS.index("l_brow")] == REGIONS.index("l_brow")
