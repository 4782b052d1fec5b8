"""Times plain against fast networks and pose geometry, detectors, procedural people, the pack's import.

    python run.py bench                 the tables of docs/benchmark.md
    python run.py bench --quick --json  two rounds instead of five, for machines

Plain and fast forms run alternately in one process, together with one large convolution that stands for what
the machine can do at best. Times are CPU-seconds, which shared machines disturb least; each is a median over
the rounds, and so are the ratios, taken round by round.
"""
from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .bench_detectors import detector_readings
from .bench_drag import drag_memory, drag_steps, drawings
from .bench_transfers import transfer_networks
from .checkpoints import embedded, read
from .detect.network import SIDE, Detector
from .runtime import Progress, Runtime, TerminalProgress
from .sean.fast import FastGenerator as FastStyler
from .sean.network import Config as StylerConfig
from .sean.network import Encoder, nearest, to_mask
from .sean.network import Generator as Styler
from .synthetic import render_people
from .triagan.fast import FastGenerator
from .triagan.network import Config, Generator
from .triagan.pose_input import joint_map, network_input
from .triagan.weights import read_generator
from .triagan.weights import select as triagan_state

Job = Callable[[], object]
PEOPLE_SIZES = (64, 128, 256)
IMPORT = """
import importlib.util, sys, time
import torch, numpy
start, root = time.process_time(), sys.argv[1]
spec = importlib.util.spec_from_file_location("anyone", root + "/__init__.py",
                                              submodule_search_locations=[root])
sys.modules["anyone"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["anyone"])
import anyone.nodes
print(time.process_time() - start)
"""


@dataclass(frozen=True)
class Timing:
    """One network in one form.

    `seconds`: of CPU time for one picture. `of_plain`: those over the plain form's. `of_ceiling`: the plain
    form's multiply-adds per CPU-second of this form, over what a large convolution reaches.
    """

    network: str
    form: str
    threads: int
    gmac: float
    seconds: float
    of_plain: float
    of_ceiling: float


def large_convolution() -> Job:
    """3x3, 256 channels, 128x128 pixels: 9.7 GMAC."""
    x, weight = torch.randn(1, 256, 128, 128), torch.randn(256, 256, 3, 3) / 48
    return lambda: F.conv2d(x, weight, padding=1)


def macs(job: Job) -> int:
    """Multiply-adds of one call: convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        job()
    return counter.get_total_flops() // 2


def alternate(jobs: Mapping[str, Job], rounds: int, progress: Progress) -> dict[str, list[float]]:
    """CPU-seconds of each job in each round, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name].append(time.process_time() - start)
            progress.update()
    return {name: series[1:] for name, series in times.items()}


def median_ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def time_network(network: str, forms: Mapping[str, Job], rounds: int, runtime: Runtime) -> Iterator[Timing]:
    """`forms`: name -> one picture. The first is the plain form; its multiply-adds count for all of them."""
    ceiling, plain = large_convolution(), next(iter(forms))
    work, ceiling_work = macs(forms[plain]), macs(ceiling)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        progress = runtime.progress((rounds + 1) * (len(forms) + 1), f"{network} x{threads}")
        times = alternate({**forms, "ceiling": ceiling}, rounds, progress)
        for form in forms:
            rate = median_ratio(times["ceiling"], times[form]) * work / ceiling_work
            yield Timing(network, form, threads, work / 1e9, statistics.median(times[form]),
                         median_ratio(times[form], times[plain]), rate)


