"""`run.py eval`: scores of what the systems make.

    python run.py eval images --real DIR --fake DIR
    python run.py eval detector [--weights NAME_OR_FILE] [--count 256] [--side 128]

To compare with figures of papers, compare at the size the network works in, with its own resized input and
not with the original photograph.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..checkpoints import load, load_as
from ..runtime import Runtime, TerminalProgress
from .folders import pair_up, score_pairs
from .scenes import SCENES, score_detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    images = subjects.add_parser(
        "images", help="two folders of pictures with the same names",
        description="SSIM, RMSE (0..1) and PSNR (dB), each the mean over the pairs, and the Fréchet distance "
                    "of the embedded detector's features, which compares only with itself.")
    images.add_argument("--real", type=Path, required=True, metavar="DIR", help="how the pictures should be")
    images.add_argument("--fake", type=Path, required=True, metavar="DIR", help="the pictures to judge")
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


def main(args: argparse.Namespace) -> int:
    return args.subject(args, Runtime(progress_class=TerminalProgress))


def _images(args: argparse.Namespace, runtime: Runtime) -> int:
    pairs = pair_up(args.real, args.fake)
    print(f"{'pairs':14}{len(pairs)}")
    for name, score in score_pairs(pairs, runtime).items():
        print(f"{name:14}{'needs two pairs or more' if math.isnan(score) else f'{score:.4f}'}")
    return 0


def _detector(args: argparse.Namespace, runtime: Runtime) -> int:
    path = Path(args.weights)
    net = load(path) if path.is_file() else load_as(args.weights, "detector", runtime)
    for number, scene in enumerate(SCENES):
        scores = score_detector(net, scene, count=args.count, side=args.side, runtime=Runtime(runtime.device))
        if not number:
            print("".join(f"{name:14}" for name in ("", *scores)).rstrip())
        print(f"{scene:14}" + "".join(f"{score:<14.3f}" for score in scores.values()).rstrip())
    return 0
