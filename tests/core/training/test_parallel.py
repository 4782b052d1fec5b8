import subprocess
import sys
from pathlib import Path

import pytest
import torch
from anyone.core.runtime import Runtime
from anyone.core.training import Options, train
from anyone.core.training.distributed import Group


def test_two_processes_equal_one_with_twice_the_batch(toy, pool, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(Path(toy.__file__)), str(pool.folders[0]), str(tmp_path / "two"), "6", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    train(toy.ToyTask(), pool, Options(tmp_path / "one", steps=6, batch=8), Runtime("cpu"))
    one, two = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("one", "two"))
    assert one["position"]["images"] == two["position"]["images"] == 48
    start = toy.ToyTask().net.state_dict()
    for kind in ("modules", "ema"):
        for name, value in one[kind]["net"].items():
            assert torch.allclose(value, two[kind]["net"][name], atol=1e-6), name
            assert (value - start[name]).abs().max() > 1e-3, name


def test_a_batch_has_to_divide(toy, pool, tmp_path):
    from anyone.core.training.loop import Run

    with pytest.raises(ValueError, match="multiple of the 3 processes"):
        Run(toy.ToyTask(), pool, Options(tmp_path, steps=1, batch=8), Runtime("cpu"), Group(0, 3))
