"""The arithmetic of `run.py bench`."""
from __future__ import annotations

import argparse
import json

import pytest
import torch
import torch.nn.functional as F
from anyone.core import bench
from anyone.core.runtime import Runtime
from anyone.core.sean.network import Config as StylerConfig
from anyone.core.sean.network import Generator as Styler
from anyone.core.sean.network import to_mask
from anyone.core.sean.patterns import find_patterns
from anyone.core.triagan.network import Config, Generator
from safetensors.torch import save_file


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


def test_the_face_is_as_busy_as_a_real_one():
    """The specification counts about 4,000 different 5x5 neighbourhoods in a real face of 256 pixels."""
    face = bench.draw_face(256)
    assert set(face.unique().tolist()) == set(range(19)) - {3, 14, 16}
    assert 3000 < len(find_patterns(face[0], 19).ids.unique()) < 4500


def test_styles_pooled_region_by_region_are_those_of_the_network():
    net = Styler(StylerConfig(labels=4, dims=(8, 6), style=5, hidden=4, encoder=3, styled=(True,) * 4))
    net = net.initialise().eval()
    labels, picture = torch.randint(0, 3, (1, 32, 32)), torch.rand(1, 3, 32, 32) * 2 - 1
    mask = to_mask(labels, 4)
    with torch.no_grad():
        torch.testing.assert_close(bench.pool_by_region(net.Zencoder, picture, mask),
                                   net.encode(picture, labels)[0])


def test_tables():
    rows = [{"network": "a", "of_plain": 0.54321}, {"network": "b", "of_plain": 2}]
    assert bench.markdown(rows) == "| network | of plain |\n| --- | --- |\n| a | 0.543 |\n| b | 2 |"


def test_the_whole_run(kept_threads, monkeypatch, tmp_path, capsys):
    """Small stand-ins for the published and the embedded network."""
    small = Config(dims=(8, 8), height=32, width=16, z=4, w=4)
    save_file(Generator(small).initialise().state_dict(), tmp_path / "small.safetensors")
    monkeypatch.setattr(bench, "Config", lambda: small)
    monkeypatch.setattr(bench, "embedded", lambda: {"triagan-person": tmp_path / "small.safetensors"})
    monkeypatch.setattr(bench, "people_per_second", lambda size, seconds: 1.0)
    monkeypatch.setattr(bench, "detector_readings", lambda *arguments: [])
    monkeypatch.setattr(bench, "styler_networks", lambda: [])
    monkeypatch.setattr(bench, "transfer_networks", lambda: [])
    monkeypatch.setattr(bench, "drawings", lambda: [])
    monkeypatch.setattr(bench, "drag_steps", lambda: [])
    monkeypatch.setattr(bench, "drag_memory", lambda: [])
    assert bench.main(argparse.Namespace(quick=True, json=True)) == 0
    tables = json.loads(capsys.readouterr().out)
    names = {row["network"] for row in tables["networks"]}
    assert names == {"TriA-GAN 288x160", "TriA-GAN, embedded", "Detector 128x128"}
    assert all(row["seconds"] > 0 for row in tables["networks"])
    assert 0 < tables["import"][0]["cpu_seconds_beyond_torch_and_numpy"] < 1
