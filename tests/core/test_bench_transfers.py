"""The forms that `run.py bench` compares of pose transfer do the same."""
from __future__ import annotations

import pytest
import torch
from anyone.core import bench_transfers as bench
from anyone.core.deformable.network import Config
from anyone.core.pg2 import network as pg2

TINY, SIZE = Config(widths=(2, 3, 3, 4, 4)), (64, 32)


def both(forms):
    with torch.no_grad():
        return forms["plain"](), forms["fast"]()


def test_skips():
    plain, fast = both(bench.skip_forms(TINY, SIZE))
    assert [tuple(look.shape[2:]) for look in plain] == [(64, 32), (32, 16), (16, 8), (8, 4)]
    assert all(map(torch.equal, plain, fast))


@pytest.mark.parametrize("count", [1, 3])
def test_generators(count):
    plain, fast = both(bench.generator_forms(TINY, SIZE, count))
    assert len(fast) == count
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-5)


def test_the_published_order_makes_the_same_coarse_pictures(monkeypatch):
    small = pg2.Config(height=128, width=64, channels=2, code=3)
    monkeypatch.setattr(bench, "MARKET", small)
    monkeypatch.setattr(bench, "PG2", lambda: pg2.PG2(small))
    plain, fast = both(bench.pg2_forms())
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-5)


def test_poses_differ_in_whole_pixels():
    own, wanted = bench.poses((128, 64), 8)
    assert torch.equal(own[0], own[7]) and torch.equal(wanted, wanted.round())
    assert (wanted - own).abs().mean() > 1 and len(wanted.unique(dim=0)) == 8


def test_geometry_of_all_poses_at_once(monkeypatch):
    seen = []
    original = bench.Geometry.sources
    monkeypatch.setattr(bench.Geometry, "sources",
                        lambda self, size: seen.append(tuple(self.masks.shape[:2])) or original(self, size))
    both(bench.geometry_forms((128, 64)))
    assert seen == [(1, 10)] * 8 * 4 + [(8, 1)] * 4
