"""`run.py models`: which weights there are, where they lie, and what a file is.

    python run.py models list
    python run.py models where
    python run.py models fetch NAME
    python run.py models check [FILE ...]
    python run.py models convert IN OUT.safetensors [--half]
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from ..files import file_digest
from ..runtime import Runtime, TerminalProgress
from .catalog import CATALOG, entry
from .converted import write_weights
from .fetch import fetch
from .find import embedded, model_files, published_file, resolve
from .load import load
from .read import read
from .recognise import recognise

LONGEST_NOTE = 60                                         # characters; longer texts of a header are not shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the published weights the pack can load").set_defaults(action=_list)
    actions.add_parser("where", help="the model folders and what lies in them").set_defaults(action=_where)
    fetch_parser = actions.add_parser("fetch", help="download published weights into the model folder")
    fetch_parser.add_argument("name", help="a name of `models list`")
    fetch_parser.set_defaults(action=_fetch)
    check_parser = actions.add_parser("check", help="load weights and say what they are")
    check_parser.add_argument("files", nargs="*", type=Path,
                              help="default: the embedded weights and the files in the model folders")
    check_parser.set_defaults(action=_check)
    convert_parser = actions.add_parser("convert", help="write any readable weights as safetensors")
    convert_parser.add_argument("source", type=Path, metavar="IN")
    convert_parser.add_argument("target", type=Path, metavar="OUT.safetensors")
    convert_parser.add_argument("--half", action="store_true",
                                help="float16 where no value is too large for it")
    convert_parser.set_defaults(action=_convert)
    for sub in actions.choices.values():
        sub.add_argument("--root", type=Path, default=Path("."), metavar="DIR",
                         help="the folder that holds models/anyone, such as ComfyUI (default: here)")


def main(args: argparse.Namespace) -> int:
    return args.action(args, Runtime(root=args.root, progress_class=TerminalProgress))


def _list(args: argparse.Namespace, runtime: Runtime) -> int:
    rows = [("name", "role", "status", "size", "commercial", "licence", "what")]
    for row in CATALOG:
        status = "here" if published_file(row, runtime) else row.status
        rows.append((row.name, row.role, status, row.megabytes or "-", row.commercial, row.licence,
                     row.title))
    _print_table(rows)
    return 0


def _where(args: argparse.Namespace, runtime: Runtime) -> int:
    for name, path in embedded().items():
        print(f"{name}: {path}")
    for folder in runtime.model_folders():
        print(f"{folder.resolve()}{'' if folder.is_dir() else ' (not there yet)'}")
    for name in model_files(runtime):
        known = [row.title for row in CATALOG if {name, Path(name).name}.intersection(row.files)]
        print("  " + ": ".join([name, *known]))
    return 0


def _fetch(args: argparse.Namespace, runtime: Runtime) -> int:
    path = fetch(entry(args.name), runtime)
    print(f"{args.name}: {path}, sha256 {file_digest(path, 'sha256')}")
    return 0


def _check(args: argparse.Namespace, runtime: Runtime) -> int:
    own = [*embedded().values(), *(resolve(name, "model", runtime) for name in model_files(runtime))]
    reports = [check(path) for path in args.files or own]
    for good, text in reports:
        print(("ok    " if good else "FAIL  ") + text)
    return 0 if all(good for good, _ in reports) else 1


def check(path: Path) -> tuple[bool, str]:
    """Loads a file; whether it is good, and one line about it."""
    try:
        net = load(path)
    except (ValueError, FileNotFoundError) as error:
        return False, str(error)
    digests = {f"{algorithm}:{file_digest(path, algorithm)}" for algorithm in ("md5", "sha256")}
    published = [f"published as {row.name}" for row in CATALOG if row.digest in digests]
    _, state = recognise(read(path))
    numbers = f"{sum(tensor.numel() for tensor in state.values()):,} numbers in {len(state)} tensors"
    notes = [f"{key} {value}" for key, value in net.metadata.items() 
             if len(value) <= LONGEST_NOTE]
    return True, ", ".join([f"{path.name}: {net.system.title}", numbers, *notes, *published])


def _convert(args: argparse.Namespace, runtime: Runtime) -> int:
    print(f"{args.target}: {convert(args.source, args.target, half=args.half)}")
    return 0


def convert(source: Path, target: Path, *, half: bool = False) -> str:
    """Writes the weights a system needs, and nothing else of the file, as safetensors.

    Returns the system's title. The header says which system and which file they are of. Raises ValueError
    when they could not be loaded.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"{target} should end in .safetensors.")
    net = load(source)                                    # strict: what is written can be loaded
    _, state = recognise(read(source))                    # as it is in the file
    metadata = {"source": source.name, **net.metadata, "system": net.system.name}
    write_weights(target, {key: _halved(value) if half else value.clone() for key, value in state.items()},
                  metadata)
    return net.system.title


def _halved(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if tensor.is_floating_point() and half.isfinite().all() else tensor


def _print_table(rows: Sequence[Iterable[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
