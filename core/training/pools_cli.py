"""`run.py pool`: makes pools for `run.py train` out of data sets of pictures with region maps.

    python run.py pool celebamask --from CelebAMask-HQ --out pools/faces
    python run.py pool ade20k --from ADEChallengeData2016 --out pools/scenes
    python run.py pool cityscapes --from cityscapes --split val --out pools/streets-val
    python run.py pool folder --from CelebA-HQ/train --out pools/faces
    python run.py pool folder --from mine --names background,dog,cat --unknown --out pools/mine
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..regions import FACE_REGIONS
from ..runtime import Runtime, TerminalProgress
from .cli import argument
from .datasets import ade20k, celebamask, cityscapes, paired_folders, write_pool
from .labels import parse_names
from .options import parse_size

SHOWN = 20                                                # pictures left out that are listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    add = formats.add_parser
    faces = add("celebamask", help="CelebAMask-HQ: faces, 19 regions")
    faces.set_defaults(read=lambda args: celebamask(args.source))
    scenes = add("ade20k", help="ADEChallengeData2016: scenes, 150 regions and unknown")
    scenes.set_defaults(read=lambda args: ade20k(args.source, args.split))
    scenes.add_argument("--split", choices=("training", "validation"), default="training")
    streets = add("cityscapes", help="Cityscapes: streets, 35 regions")
    streets.set_defaults(read=lambda args: cityscapes(args.source, args.split))
    streets.add_argument("--split", choices=("train", "val"), default="train")
    folder = add("folder", help="pictures in images/, label maps of the same names in labels/")
    folder.set_defaults(read=lambda args: paired_folders(args.source, args.names, args.unknown))
    folder.add_argument("--names", type=argument(parse_names), default=FACE_REGIONS, metavar="A,B,C",
                        help="of the regions, in the order of their numbers (default: the 19 of faces)")
    folder.add_argument("--unknown", action="store_true", help="label 255 is one more region, the unknown")
    for sub in (faces, scenes, streets, folder):
        _add_common(sub, "256x512" if sub is streets else "256x256")


def _add_common(parser: argparse.ArgumentParser, size: str) -> None:
    add = parser.add_argument
    add("--from", type=Path, required=True, dest="source", metavar="DIR", help="the data set as unpacked")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the shards")
    add("--size", type=argument(parse_size), default=parse_size(size), metavar="HxW",
        help=f"pictures are stretched to it (default: {size})")
    add("--count", type=int, metavar="N", help="only the first N pictures")
    add("--skip-broken", action="store_true", help="leave out pictures that cannot be read, and name them")


def main(args: argparse.Namespace) -> int:
    broken = write_pool(args.out, args.read(args), args.size, Runtime(progress_class=TerminalProgress),
                        count=args.count, skip_broken=args.skip_broken)
    for reason in broken[:SHOWN]:
        print(f"left out: {reason}", file=sys.stderr)
    if len(broken) > SHOWN:
        print(f"... and {len(broken) - SHOWN} more", file=sys.stderr)
    return 0
