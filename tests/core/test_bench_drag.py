"""The dragging part of `run.py bench`, on small stand-ins."""
from __future__ import annotations

import torch
from anyone.core import bench_drag


def test_memory_is_that_of_the_tensors_alive_at_once():
    def job():
        first = torch.ones(1 << 20)
        second = first + 1
        del first
        return second + 1

    assert 2 * 4 << 20 <= bench_drag.peak_bytes(job) < 2.1 * (4 << 20)


def test_pictures_are_the_same_in_both_forms(monkeypatch):
    monkeypatch.setattr(bench_drag, "CHANNELS", (8,) * 6)
    [(name, forms)] = bench_drag.drawings((64,))
    assert name == "StyleGAN2 64x64" and list(forms) == ["plain", "fast"]
    plain, fast = (job() for job in forms.values())
    assert plain.shape == (1, 3, 64, 64)
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-4)


def test_steps_without_and_with_a_mask(monkeypatch):
    monkeypatch.setattr(bench_drag, "CHANNELS", (8,) * 6)
    found = dict(bench_drag.drag_steps((128,)))
    assert list(found) == ["Drag step 128, no mask", "Drag step 128, mask"]
    for forms in found.values():
        assert list(forms) == ["plain", "fast"]
        forms["fast"]()
        forms["plain"]()


def test_crops_take_less_memory(monkeypatch):
    monkeypatch.setattr(bench_drag, "CHANNELS", (8,) * 6)
    rows = bench_drag.drag_memory((128,))
    assert [row["form"] for row in rows] == ["plain", "fast"] * 2
    plain, fast = (row["peak_mib"] for row in rows[:2])
    assert 0 < fast < plain / 2


def test_both_forms_measure_the_same_loss(monkeypatch):
    monkeypatch.setattr(bench_drag, "CHANNELS", (8,) * 6)
    losses = []
    monkeypatch.setattr(bench_drag, "step", lambda session: losses.append(session.observe().loss))
    for forms in dict(bench_drag.drag_steps((128,))).values():
        for job in forms.values():
            job()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=0)
    torch.testing.assert_close(losses[2], losses[3], rtol=1e-3, atol=0)
