"""The arithmetic of the detectors' part of `run.py bench`."""
from __future__ import annotations

import time

import pytest
import torch
from anyone.core import bench_detectors
from anyone.core.openpose.decode import ScaleMaps, decode
from torch import nn


class Busy(nn.Module):
    """Takes so many CPU-seconds."""

    def forward(self, seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass


def test_the_network_is_told_from_what_is_done_beside_it():
    net = Busy()

    def read() -> int:
        net(0.02)
        Busy()(0.02)
        net(0.02)
        return 7

    row = bench_detectors.time_reading("busy", "none", net, read, 3, lambda: net(0.02))
    assert row.people == 7 and not net._forward_hooks and not net._forward_pre_hooks
    assert row.beside_network == pytest.approx(1 / 3, abs=0.1)
    assert row.of_one_pass == pytest.approx(3, rel=0.2)
    assert row.per_second == pytest.approx(1 / 0.06, rel=0.2)


@pytest.mark.parametrize("count", [1, 30])
def test_the_ideal_maps_show_a_crowd(count):
    fields, heats = bench_detectors._ideal_maps(count, 23, 69)
    rows, columns = torch.eye(23).repeat_interleave(8, 0), torch.eye(69).repeat_interleave(8, 0)
    assert len(decode([ScaleMaps(fields, heats, rows, columns)]).people) == count
