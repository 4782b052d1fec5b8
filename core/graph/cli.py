"""`run.py run`: runs a workflow file here, or on a ComfyUI server.

    python run.py run workflows/inpaint_person.json --input photos/astronaut.png --output results
    python run.py run workflows/inpaint_person.json --set "Inpaint Person.seed=7" --set 6.filename_prefix=mine
    python run.py run workflows/inpaint_person.json --input photos --batch
    python run.py run workflows/inpaint_person.json --server http://127.0.0.1:8188
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from ..runtime import Runtime, TerminalProgress
from . import workflow
from .batch import pointed_at, prompts_for
from .outcome import LocalRunner, Outcome, Runner
from .workflow import Prompt


class FolderRuntime(Runtime):
    """The default runtime with chosen folders; models are looked for below the current folder."""

    def __init__(self, device: str | None, **folders: Path) -> None:
        super().__init__(device, progress_class=TerminalProgress)
        self._folders = folders

    def folder(self, kind: str) -> Path:
        return self._folders.get(kind) or super().folder(kind)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a workflow in API or interface format")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="values",
                        help="change an input; NODE is an id, or a title or class name only one node has")
    parser.add_argument("--input", type=Path, metavar="PATH",
                        help="a picture to run on, or the folder to read from; when the folder lacks the "
                             "workflow's picture, every picture in it is run "
                             "(default: input/ beside FILE, else input/ here)")
    parser.add_argument("--batch", action="store_true",
                        help="run on every picture of the input folder in any case")
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR",
                        help="where results go (default: output)")
    parser.add_argument("--server", metavar="URL", help="run on this ComfyUI server instead of here")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the best there is")
    parser.add_argument("--json", action="store_true",
                        help="print results and errors as JSON, one line per run")


def main(args: argparse.Namespace) -> int:
    document = workflow.read(args.file)
    picture = args.input if args.input and args.input.is_file() else None
    source = picture.parent if picture else args.input or _default_input(args.file)
    if args.input and not source.is_dir():
        raise FileNotFoundError(f"There is no folder or picture {args.input} (--input).")
    with tempfile.TemporaryDirectory(prefix="anyone-") as temp:
        runtime = FolderRuntime(args.device, input=source, output=args.output, temp=Path(temp))
        runner = _runner(args, runtime)
        prompt = _prompt(document, args.values, runner.info())
        prompts = {"": prompt}
        if picture:
            prompts = {picture.name: pointed_at(prompt, picture.name)}
        elif args.input or args.batch:
            prompts = prompts_for(prompt, source, args.batch)
        return _run_all(runner, prompts, workflow.extra_pnginfo(document), runtime, args.json)


def _prompt(document: Mapping[str, Any], settings: Iterable[str], info: Mapping[str, Any]) -> Prompt:
    prompt = workflow.to_prompt(document, info)
    for setting in settings:
        target, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting} lacks a value; write NODE.INPUT=VALUE.")
        workflow.set_value(prompt, target, value, info)
    return prompt


def _default_input(file: Path) -> Path:
    beside = file.parent / "input"
    return beside if beside.is_dir() else Path("input")


def _runner(args: argparse.Namespace, runtime: Runtime) -> Runner:
    if args.server:
        from .server import ServerRunner

        return ServerRunner(args.server, runtime)
    from .core_nodes import CORE_NODES

    return LocalRunner([*CORE_NODES, *args.pack_nodes()], runtime)


def _run_all(runner: Runner, prompts: Mapping[str, Prompt], extra_pnginfo: Mapping[str, Any],
             runtime: Runtime, as_json: bool) -> int:
    """Goes on after a failure and lists all failures at the end."""
    failures: dict[str, list[str]] = {}
    for name, prompt in prompts.items():
        display = _Display(prompt, runtime)
        try:
            outcome = runner.run(prompt, extra_pnginfo, display)
        except (ValueError, OSError) as error:
            outcome = Outcome(prompt, {"error": _as_error(error), "node_errors": {}})
        display.finish(not outcome.problems())
        if as_json:
            print(json.dumps({"input": name, **outcome.as_json()}, default=str))
        else:
            _print(outcome)
        if problems := outcome.problems():
            failures[name] = problems
    _print_failures(failures, len(prompts))
    return 1 if failures else 0


def _as_error(error: Exception) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": str(error), "details": "", "extra_info": {}}


def _print(outcome: Outcome) -> None:
    for name, text in outcome.texts():
        print(f"{name}: {shorten(text, 200, placeholder=' …')}")
    for path in outcome.saved:
        print(path)


def _print_failures(failures: Mapping[str, list[str]], count: int) -> None:
    if count > 1 and failures:
        print(f"{len(failures)} of {count} failed:", file=sys.stderr)
    for name, problems in failures.items():
        for problem in problems:
            print(f"error: {name}: {problem}" if count > 1 else f"error: {problem}", file=sys.stderr)


class _Display:
    """One bar over the nodes of a prompt; a node that counts its steps has a bar of its own."""

    def __init__(self, prompt: Prompt, runtime: Runtime) -> None:
        self.prompt, self.runtime = prompt, runtime
        self.bar = self.steps = runtime.progress(len(prompt))
        self.started: set[str] = set()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event == "execution_cached":
            self.started.update(data["nodes"])
        elif event == "executing" and data["node"] in self.prompt:
            node = self.prompt[data["node"]]
            self.bar.label = node.get("_meta", {}).get("title", node["class_type"])
            self.bar.done = min(len(self.started), self.bar.total - 1)
            self.bar.show(None)
            self.steps = self.bar
            self.started.add(data["node"])
        elif event == "progress":  # from a server; here the nodes draw their own bars
            if self.steps is self.bar:
                self.steps = self.runtime.progress(int(data["max"]), self.bar.label)
            self.steps.done = min(int(data["value"]), self.steps.total)
            self.steps.show(None)

    def finish(self, success: bool) -> None:
        """Leaves a full bar, or the unfinished one where something failed, and ends its line."""
        if success:
            self.bar.label = "done"
            self.bar.update(self.bar.total)
        elif self.started:
            print(file=sys.stderr)
