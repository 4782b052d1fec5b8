"""`run.py eval`: scores of what the systems make.

    python run.py eval images --real DIR --fake DIR [--labels DIR]
    python run.py eval detector [--weights NAME_OR_FILE] [--count 256] [--side 128]
    python run.py eval sean [--weights NAME_OR_FILE] [--count 256]

To compare with figures of papers, compare at the size the network works in, with its own resized input and
not with the original photograph.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..checkpoints import LoadedNet, load, load_as
from ..runtime import Runtime, TerminalProgress
from .folders import pair_up, score_pairs, score_regions
from .restyle import score_styler
from .scenes import SCENES, score_detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    images = subjects.add_parser(
        "images", help="two folders of pictures with the same names",
        description="SSIM, RMSE (0..1) and PSNR (dB), each the mean over the pairs, and the Fréchet distance "
                    "of the embedded detector's features, which compares only with itself.")
    images.add_argument("--real", type=Path, required=True, metavar="DIR", help="how the pictures should be")
    images.add_argument("--fake", type=Path, required=True, metavar="DIR", help="the pictures to judge")
    images.add_argument("--labels", type=Path, metavar="DIR",
                        help="label maps of the 12 person regions: also mIoU and pixel accuracy of what the "
                             "embedded detector sees in the fake pictures")
    images.set_defaults(subject=_images)
    detector = subjects.add_parser(
        "detector", help="a detector on procedural people it was not trained on",
        description="Shares of visible and hidden joints within 5/128 of the picture's side, mean overlap of "
                    "people's masks and of the 12 regions: of scenes like those of training, and of cropped, "
                    "crowded and covered people alone.")
    detector.add_argument("--weights", default="detect-person", metavar="NAME_OR_FILE",
                          help="the embedded ones by default")
    detector.add_argument("--count", type=int, default=256, help="pictures of each kind (default: 256)")
    detector.add_argument("--side", type=int, default=128, help="of the pictures, in pixels (default: 128)")
    detector.set_defaults(subject=_detector)
    sean = subjects.add_parser(
        "sean", help="a styler on procedural people it was not trained on",
        description="The columns of the paper's tables for pictures drawn anew, and how far the colours of "
                    "regions are from those of the person whose style they were given.")
    sean.add_argument("--weights", default="sean-person", metavar="NAME_OR_FILE",
                      help="the embedded ones by default")
    sean.add_argument("--count", type=int, default=256, help="how many people (default: 256)")
    sean.set_defaults(subject=_sean)


def main(args: argparse.Namespace) -> int:
    return args.subject(args, Runtime(progress_class=TerminalProgress))


def _images(args: argparse.Namespace, runtime: Runtime) -> int:
    pairs = pair_up(args.real, args.fake)
    print(f"{'pairs':16}{len(pairs)}")
    scores = score_pairs(pairs, runtime)
    if args.labels:
        scores |= score_regions(pairs, args.labels, runtime)
    for name, score in scores.items():
        print(f"{name:16}{'needs two pairs or more' if math.isnan(score) else f'{score:.4f}'}")
    return 0


def _net(weights: str, role: str, runtime: Runtime) -> LoadedNet:
    return load(Path(weights)) if Path(weights).is_file() else load_as(weights, role, runtime)


def _sean(args: argparse.Namespace, runtime: Runtime) -> int:
    net = _net(args.weights, "styler", runtime)
    for name, score in score_styler(net, count=args.count, runtime=Runtime(runtime.device)).items():
        print(f"{name:16}{score:.4f}")
    return 0


def _detector(args: argparse.Namespace, runtime: Runtime) -> int:
    net = _net(args.weights, "detector", runtime)
    for number, scene in enumerate(SCENES):
        scores = score_detector(net, scene, count=args.count, side=args.side, runtime=Runtime(runtime.device))
        if not number:
            print("".join(f"{name:14}" for name in ("", *scores)).rstrip())
        print(f"{scene:14}" + "".join(f"{score:<14.3f}" for score in scores.values()).rstrip())
    return 0
