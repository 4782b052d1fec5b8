"""`run.py people`: draws procedural people.

    python run.py people --out runs/people --count 20000 --size 144x80 --format pool
    python run.py people --out people --count 12 --size 288x160 --format png
    python run.py people --out runs/pairs --count 20000 --size 128x64 --mode studio --views 4
    python run.py people --sheet people.png --count 40 --size 128x128 --mode studio
"""
from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..runtime import Runtime, TerminalProgress
from .pool import PoolSettings, write_pictures, write_pool
from .sheet import write_sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the data set")
    parser.add_argument("--format", choices=("pool", "png"), default="pool",
                        help="pool: shards for training; png: single pictures with label map and keypoints")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png",
                        help="write a contact sheet of the first 40 people")
    parser.add_argument("--count", type=int, default=40, help="how many people (default: 40)")
    parser.add_argument("--size", type=_size, default=(128, 128), metavar="HxW", help="default: 128x128")
    parser.add_argument("--mode", choices=("scene", "studio"), default="scene",
                        help="scene: backgrounds, bystanders, crops; studio: one person on a plain sweep")
    parser.add_argument("--first-id", type=int, default=0, metavar="K",
                        help="number of the first person (default: 0)")
    parser.add_argument("--views", type=int, metavar="N",
                        help="N pictures of every person, in other poses: for pose transfer")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another population (default: 0)")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 288x160, got {text!r}")
    return int(match[1]), int(match[2])


def main(args: argparse.Namespace) -> int:
    if not (args.out or args.sheet):
        raise ValueError("say where the people go: --out DIR, --sheet FILE.png, or both.")
    runtime = Runtime(progress_class=TerminalProgress)
    settings = PoolSettings(args.count, args.size, args.mode, args.first_id, args.seed,
                            args.views)
    if args.out:
        write = write_pool if args.format == "pool" else write_pictures
        write(args.out, settings, runtime)
    if args.sheet:
        write_sheet(args.sheet, settings.render(0, min(args.count, 40), runtime.device))
    return 0
