"""How many pictures a second each detector reads, how much of that is not the network, what a crowd costs."""
from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .checkpoints import LoadedNet, embedded, load
from .detectors import detect_people
from .openpose.decode import LIMBS, decode
from .openpose.infer import look
from .openpose.network import BodyNet
from .runtime import Runtime
from .synthetic import render_people, sample_pose
from .vitpose.infer import estimate_poses
from .vitpose.weights import SYSTEM as VITPOSE

CROWD = 30
# Somebody of height 1 whose neck is at (0, 0), facing us: x, y of the 18 joints.
STANDING = torch.tensor([
    (0, -.12), (0, 0), (-.1, 0), (-.13, .17), (-.14, .32), (.1, 0), (.13, .17), (.14, .32), (-.07, .3),
    (-.08, .53), (-.08, .76), (.07, .3), (.08, .53), (.08, .76), (-.02, -.15), (.02, -.15), (-.05, -.13),
    (.05, -.13)])


@dataclass(frozen=True)
class Reading:
    """One kind of picture read by one detector, on one thread. Times are CPU-seconds.

    `people`: found. `per_second`: pictures. `beside_network`: share of the time that is not the network.
    `of_one_pass`: the time over that of the network seeing the picture (ViTPose: one person) once.
    """

    detector: str
    picture: str
    people: int
    per_second: float
    beside_network: float
    of_one_pass: float


def time_reading(detector: str, picture: str, net: nn.Module, read: Callable[[], int], rounds: int,
                 one_pass: Callable[[], object]) -> Reading:
    """`read` looks at one picture with `net` and says how many people it found."""
    watch = Stopwatch(net)
    found = read()
    totals, inside, passes = [], [], []
    for _ in range(rounds):
        totals.append(watch.time(read))
        inside.append(watch.seconds)
        watch.time(one_pass)
        passes.append(watch.seconds)
    watch.remove()
    total = statistics.median(totals)
    beside = 1 - statistics.median(part / whole for part, whole in zip(inside, totals, strict=True))
    return Reading(detector, picture, found, 1 / total, beside, total / statistics.median(passes))


class Stopwatch:
    """Notes the CPU-seconds a network takes."""

    def __init__(self, net: nn.Module) -> None:
        self.seconds = self._started = 0.0
        self._hooks = [net.register_forward_pre_hook(self._start), net.register_forward_hook(self._stop)]

    def time(self, job: Callable[[], object]) -> float:
        """CPU-seconds of all of the job; `seconds` are then those of its network."""
        self.seconds, start = 0.0, time.process_time()
        job()
        return time.process_time() - start

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _start(self, *call: object) -> None:
        self._started = time.process_time()

    def _stop(self, *call: object) -> None:
        self.seconds += time.process_time() - self._started


def detector_readings(rounds: int, runtime: Runtime) -> Iterator[Reading]:
    if "detect-person" in embedded():
        yield from _embedded(load(embedded()["detect-person"]), rounds, runtime)
    yield from _openpose(rounds)
    if importlib.util.find_spec("transformers"):
        yield from _vitpose(rounds, runtime)


def _embedded(net: LoadedNet, rounds: int, runtime: Runtime) -> Iterator[Reading]:
    """Looks once at the whole picture and once closer at everybody."""
    one = _people(1, 256, 256)
    crowd = _people(CROWD, 96, 96).unflatten(0, (3, 10)).permute(0, 2, 1, 3, 4).reshape(1, 288, 960, 3)
    for name, image in (("256x256, people: 1", one), (f"960x288, people: {CROWD}", crowd)):
        def read(image: Tensor = image) -> int:
            return len(detect_people(net, image, max_people=CROWD, runtime=runtime)[0].frame.people)

        yield time_reading("embedded", name, net.module, read, rounds,
                           lambda: net.module(torch.rand(1, 3, 128, 128)))


def _people(count: int, height: int, width: int) -> Tensor:
    """[count,height,width,3], one person each."""
    ids = torch.arange(count)
    made = render_people(ids, height, width, pose=sample_pose(ids, kind="calm"), bystanders=0.0,
                         occluders=0.0, crops=0.0)
    return made.image.movedim(1, -1)


def _openpose(rounds: int) -> Iterator[Reading]:
    """Random weights are as slow as any, but see nobody: ideal maps take the place of theirs."""
    net, picture = BodyNet().eval(), torch.rand(3, 480, 1440)
    for count in (1, CROWD):
        fields, heats = _ideal_maps(count, 23, 69)

        def read(fields: Tensor = fields, heats: Tensor = heats) -> int:
            return len(decode([replace(look(net, picture, 0.5), fields=fields, heats=heats)]).people)

        yield time_reading("OpenPose, poses", f"1440x480, people: {count}", net, read, rounds,
                           lambda: look(net, picture, 0.5))


def _ideal_maps(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Fields [38,height,width] and heats [19,height,width] of `count` people in two rows."""
    y, x = torch.meshgrid(torch.arange(height) + 0.0, torch.arange(width) + 0.0, indexing="ij")
    heats, fields = torch.zeros(19, height, width), torch.zeros(38, height, width)
    for number in range(count):
        joints = STANDING * 10 + torch.tensor([2.6 + number // 2 * 4.5, 2.3 + number % 2 * 11])
        near = (x[..., None] - joints[:, 0]) ** 2 + (y[..., None] - joints[:, 1]) ** 2            # [h,w,18]
        heats[:18] = torch.maximum(heats[:18], torch.exp(-near).movedim(-1, 0))
        for a, b, channel in LIMBS:
            way = (joints[b] - joints[a]) / (joints[b] - joints[a]).norm()
            along = (x - joints[a, 0]) * way[0] + (y - joints[a, 1]) * way[1]
            aside = (x - joints[a, 0]) * way[1] - (y - joints[a, 1]) * way[0]
            on = (aside.abs() < 0.8) & (along > -1) & (along < (joints[b] - joints[a]).norm() + 1)
            fields[channel][on], fields[channel + 1][on] = way.tolist()
    return fields, heats


def _vitpose(rounds: int, runtime: Runtime) -> Iterator[Reading]:
    """The size of ViTPose+ small with random weights, from given boxes."""
    import transformers as t

    backbone = {"model_type": "vitpose_backbone", "hidden_size": 384, "num_hidden_layers": 12,
                "num_attention_heads": 12, "num_experts": 6, "part_features": 96, "out_indices": [12]}
    config = t.VitPoseConfig.from_dict({"backbone_config": backbone, "num_labels": 17})
    net = LoadedNet(t.VitPoseForPoseEstimation(config).eval(), VITPOSE, "random")
    picture = torch.rand(3, 1080, 1920)
    boxes = torch.tensor([[60.0 * i, 300, 60.0 * i + 120, 700] for i in range(CROWD)])
    for count in (1, CROWD):
        def read(count: int = count) -> int:
            return len(estimate_poses(net, [picture], [boxes[:count]], runtime=runtime)[0])

        yield time_reading("ViTPose+ small, poses", f"1920x1080, people: {count}", net.module, read, rounds,
                           lambda: read(1))
