"""`run.py demo`: what it writes."""
from __future__ import annotations

import argparse

import numpy as np
import pytest
from anyone.core import demo
from anyone.nodes import NODES
from PIL import Image


def run(folder, seeds: int) -> int:
    return demo.main(argparse.Namespace(output=folder, seeds=seeds, pack_nodes=lambda: NODES))


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert run(folder, 2) == 0
    return folder


def test_every_input_gets_a_new_person_per_seed(folder):
    for name in ("scene", "astronaut"):
        before = pixels(folder / "input" / f"{name}.png")
        mask = pixels(folder / "input" / f"{name}_mask.png").max(-1) > 0
        first, second = (pixels(folder / f"{name}_seed{seed}_00001_.png") for seed in (1, 2))
        assert np.abs(first - before)[mask].mean() > 4
        assert np.abs(first - second)[mask].mean() > 4
        far = np.ones_like(mask)
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        far[max(0, rows[0] - 40):rows[-1] + 40, max(0, columns[0] - 40):columns[-1] + 40] = False
        assert far.any() and (first == before)[far].all()


def test_the_sheet_shows_everything(folder):
    sheet = pixels(folder / "contact_sheet.png")
    cell = demo.CELL
    assert sheet.shape[0] > demo.HEADING + 2 * cell and sheet.shape[1] > 5 * cell
    assert (sheet[:demo.HEADING] < 128).any(), "headings"
    mask = sheet[demo.HEADING:demo.HEADING + cell, 2 * cell + cell // 2:3 * cell]
    assert {0, 255} <= set(np.unique(mask)), "the third column is the mask"


def test_a_second_run_replaces_the_first(folder):
    before = (folder / "scene_seed1_00001_.png").read_bytes()
    assert run(folder, 1) == 0
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "astronaut_seed1_00001_.png", "contact_sheet.png", "scene_seed1_00001_.png"]
    assert (folder / "scene_seed1_00001_.png").read_bytes() == before
