"""`run.py pool`: makes pools for `run.py train` out of published data sets and your own pictures.

Pictures with region maps:

    python run.py pool celebamask --from CelebAMask-HQ --out pools/faces
    python run.py pool ade20k --from ADEChallengeData2016 --out pools/scenes
    python run.py pool cityscapes --from cityscapes --split val --out pools/streets-val
    python run.py pool folder --from CelebA-HQ/train --out pools/faces
    python run.py pool folder --from mine --names background,dog,cat --unknown --out pools/mine

Pictures and nothing else, for StyleGAN2; in a folder for each class with --classes:

    python run.py pool pictures --from flowers --size 128x128 --out pools/flowers

People in several poses, for pose transfer. Market-1501 and DeepFashion need the annotations of Deformable GAN
beside them, market-annotation-train.csv or fasion-annotation-train.csv (so spelled). PG2's tf-record files
bring everything; joints in them are whole pixels:

    python run.py pool market --from data --out pools/market
    python run.py pool market --from data --split test --pictures Market/bounding_box_test --out pools/held
    python run.py pool deepfashion --from data --pictures In-shop/Img/img --out pools/fashion
    python run.py pool deepfashion --from data --size 128x64 --crop 40 --out pools/fashion-small
    python run.py pool pg2 --from Market1501_train_00000-of-00001.tfrecord --out pools/market
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
from .pair_sets import deepfashion, market
from .pg2_records import pg2
from .picture_sets import picture_folder

SHOWN = 20                                                # pictures left out that are listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.formatter_class = __doc__, argparse.RawDescriptionHelpFormatter
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    _add_region_maps(formats)
    _add_pictures(formats)
    _add_people(formats)


def _add_region_maps(formats: argparse._SubParsersAction) -> None:
    add = formats.add_parser
    faces = add("celebamask", help="CelebAMask-HQ: faces, 19 regions")
    faces.set_defaults(read=lambda args, runtime: celebamask(args.source))
    scenes = add("ade20k", help="ADEChallengeData2016: scenes, 150 regions and unknown")
    scenes.set_defaults(read=lambda args, runtime: ade20k(args.source, args.split))
    scenes.add_argument("--split", choices=("training", "validation"), default="training")
    streets = add("cityscapes", help="Cityscapes: streets, 35 regions")
    streets.set_defaults(read=lambda args, runtime: cityscapes(args.source, args.split))
    streets.add_argument("--split", choices=("train", "val"), default="train")
    folder = add("folder", help="pictures in images/, label maps of the same names in labels/")
    folder.set_defaults(read=lambda args, runtime: paired_folders(args.source, args.names, args.unknown))
    folder.add_argument("--names", type=argument(parse_names), default=FACE_REGIONS, metavar="A,B,C",
                        help="of the regions, in the order of their numbers (default: the 19 of faces)")
    folder.add_argument("--unknown", action="store_true", help="label 255 is one more region, the unknown")
    for sub in (faces, scenes, streets, folder):
        _add_common(sub, "256x512" if sub is streets else "256x256")


def _add_pictures(formats: argparse._SubParsersAction) -> None:
    pictures = formats.add_parser("pictures", help="any pictures, also in folders in the folder")
    pictures.set_defaults(read=lambda args, runtime: picture_folder(args.source, args.classes))
    pictures.add_argument("--classes", action="store_true",
                          help="folders in the folder are classes; networks learn to draw the one asked for")
    _add_common(pictures, "256x256", "what is cut out of the middle of pictures and resized")


def _add_people(formats: argparse._SubParsersAction) -> None:
    add = formats.add_parser
    streets = add("market", help="Market-1501 with Deformable GAN's annotations: people in several poses")
    streets.set_defaults(read=lambda args, runtime: market(args.source, args.split, args.pictures))
    fashion = add("deepfashion", help="DeepFashion in-shop with Deformable GAN's annotations: the same")
    fashion.set_defaults(read=lambda args, runtime: deepfashion(args.source, args.split, args.pictures,
                                                                args.crop))
    fashion.add_argument("--crop", type=int, default=0, metavar="PIXELS",
                         help="cut off at the left and at the right before stretching (published: 40 for "
                              "--size 128x64)")
    for sub in (streets, fashion):
        sub.add_argument("--split", choices=("train", "test"), default="train")
        sub.add_argument("--pictures", type=Path, metavar="DIR",
                         help="folder of the pictures, where it is not below --from")
    records = add("pg2", help="a tf-record file of PG2's data: the same")
    records.set_defaults(read=lambda args, runtime: pg2(args.source, runtime))
    for sub, size in ((streets, "128x64"), (fashion, "256x256"), (records, None)):
        _add_common(sub, size)


def _add_common(parser: argparse.ArgumentParser, size: str | None,
                fitted: str = "pictures are stretched to it") -> None:
    """`size`: None = as the data set has it. `fitted`: how pictures get it."""
    add = parser.add_argument
    add("--from", type=Path, required=True, dest="source", metavar="PATH",
        help="the data set: its folder as unpacked, or its one file")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the shards")
    add("--size", type=argument(parse_size), default=size and parse_size(size), metavar="HxW",
        help=f"{fitted} (default: {size or 'as stored'})")
    add("--count", type=int, metavar="N", help="only the first N pictures")
    add("--skip-broken", action="store_true", help="leave out pictures that cannot be read, and name them")


def main(args: argparse.Namespace) -> int:
    runtime = Runtime(progress_class=TerminalProgress)
    data = args.read(args, runtime)
    broken = write_pool(args.out, data, args.size or data.frame, runtime,
                        count=args.count, skip_broken=args.skip_broken)
    for reason in broken[:SHOWN]:
        print(f"left out: {reason}", file=sys.stderr)
    if len(broken) > SHOWN:
        print(f"... and {len(broken) - SHOWN} more", file=sys.stderr)
    return 0
