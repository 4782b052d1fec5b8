import pytest
import torch
from anyone.core.checkpoints import load
from anyone.core.openpose.network import BodyNet
from anyone.core.openpose.weights import SYSTEM, build, select
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def state():
    with torch.device("meta"):
        shapes = BodyNet().state_dict()
    return {name: torch.zeros(1).expand(tensor.shape) for name, tensor in shapes.items()}      # no memory


def test_the_published_shapes(state):
    assert len(state) == 184 and sum(tensor.numel() for tensor in state.values()) == 52_311_446
    assert state["conv4_3_CPM.weight"].shape == (256, 512, 3, 3)
    assert state["Mconv1_stage2_L1.weight"].shape == (128, 185, 7, 7)
    assert state["Mconv7_stage6_L2.bias"].shape == (19,)


def test_groups_in_front_are_dropped(state):
    grouped = {f"model1_1.{name}": tensor for name, tensor in state.items()}
    assert set(select(grouped)) == set(state) == set(select(state))
    assert select({"conv1_1.weight": torch.zeros(1)}) is None


@pytest.mark.parametrize("change", [
    {"Mconv7_stage6_L2.weight": torch.zeros(16, 128, 1, 1)},         # MPI
    {"Mconv7_stage6_L2.weight": None},                               # BODY_25 has other stages
])
def test_other_joints_are_refused_by_name(state, change):
    other = {name: tensor for name, tensor in (state | change).items() if tensor is not None}
    with pytest.raises(ValueError, match="such as BODY_25 or MPI; the one for COCO's 18 joints"):
        build(select(other), {})


def test_a_missing_layer_is_named(state):
    partial = {name: tensor for name, tensor in state.items() if name != "conv5_2_CPM_L1.bias"}
    with pytest.raises(ValueError, match=r"1 missing \(conv5_2_CPM_L1.bias\)"):
        build(partial, {})


def test_a_file_loads_by_recognition(tmp_path, state):
    halves = {f"model0.{name}": torch.zeros(tensor.shape).half() for name, tensor in state.items()}
    save_file(halves, tmp_path / "body.safetensors")
    net = load(tmp_path / "body.safetensors")
    assert net.system is SYSTEM and net.system.role == "detector"
    fields, heats = net.module(torch.zeros(1, 3, 16, 8))
    assert fields.shape == (1, 38, 2, 1) and heats.shape == (1, 19, 2, 1) and fields.dtype == torch.float32
