"""Every folder in `tests/golden/` through `tests/golden.py`, and what that command does with bad cases."""
from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("golden", HERE / "golden.py")
golden = importlib.util.module_from_spec(SPEC)
sys.modules["golden"] = golden
SPEC.loader.exec_module(golden)


@pytest.mark.parametrize("folder", sorted((HERE / "golden").iterdir()), ids=lambda folder: folder.name)
def test_golden_case(folder):
    checks = golden.check_case(folder)
    assert {check.name.partition("[")[0] for check in checks} >= set(golden.Case(folder).expected)
    assert not [str(check) for check in checks if not check.ok]


def test_a_wrong_number_fails(tmp_path, capsys):
    folder = tmp_path / "triagan-pose-input"
    shutil.copytree(HERE / "golden" / folder.name, folder)
    tensors = load_file(folder / "case.safetensors")
    tensors["out.joint_map_72_u8"][3, 0, 0, 0] ^= 1
    save_file(tensors, folder / "case.safetensors")
    assert golden.main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("FAIL")] == ["out.joint_map_72_u8 1 0 FAIL"]


def test_an_unknown_case_fails_by_name(tmp_path, capsys):
    folder = tmp_path / "no-such-system"
    shutil.copytree(HERE / "golden/triagan-pose-input", folder)
    assert golden.main([str(folder)]) == 1
    assert "no runner for cases named 'no-such-system'" in capsys.readouterr().out


def test_kinds_of_fill():
    def filled(kind):
        return golden.fill("salt", "a.weight", {"shape": [5], "kind": kind, "a": 1.0, "b": 2.0})

    assert (filled("normal") < 1).any()
    torch.testing.assert_close(filled("positive"), 1 + (filled("normal") - 1).abs())
    torch.testing.assert_close(filled("unit") * (filled("normal") - 1).norm(), filled("normal") - 1)


TOLERANCE = {"exact": ["out.a"], "max_abs": {"out.b*": 2}, "mean_abs": 0.5,
             "note": "at most 10 % of values may differ at all by more than 1"}


@pytest.mark.parametrize(("name", "wrong", "expected"), [
    ("out.a[fast]", 0, [True]),
    ("out.a", 1e-9, [False]),
    ("out.b1", 0.75, [True, True]),
    ("out.b1_u8", 2.0, [True, True, False]),
    ("out.b1", 3.0, [False, False]),
    ("out.b1", float("nan"), [False, False]),
    ("out.unlisted", 0, [False, True]),
])
def test_tolerance_rules(name, wrong, expected):
    found = torch.zeros(10)
    found[:2] = wrong
    found[2] = wrong if wrong == 3.0 else 0
    assert [check.ok for check in golden.compare(name, torch.zeros(10), found, TOLERANCE)] == expected


def test_absolute_and_relative_tolerances_add_up():
    tolerance = {"out.a*": {"atol": 0.25, "rtol": 0.5}, "out.b": {"atol": 0}}
    for name, found, ok in (("out.a1", 1.75, True), ("out.a1", 1.8, False), ("out.b", 1.0, True),
                            ("out.b", 1.001, False), ("out.c", 1.0, False)):
        [check] = golden.compare(name, torch.ones(2), torch.tensor([1.0, found]), tolerance)
        assert check.ok is ok


def test_columns_have_their_own_tolerance():
    tolerance = {"out.*.rows[:,1]": {"atol": 0.5}}
    expected = torch.zeros(2, 3)
    for found, ok in (([0, 0.4, 0], [True, True]), ([0, 0.6, 0], [True, False]),
                      ([0, 0, 0.1], [False, True])):
        checks = list(golden.compare("out.07.rows", expected, torch.tensor([found, [0.0] * 3]), tolerance))
        assert [check.ok for check in checks] == ok
    assert all(check.ok for check in golden.compare("out.07.rows", expected[:0], expected[:0], tolerance))


def test_tolerances_in_words():
    tolerance = {"out.NN.a": "exact", "out.pN.a_u8": "exact, or at most 1 on at most 10 % of the values"}
    for name, found, ok in (("out.03.a", 0, [True]), ("out.03.a", 1, [False]), ("out.xx.a", 0, [False]),
                            ("out.p3.a_u8", 1, [True, True]), ("out.p3.a_u8", 2, [False, True])):
        wrong = torch.tensor([found] + [0] * 9)
        assert [check.ok for check in golden.compare(name, torch.zeros(10), wrong, tolerance)] == ok
    spread = torch.tensor([1, 1] + [0] * 8)
    assert not all(check.ok for check in golden.compare("out.p0.a_u8", torch.zeros(10), spread, tolerance))


def test_latents_have_their_own_tolerance():
    tolerance = {"max_abs": 1.0, "w_max_abs": 0.1}
    for name, ok in (("out.w", False), ("out.w_trunc[fast]", False), ("out.warp", True)):
        [check] = golden.compare(name, torch.zeros(2), torch.full((2,), 0.5), tolerance)
        assert check.ok is ok


def test_a_missing_or_misshapen_output_fails():
    for found in (None, torch.zeros(3)):
        [check] = golden.compare("out.b", torch.zeros(2), found, TOLERANCE)
        assert not check.ok
