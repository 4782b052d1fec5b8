"""`run.py eval`: scores of what the systems make.

    python run.py eval images --real DIR --fake DIR [--labels DIR]
    python run.py eval detector [--weights NAME_OR_FILE] [--count 256] [--side 128]
    python run.py eval sean [--weights NAME_OR_FILE] [--count 256]
    python run.py eval stylegan [--weights NAME_OR_FILE] [--count 1000] [--drags 100] [--real DIR]
    python run.py eval stylegan --vgg FILE
    python run.py eval transfer [--weights NAME_OR_FILE] [--count 256]
    python run.py eval transfer --real DIR --fake DIR [--annotations CSV] [--pairs CSV]
    python run.py eval transfer --real test --fake out --annotations market-annotation-test.csv

To compare with figures of papers, compare at the size the network works in, with its own resized input and
not with the original photograph.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..checkpoints import LoadedNet, load, load_as
from ..perceptual import Lpips
from ..runtime import Runtime, TerminalProgress
from ..stylegan.journey import SETTINGS
from .dragging import score_dragging
from .folders import pair_up, score_pairs, score_regions
from .generators import feature_distance, folder_pictures, score_generator, studio_people
from .restyle import score_styler
from .scenes import SCENES, score_detector
from .transfer import score_transfer
from .transfer_folders import COLUMNS, list_cases, score_cases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.formatter_class = __doc__, argparse.RawDescriptionHelpFormatter
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for add in (_add_images, _add_detector, _add_sean, _add_stylegan, _add_transfer):
        add(subjects)


def _add_images(subjects: argparse._SubParsersAction) -> None:
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


def _add_detector(subjects: argparse._SubParsersAction) -> None:
    detector = subjects.add_parser(
        "detector", help="a detector on procedural people it was not trained on",
        description="Shares of visible and hidden joints within 5/128 of the picture's side, mean overlap of "
                    "people's masks and of the 12 regions: of scenes like those of training, and of cropped, "
                    "crowded and covered people alone.")
    _add_weights(detector, "detect-person")
    detector.add_argument("--count", type=int, default=256, help="pictures of each kind (default: 256)")
    detector.add_argument("--side", type=int, default=128, help="of the pictures, in pixels (default: 128)")
    detector.set_defaults(subject=_detector)


def _add_sean(subjects: argparse._SubParsersAction) -> None:
    sean = subjects.add_parser(
        "sean", help="a styler on procedural people it was not trained on",
        description="The columns of the paper's tables for pictures drawn anew, and how far the colours of "
                    "regions are from those of the person whose style they were given.")
    _add_weights(sean, "sean-person")
    sean.add_argument("--count", type=int, default=256, help="how many people (default: 256)")
    sean.set_defaults(subject=_sean)


def _add_stylegan(subjects: argparse._SubParsersAction) -> None:
    stylegan = subjects.add_parser(
        "stylegan", help="a generator's pictures, how orderly its latents are, how well it is dragged",
        description="The Fréchet distance from real pictures, perceptual path length in w at the ends, as of "
                    "StyleGAN2, and linear separability in z and w. Papers measure the first with Inception, "
                    "the second with LPIPS (--vgg) and 50000 pairs, and the third with forty classifiers of "
                    "faces; here the embedded detector takes the place of each, and such scores compare only "
                    "with each other. Then joints of drawn people are dragged to new places: how many pixels "
                    "away they were, and where they end by the tracked handle and by the detector.")
    _add_weights(stylegan, "stylegan-person")
    stylegan.add_argument("--count", type=int, default=1000,
                          help="how many pictures and pairs of latents (default: 1000)")
    stylegan.add_argument("--real", type=Path, metavar="DIR",
                          help="folder of the real pictures, of which the first are taken; by default "
                               "procedural people like those of the embedded weights")
    stylegan.add_argument("--drags", type=int, default=100, help="joints to drag (default: 100)")
    stylegan.add_argument("--learning-rate", type=float, default=SETTINGS.learning_rate, metavar="X",
                          help=f"of dragging (default: {SETTINGS.learning_rate})")
    stylegan.add_argument("--vgg", type=Path, metavar="FILE",
                          help="the lpips package's network for VGG, or torchvision's VGG-16")
    stylegan.set_defaults(subject=_stylegan)


def _add_transfer(subjects: argparse._SubParsersAction) -> None:
    transfer = subjects.add_parser(
        "transfer", help="pose transfer: a network on procedural people, or folders of any system's pictures",
        description="A network: how near its pictures come to the real ones (copied: the source itself "
                    "instead), whether the embedded detector finds the wanted pose in them, and whether the "
                    "clothes keep their colours. Folders: the columns of the papers' tables, as Deformable "
                    "GAN and as PG2 measure, both masked by the pose of the real picture. IS needs the "
                    "Inception network, which does not come with the pack; without it, and always instead of "
                    "SSD's detection score, is_detector and ds_detector are made the same way from what the "
                    "embedded detector sees, and compare only with each other.")
    _add_weights(transfer, "deformable-person")
    add = transfer.add_argument
    add("--count", type=int, default=256, help="how many procedural people to redraw (default: 256)")
    add("--fake", type=Path, metavar="DIR", help="generated pictures to judge, instead of a network")
    add("--real", type=Path, metavar="DIR", help="pictures they should be like, of the same names")
    add("--annotations", type=Path, metavar="CSV",
        help="joints of the real pictures, name:keypoints_y:keypoints_x, for the masked columns")
    add("--pairs", type=Path, metavar="CSV",
        help="from,to: the generated picture is named FROM_TO and should be like the real one named TO")
    add("--inception", metavar="NAME_OR_FILE",
        help="the Inception v3 of 2015, pt_inception-2015-12-05-6726825d.pth, for IS as published")
    transfer.set_defaults(subject=_transfer)


def _add_weights(parser: argparse.ArgumentParser, embedded: str) -> None:
    parser.add_argument("--weights", default=embedded, metavar="NAME_OR_FILE",
                        help="the embedded ones by default")


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


def _stylegan(args: argparse.Namespace, runtime: Runtime) -> int:
    net, features = _net(args.weights, "generator", runtime), Lpips.vgg16(args.vgg) if args.vgg else None
    quiet = Runtime(runtime.device)
    real = folder_pictures(net, args.real, args.count) if args.real else studio_people(net, args.count)
    scores = {"fid_detector": feature_distance(net, real, runtime=quiet)}
    scores |= score_generator(net, count=args.count, features=features, runtime=quiet)
    scores |= score_dragging(net, count=args.drags, learning_rate=args.learning_rate, runtime=runtime)
    for name, score in scores.items():
        print(f"{name:16}{_cell(score)}")
    return 0


def _transfer(args: argparse.Namespace, runtime: Runtime) -> int:
    if args.fake or args.real:
        return _transfer_folders(args, runtime)
    net = _net(args.weights, "transfer", runtime)
    for name, score in score_transfer(net, count=args.count, runtime=runtime).items():
        print(f"{name:16}{score:.4f}")
    return 0


def _transfer_folders(args: argparse.Namespace, runtime: Runtime) -> int:
    if not (args.fake and args.real):
        raise ValueError("Folders are compared two at a time: --real DIR --fake DIR.")
    cases = list_cases(args.real, args.fake, args.annotations, args.pairs)
    inception = _net(args.inception, "classifier", runtime) if args.inception else None
    rows = score_cases(cases, runtime, inception)
    columns = [column for column in COLUMNS if any(column in scores for scores in rows.values())]
    print(f"{len(cases)} pairs\n{'':16}" + "".join(f"{column:>18}" for column in columns))
    for row, scores in rows.items():
        print(f"{row:16}" + "".join(f"{_cell(scores.get(column)):>18}" for column in columns))
    return 0


def _cell(score: float | None) -> str:
    return "-" if score is None or math.isnan(score) else f"{score:.4f}"


def _detector(args: argparse.Namespace, runtime: Runtime) -> int:
    net = _net(args.weights, "detector", runtime)
    for number, scene in enumerate(SCENES):
        scores = score_detector(net, scene, count=args.count, side=args.side, runtime=Runtime(runtime.device))
        if not number:
            print("".join(f"{name:14}" for name in ("", *scores)).rstrip())
        print(f"{scene:14}" + "".join(f"{score:<14.3f}" for score in scores.values()).rstrip())
    return 0
