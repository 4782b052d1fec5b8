"""The arithmetic of `run.py bench`."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from anyone.core import bench
from anyone.core.runtime import Runtime
from anyone.core.triagan.network import Config


@pytest.fixture
def kept_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def convolution(channels: int):
    x, weight = torch.randn(1, channels, 64, 64), torch.randn(64, channels, 3, 3)
    return lambda: F.conv2d(x, weight, padding=1)


def test_multiply_adds_are_counted():
    assert bench.macs(convolution(128)) == 64 * 64 * 64 * 128 * 9
    assert bench.macs(bench.large_convolution()) == 128 * 128 * 256 * 256 * 9


def test_forms_are_compared_with_the_first(kept_threads):
    forms = {"plain": convolution(256), "quarter": convolution(64)}
    timings = list(bench.time_network("two", forms, 5, Runtime("cpu")))
    assert [(t.form, t.threads) for t in timings] == [(form, n) for n in (1, 2) for form in forms]
    plain, quarter = timings[:2]
    assert plain.of_plain == 1 and quarter.of_plain < 0.7
    assert quarter.gmac == plain.gmac == pytest.approx(64 * 64 * 64 * 256 * 9 / 1e9)
    assert quarter.of_ceiling > plain.of_ceiling > 0


def test_the_inputs_are_those_of_one_person():
    config = Config(dims=(8, 8), height=32, width=16, z=4, w=4)
    planes = bench.person_planes(config)
    assert planes.shape == (1, config.input_channels, 32, 16)
    assert planes[:, 7:24].sum() == 17


def test_tables():
    rows = [{"network": "a", "of_plain": 0.54321}, {"network": "b", "of_plain": 2}]
    assert bench.markdown(rows) == "| network | of plain |\n| --- | --- |\n| a | 0.543 |\n| b | 2 |"
