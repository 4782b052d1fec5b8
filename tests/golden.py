"""Runs golden cases: `python tests/golden.py CASE_DIR…`, any folder laid out as `tests/golden/*` are.

A case fills a published network with numbers derived from its parameter names and states what must come out.
One line per check: `NAME max_error tolerance ok|FAIL` (`NAME[fast]` is the fast form, `NAME:mean` another
measure of the same output). The exit status is non-zero when anything failed. The folder's base name picks
the runner: every file in `golden_runners/` has a dict RUNNERS, base name -> function(Case) -> {name: tensor}.
"""
from __future__ import annotations

import argparse
import fnmatch
import functools
import importlib.util
import json
import math
import re
import sys
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

TESTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Check:
    """One comparison: passes when `error` is a number not above `tolerance`."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance

    def __str__(self) -> str:
        return f"{self.name} {self.error:.3g} {self.tolerance:.3g} {'ok' if self.ok else 'FAIL'}"


class Case:
    """A case folder in memory. `inputs` and `expected`: tensors by full name (`in.z`, `out.w`). Further files
    of the case lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file
        tensors = load_file(folder / "case.safetensors")
        self.folder, self.name = folder, folder.resolve().name
        self.inputs = {name: tensor for name, tensor in tensors.items() if name.startswith("in.")}
        self.expected = {name: tensor for name, tensor in tensors.items() if name.startswith("out.")}
        self.json: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    def state(self, kept: Callable[[str], Tensor]) -> dict[str, Tensor]:
        """The filled state dict. `kept`: key -> the network's own constant, where nothing is filled in."""
        salt = self.manifest["salt"]
        return {key: kept(key) if entry["kind"] == "keep" else fill(salt, key, entry)
                for key, entry in self.manifest["params"].items()}

    def about(self, name: str) -> str:
        """What case.json says of output `name`; one text may describe several ("out.a / out.b")."""
        texts = self.json.get("outputs", {})
        return next((text for names, text in texts.items() if name in re.split(r"[ /]+", names)), "")

    def tolerance(self) -> dict[str, Any]:
        """That of case.json; an output without any has that of another one with the same text."""
        found = dict(self.json["tolerance"])
        for names in self.json.get("outputs", {}):
            group = re.split(r"[ /]+", names)
            entries = [by_pattern(found, name) for name in group]
            known = next((entry for entry in entries if entry is not None), None)
            found |= {name: known for name, entry in zip(group, entries, strict=True)
                      if known is not None and entry is None}
        return found


def fill(salt: str, key: str, entry: Mapping[str, Any]) -> Tensor:
    """The numbers of one parameter; NumPy guarantees the stream of RandomState."""
    random = np.random.RandomState(zlib.crc32(f"{salt}/{key}".encode()))
    n = np.asarray(random.standard_normal(entry["shape"]), dtype=np.float32)
    if entry["kind"] == "normal":
        values = entry["a"] + entry["b"] * n
    elif entry["kind"] == "positive":
        values = entry["a"] + entry["b"] * np.abs(n)
    elif entry["kind"] == "unit":
        values = n / np.linalg.norm(n)
    else:
        raise ValueError(f"{key}: unknown kind of fill {entry['kind']!r}.")
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def by_pattern(table: Any, name: str) -> Any:
    """The entry of a {pattern: value} table for `name`, or else for its last part without "_u8", or else for
    what follows "out."; a bare number holds for all. N is any digit, "a/b" one or the other."""
    if not isinstance(table, Mapping):
        return table
    parts = name.split(".")
    return next((value for text in (name, parts[-1].removesuffix("_u8"), *parts[1:2])
                 for patterns, value in table.items() for pattern in patterns.split("/")
                 if fnmatch.fnmatchcase(text, re.sub(r"N(?=[N.])", "[0-9]", pattern))), None)


