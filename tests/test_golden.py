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


@pytest.mark.parametrize(("entry", "found", "ok"), [
    ({"rel_to_max": 0.1}, [0.9, 0, 0, 10], [True]),
    ({"rel_to_max": 0.1}, [1.1, 0, 0, 10], [False]),
    ({"rel_to_max": 0.1, "atol": 0.5, "rtol": 0.1}, [1.4, 0, 0, 12.4], [True]),
    ({"rel_to_max": 0.1, "atol": 0.5, "rtol": 0.1}, [1.4, 0, 0, 12.6], [False]),
    ({"atol": 1, "max_bad_fraction": 0.25}, [0, 0, 9, 10.9], [True]),
    ({"atol": 1, "max_bad_fraction": 0.25}, [0, 0, 9, 11.1], [False]),
    ({"atol": 1, "max_bad_fraction": 0.24}, [0, 0, 9, 10], [False]),
    ({"atol": 1, "max_bad_fraction": 0.0}, [0, 0, 1.1, 10], [False]),
    ({"atol": 1, "max_bad_fraction": 0.5}, [float("nan"), 0, 0, 10], [False]),
    ({"atol": 1, "mean_abs": 0.4}, [0.8, 0, 0.7, 10], [True, True]),
    ({"atol": 1, "mean_abs": 0.4}, [0.8, 0, 0.9, 10], [True, False]),
    ({"atol": 1, "mean_abs": 0.4, "max_bad_fraction": 0.25}, [0, 0, 9, 10], [True, False]),
])
def test_tolerances_of_one_output(entry, found, ok):
    expected = torch.tensor([0.0, 0, 0, 10])
    checks = list(golden.compare("out.a", expected, torch.tensor(found), {"out.a": entry}))
    assert [check.name for check in checks] == ["out.a", "out.a:mean"][:len(checks)]
    assert [check.ok for check in checks] == ok


@pytest.mark.parametrize(("tolerance", "name", "wrong", "expected"), [
    ({"rel_to_max": 0.1, "note": "float32"}, "out.a", 0.9, [True]),
    ({"rel_to_max": 0.1, "note": "float32"}, "out.a[fast]", 1.1, [False]),
    ({"state": "exact", "other": {"rel_to_max": 0.1}}, "out.state.b4.const", 1e-6, [False]),
    ({"state": {"abs": 1e-6}, "other": {"rel_to_max": 0.1}}, "out.state.b4.const", 1e-6, [True]),
    ({"state": "exact", "other": {"rel_to_max": 0.1}}, "out.img", 0.9, [True]),
    ({"state": "exact", "other": {"rel_to_max": 0.1}}, "out.img", 1.1, [False]),
    ({"loss": {"rel": 0.1}}, "out.run.loss", 0.1, [False]),
    ({"dist/loss": {"abs": 0.2}}, "out.loss", 0.1, [True]),
    ({"rel_to_max": 0, "note": "for the _u8 output: at most 1 step, on fewer than 30 % of the values"},
     "out.img_u8", 1.0, [True, True]),
    ({"rel_to_max": 0, "note": "for the _u8 output: at most 1 step, on fewer than 20 % of the values"},
     "out.img_u8", 1.0, [True, False]),
    ({"rel_to_max": 0, "note": "for the _u8 output: at most 1 step, on fewer than 30 % of the values"},
     "out.img_u8", 2.0, [False, True]),
])
def test_tolerances_of_a_group_of_outputs(tolerance, name, wrong, expected):
    found = torch.tensor([wrong, 0, 0, 10.0])
    checks = list(golden.compare(name, torch.tensor([0, 0, 0, 10.0]), found, tolerance))
    assert [check.ok for check in checks] == expected


def test_outputs_with_one_text_share_a_tolerance():
    case = golden.Case(HERE / "golden/stylegan2-projector")
    assert "w_std" not in case.json["tolerance"]
    assert case.tolerance()["out.w_std"] == case.json["tolerance"]["w_mean"]
    assert case.tolerance().keys() - case.json["tolerance"].keys() == {"out.w_std"}


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


RUNS = {"u8": "at most 1 step on < 20 % of the values for step 0, at most 2 for step 11", "points": "exact",
        "loss": {"rel": 0.1}, "w": {"abs": 1.0, "abs_first_step": 0.1}, "other": {"abs": 0.5}}


@pytest.mark.parametrize(("name", "wrong", "expected"), [
    ("out.img_step0_u8", [1.0, 0, 0], [True, False]),     # a third of the values
    ("out.img_step0_u8", [0, 0, 0], [True, True]),
    ("out.img_step11_s4_u8[fast]", [2.0, 2, 1], [True]),
    ("out.img_step11_s4_u8", [3.0, 0, 0], [False]),
    ("out.img_step1_u8", [2.0, 0, 0], [False, False]),    # no words about it: the first ones
    ("out.run.w", [0, 1.0, 1], [True, True]),
    ("out.run.w[fast]", [0.2, 0, 0], [True, False]),
    ("out.w.w", [0.2, 0, 0], [True, False]),              # a run may be called so
    ("out.w.points", [0.1, 0, 0], [False]),
    ("out.run.loss", [0.05, 0, 0], [True]),
    ("out.run.loss_fix", [0.2, 0, 0], [False]),
    ("out.w.other_thing", [0.6, 0, 0], [False]),
    ("out.w0", [0.5, 0, 0], [True]),
])
def test_tolerances_of_runs(name, wrong, expected):
    checks = golden.compare(name, torch.ones(3), 1 + torch.tensor(wrong), RUNS, {"run": {}, "w": {}})
    assert [check.ok for check in checks] == expected


def test_latents_after_updates_have_a_tolerance_of_their_own():
    tolerance = {"rel_to_max": 0.1, "w after updates": {"abs": 0.5}}
    for name, ok in (("out.run.w", True), ("out.w", False), ("out.run.v", False)):
        [check] = golden.compare(name, torch.ones(2), torch.full((2,), 1.4), tolerance, ["run"])
        assert check.ok is ok


def test_a_missing_or_misshapen_output_fails():
    for found in (None, torch.zeros(3)):
        [check] = golden.compare("out.b", torch.zeros(2), found, TOLERANCE)
        assert not check.ok
