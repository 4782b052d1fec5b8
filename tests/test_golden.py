"""Every folder in `tests/golden/` through `tests/golden.py`, and what that command does with bad cases."""
from __future__ import annotations

import importlib.util
import json
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
    assert len(checks) >= len(golden.Case(folder).expected)
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


def test_fill_follows_the_stream():
    normal = golden.fill("salt", "a.weight", {"shape": [3], "kind": "normal", "a": 1.0, "b": 2.0})
    positive = golden.fill("salt", "a.weight", {"shape": [3], "kind": "positive", "a": 1.0, "b": 2.0})
    unit = golden.fill("salt", "a.weight", {"shape": [3], "kind": "unit", "a": 1.0, "b": 2.0})
    torch.testing.assert_close(positive - 1, (normal - 1).abs())
    torch.testing.assert_close(unit.norm(), torch.tensor(1.0))


def test_tolerance_rules():
    tolerance = json.loads('{"exact": ["out.a"], "max_abs": {"out.b*": 2}, '
                           '"note": "at most 10 % of values may differ at all by more than 1"}')
    expected = torch.zeros(10)
    wrong = torch.tensor([2.0, 2.0] + [0.0] * 8)
    assert [check.ok for check in golden.compare("out.a[fast]", expected, expected, tolerance)] == [True]
    assert [check.ok for check in golden.compare("out.a", expected, wrong, tolerance)] == [False]
    assert [check.ok for check in golden.compare("out.b1_u8", expected, wrong, tolerance)] == [True, False]
    assert [check.ok for check in golden.compare("out.unlisted", expected, expected, tolerance)] == [False]
    assert [check.ok for check in golden.compare("out.a", expected, torch.zeros(9), tolerance)] == [False]
    assert [check.ok for check in golden.compare("out.b1", expected, expected * float("nan"), tolerance)] == [False]