def column_limits(tolerance: Mapping[str, Any], name: str) -> dict[int, float]:
    """Columns of output `name` that have a tolerance of their own: {"out.a[:,2]": {"atol": A}}."""
    found = {}
    for pattern, entry in tolerance.items():
        match = re.fullmatch(r"(.+)\[:,(\d+)\]", pattern)
        if match and fnmatch.fnmatchcase(name, match[1]):
            found[int(match[2])] = entry["atol"]
    return found


def compare_columns(name: str, difference: Tensor, limits: Mapping[int, float]) -> Iterator[Check]:
    """[rows,columns]: columns without a limit of their own are exact."""
    each = torch.tensor([limits.get(column, 0.0) for column in range(difference.shape[1])])
    for limit in sorted(set(each.tolist())):
        part = difference[:, each == limit]
        yield Check(f"{name}[within {limit:.2g}]", part.max().item() if part.numel() else 0.0, limit)


def within_run(name: str, tolerance: Mapping[str, Any], runs: Iterable[str]) -> tuple[str, Mapping[str, Any]]:
    """What an output of a run goes by: "out.RUN.w" as "out.w", to which "w after updates" applies, too.
    The terms of the loss have its tolerance: a rounding more or less, and their kinks send a run elsewhere.
    """
    parts = name.split(".")
    if len(parts) != 3 or parts[1] not in runs:
        return name, tolerance
    entries = {key.removesuffix(" after updates"): entry for key, entry in tolerance.items()}
    return f"out.{parts[2]}", {"loss_*": entries.get("loss")} | entries


def step_clause(text: str, name: str) -> str:
    """Of "at most 1 .. for step 0, at most 2 for step 11" what is said of the step in the name, or first."""
    step, clauses = re.search(r"step(\d+)", name), text.split(", ")
    return next((clause for clause in clauses if step and clause.endswith(f" step {step[1]}")), clauses[0])


def compare_words(name: str, difference: Tensor, text: str) -> Iterator[Check]:
    """"exact", "at most 2 ..", "exact, or at most 1 on at most 0.1 % ..", "at most 1 step on < 0.5 % .."."""
    share = re.search(r"at most (\d+)(?: step,?)? on (at most|fewer than|<) ([\d.]+) %", text)
    bare = None if share else re.match(r"at most (\d+)", text)
    limit = share or bare
    largest = difference.max().item() if difference.numel() else 0.0
    yield Check(name, largest, float(limit[1]) if limit else 0.0)
    if share:
        most = float(share[3]) / 100
        wrong = (difference > 0).double().mean().item()
        yield Check(f"{name}:share", wrong, most if share[2] == "at most" else math.nextafter(most, 0))


def compare_entry(name: str, difference: Tensor, size: Tensor, entry: Mapping[str, Any]) -> Iterator[Check]:
    """`size`: of the expected values. `atol` or `abs`, `rtol` or `rel` times each size and `rel_to_max` times
    the largest add up to what a value may be off; a share `max_bad_fraction` of the values, the worst, need
    not hold it. `mean_abs` bounds the mean over all, `abs_first_step` the first row."""
    absolute, relative = (entry.get(f"{letter}tol", entry.get(word, 0.0))
                          for letter, word in (("a", "abs"), ("r", "rel")))
    limit = absolute + entry.get("rel_to_max", 0.0) * size.max().item()
    excess = (difference - relative * size).clamp(min=0).flatten().sort(descending=True).values
    excused = int(entry.get("max_bad_fraction", 0.0) * excess.numel())
    yield Check(name, float("nan") if excess.isnan().any() else excess[excused].item(), limit)
    if "mean_abs" in entry:
        yield Check(f"{name}:mean", difference.mean().item(), entry["mean_abs"])
    if "abs_first_step" in entry:
        yield Check(f"{name}:first_step", difference[0].max().item(), entry["abs_first_step"])