def person_planes(config: Config) -> Tensor:
    """What a network sees of one person: a hole with 17 joints in it, [1,30,H,W]."""
    height, width = config.height, config.width
    keep = torch.ones(1, 1, height, width)
    keep[..., height // 8:-height // 8, width // 8:-width // 8] = 0
    keypoints = torch.cat([torch.rand(1, 17, 2) * 0.6 + 0.2, torch.ones(1, 17, 1)], 2)
    picture = keep * (torch.rand(1, 3, height, width) * 2 - 1)
    return network_input(picture, keep, keep, keypoints, joint_map(keypoints, height, width))


def triagan_forms(generator: Generator) -> dict[str, Job]:
    planes, w = person_planes(generator.config), torch.randn(1, generator.config.w)
    fast = FastGenerator(generator)
    return {"plain": lambda: generator(planes, w), "fast": lambda: fast(planes, w),
            "fast, bf16": lambda: fast(planes, w, half=True)}


def draw_face(size: int) -> Tensor:
    """[1,size,size] labels 0..18: a face of ellipses, with about as many neighbourhoods as a real one."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size) for _ in range(2)), indexing="ij")
    face = torch.zeros(size, size, dtype=torch.long)
    #         label, x, y, half width, half height; in the order of painting
    for label, cx, cy, rx, ry in ((18, 0, 1.1, 1, .4), (13, 0, -.15, .62, .75), (17, 0, .6, .25, .4),
                                  (1, 0, 0, .48, .65), (8, .48, 0, .07, .15), (9, -.48, 0, .07, .15),
                                  (2, 0, .12, .1, .2), (4, .2, -.1, .09, .05), (5, -.2, -.1, .09, .05),
                                  (6, .2, -.22, .13, .03), (7, -.2, -.22, .13, .03), (10, 0, .4, .14, .04),
                                  (11, 0, .37, .15, .03), (12, 0, .44, .15, .04), (15, .5, .16, .03, .05)):
        face[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = label
    return face[None]


def styler_networks() -> Iterator[tuple[str, dict[str, Job]]]:
    """SEAN as published for faces, in three situations."""
    plain = Styler(StylerConfig()).initialise().eval()
    fast = FastStyler(plain)
    labels, picture = draw_face(256), torch.rand(1, 3, 256, 256) * 2 - 1
    mask, codes = to_mask(labels, plain.config.labels), torch.rand(2, 1, 19, 512) * 2 - 1
    turn = itertools.cycle(codes)

    def with_new_mask() -> Tensor:
        fast.forget()
        return fast(labels, codes[0])

    yield "SEAN encoder 256x256", {"plain": lambda: pool_by_region(plain.Zencoder, picture, mask),
                                   "fast": lambda: fast.encode(picture, labels)}
    yield "SEAN 256x256, new mask", {"plain": lambda: plain(labels, codes[0]), "fast": with_new_mask}
    yield "SEAN 256x256, new styles", {"plain": lambda: plain(labels, codes[0]),
                                       "fast": lambda: fast(labels, next(turn))}


def pool_by_region(encoder: Encoder, picture: Tensor, mask: Tensor) -> Tensor:
    """The style encoder in the words of the paper: region by region the mean of the features there."""
    features = encoder.features(picture)[0]                                        # [S,h,w]
    covered = nearest(mask, (features.shape[1], features.shape[2]))[0] != 0        # [R,h,w]
    rows = [features.masked_select(region).view(len(features), -1).mean(1) if region.any() else
            features.new_zeros(len(features)) for region in covered]
    return torch.stack(rows)


def networks() -> Iterator[tuple[str, dict[str, Job]]]:
    """Name -> its forms. Random weights are as slow as any."""
    yield "TriA-GAN 288x160", triagan_forms(Generator(Config()).initialise().eval())
    if "triagan-person" in embedded():
        contents = read(embedded()["triagan-person"])
        generator = read_generator(triagan_state(contents.tree) or {}, contents.metadata)
        yield "TriA-GAN, embedded", triagan_forms(generator)
    yield from styler_networks()
    yield from transfer_networks()
    yield from drawings()
    yield from drag_steps()
    detector, picture = Detector().eval(), torch.rand(1, 3, SIDE, SIDE)
    yield f"Detector {SIDE}x{SIDE}", {"plain": lambda: detector(picture)}


def people_per_second(size: int, seconds: float) -> float:
    """Procedural people in scene mode per CPU-second, one thread, in batches as the trainer draws them."""
    torch.set_num_threads(1)
    batch = max(1, 32 * 64**2 // size**2)
    render_people(torch.arange(batch), size, size)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        render_people(torch.arange(count, count + batch), size, size)
        count += batch
    return count / (time.process_time() - start)


def import_seconds(rounds: int) -> float:
    """CPU-seconds for the pack and its nodes, in new interpreters that have torch and numpy already.

    Compiled files are allowed, as they are for users, whatever this environment says.
    """
    command = [sys.executable, "-c", IMPORT, str(Path(__file__).resolve().parent.parent)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return statistics.median(
        float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for _ in range(max(3, rounds)))


def measure(rounds: int, runtime: Runtime) -> dict[str, list[dict[str, object]]]:
    """All tables: title -> rows."""
    timings = [asdict(timing) for name, forms in networks()
               for timing in time_network(name, forms, rounds, runtime)]
    people = [{"size": f"{size}x{size}", "per_cpu_second": people_per_second(size, rounds)}
              for size in PEOPLE_SIZES]
    torch.set_num_threads(1)
    readings = [asdict(reading) for reading in detector_readings(rounds, runtime)]
    return {"networks": timings, "drag memory": drag_memory(), "detectors": readings,
            "procedural people": people,
            "import": [{"cpu_seconds_beyond_torch_and_numpy": import_seconds(rounds)}]}


def markdown(rows: list[dict[str, object]]) -> str:
    def cell(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [[name.replace("_", " ") for name in rows[0]], ["---"] * len(rows[0])]
    lines += [[cell(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="two rounds instead of five")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown tables")


@torch.no_grad()
def main(args: argparse.Namespace) -> int:
    tables = measure(2 if args.quick else 5, Runtime("cpu", progress_class=TerminalProgress))
    if args.json:
        print(json.dumps(tables, indent=2))
    else:
        print("\n\n".join(markdown(rows) for rows in tables.values()))
    return 0
