"""`python run.py train SYSTEM --data DIR... --out DIR (--budget 30m | --steps N)`.

A system can be trained when its folder has a `train.py` with `build(args, pool) -> Task`; an
`add_arguments(parser)` there adds the system's own options.
"""
from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import fields
from pathlib import Path

import torch

from ..runtime import Runtime, TerminalProgress
from .distributed import local_device
from .loop import train
from .options import Options, parse_budget, parse_size
from .pool import Pool


def systems() -> list[str]:
    """Names of the trainable systems."""
    return sorted(path.parent.name for path in Path(__file__).parent.parent.glob("*/train.py"))


class SystemParser(argparse.ArgumentParser):
    """Asks the system for its options only once it is the chosen one, so the others are not imported."""

    def parse_known_args(self, args=None, namespace=None):
        package = __package__.rpartition(".")[0]
        module = importlib.import_module(f"{package}.{self.prog.split()[-1]}.train")
        self.description = module.__doc__
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        self.set_defaults(build=module.build, pool=getattr(module, "POOL", Pool))
        _add_common(self)
        if hasattr(module, "add_arguments"):
            module.add_arguments(self)
        return super().parse_known_args(args, namespace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_subparsers(dest="system", required=True, metavar="SYSTEM",
                                   parser_class=SystemParser)
    for name in systems():
        chosen.add_parser(name)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="pools made by `run.py people` or `run.py pool`")
    add("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    add("--budget", type=argument(parse_budget), dest="seconds", metavar="TIME", help="90s, 30m, 1h30m")
    add("--steps", type=int, metavar="N", help="instead of --budget")
    add("--batch", type=int, default=32, metavar="N", help="pictures per step, over all processes (32)")
    add("--size", type=argument(parse_size), metavar="HxW", help="resize pictures; default: as stored")
    add("--bf16", action=argparse.BooleanOptionalAction, default=False, help="compute in bfloat16")
    add("--resume", action="store_true", help="continue the run in --out if there is one")
    add("--seed", type=int, default=0, metavar="N")
    add("--threads", type=int, metavar="N", help="CPU threads")
    add("--device", help="cpu, cuda, ...; default: the best at hand")
    add("--ema-images", type=float, metavar="N", help="half-life of the averaged weights (312.5 batches)")


def argument(parse):
    """`parse` as an argument's type, whose ValueError reaches the user."""
    def convert(text: str):
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return convert


def main(args: argparse.Namespace) -> int:
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        options = Options(**{field.name: getattr(args, field.name) for field in fields(Options)
                             if hasattr(args, field.name)})
        pool = args.pool(*args.data)
        torch.manual_seed(args.seed)                      # initial weights
        task = args.build(args, pool)
        runtime = Runtime(local_device(args.device), progress_class=TerminalProgress)
        weights = train(task, pool, options, runtime)
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{weights}", file=sys.stderr)
    return 0