def entry_for(name: str, tolerance: Mapping[str, Any]) -> Any:
    """What `tolerance` says of output `name` alone, of the pictures among the outputs, or of all others."""
    entry = by_pattern(tolerance, name)
    if entry is None and name.endswith("_u8") and "_u8 output:" in tolerance.get("note", ""):
        return tolerance["note"].partition("_u8 output:")[2].strip()
    if entry is None and name.endswith("_u8") and "u8" in tolerance:
        return step_clause(tolerance["u8"], name)
    if entry is None:
        return tolerance if "rel_to_max" in tolerance else tolerance.get("other")
    return entry


def compare(name: str, expected: Tensor, found: Tensor | None, tolerance: Mapping[str, Any],
            runs: Iterable[str] = ()) -> Iterator[Check]:
    """The checks of one output. `name` may end in `[variant]`; tolerances are looked up without it."""
    plain, tolerance = within_run(name.partition("[")[0], tolerance, runs)
    if found is None or found.shape != expected.shape:
        yield Check(name, float("inf"), 0.0)
        return
    difference = (found.detach().cpu().double() - expected.double()).abs()
    largest = difference.max().item() if difference.numel() else 0.0
    columns = column_limits(tolerance, plain)
    if columns:
        yield from compare_columns(name, difference, columns)
        return
    if any(fnmatch.fnmatchcase(plain, pattern) for pattern in tolerance.get("exact", ())):
        yield Check(name, largest, 0.0)
        return
    entry = entry_for(plain, tolerance)
    if isinstance(entry, str):                            # "exact, or at most 1 on at most 0.1 % of .."
        yield from compare_words(name, difference, entry)
        return
    if isinstance(entry, Mapping):                         # {"out.*": {"atol": A, "rtol": R}}
        yield from compare_entry(name, difference, expected.double().abs(), entry)
        return
    is_latent = "w_max_abs" in tolerance and re.match(r"out\.w(_|$)", plain) is not None
    limit = tolerance["w_max_abs"] if is_latent else by_pattern(tolerance.get("max_abs"), plain)
    yield Check(name, largest, float("nan") if limit is None else limit)
    mean = None if is_latent else by_pattern(tolerance.get("mean_abs"), plain)
    if mean is not None:
        yield Check(f"{name}:mean", difference.mean().item(), mean)
    share = re.search(r"at most ([\d.]+) % of values may differ", tolerance.get("note", ""))
    if share and plain.endswith("_u8"):
        above = (difference > 1).double().mean().item()
        yield Check(f"{name}:share_above_1", above, float(share[1]) / 100)


def load_module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def runners() -> dict[str, Callable[[Case], dict[str, Tensor]]]:
    """Base name -> runner, from every file in `golden_runners/`."""
    if "anyone" not in sys.modules:
        load_module("conftest", TESTS / "conftest.py")
    files = sorted((TESTS / "golden_runners").glob("*.py"))
    return {name: run for path in files
            for name, run in load_module(f"golden_{path.stem}", path).RUNNERS.items()}


def check_case(folder: Path) -> list[Check]:
    """All checks of one case folder. Raises ValueError for a base name without a runner."""
    case = Case(folder)
    runner = runners().get(case.name)
    if runner is None:
        known = ", ".join(sorted(runners()))
        raise ValueError(f"no runner for cases named {case.name!r}; there are: {known}.")
    with torch.no_grad():
        found = runner(case)
    names = [*case.expected, *(name for name in found if name not in case.expected)]
    return [check for name in names for check in compare(
        name, case.expected[name.partition("[")[0]], found.get(name), case.tolerance(),
        case.json.get("runs", ()))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs golden cases.")
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE_DIR")
    failed = 0
    for folder in parser.parse_args(arguments).cases:
        print(f"# {folder}", flush=True)
        try:
            checks = check_case(folder)
        except Exception as error:                                                 # the other cases still run
            traceback.print_exc()
            print(f"{folder.resolve().name} cannot run: {error} FAIL", flush=True)
            failed += 1
            continue
        failed += sum(not check.ok for check in checks)
        print(*checks, sep="\n", flush=True)
    print(f"# {failed} failed" if failed else "# all ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
