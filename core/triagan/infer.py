"""Painting new people into pictures: latents, order, batches, crop and paste, as the published pipeline."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..image import image_to_bchw
from ..people import (
    CropBox,
    CropSettings,
    Person,
    PersonCrop,
    crop_person,
    disjoint_groups,
    paste_person,
    person_box,
    processing_order,
)
from ..runtime import Progress, Runtime
from .fast import FastGenerator
from .network import Config, StyleNet
from .pose_input import joint_map, network_input

MODES = ("plain", "truncated", "multimodal")
BATCH = 8                                                 # people at once on an accelerator
MAPS = 20                                                 # full-size feature maps alive at once, about


@dataclass(frozen=True)
class Latent:
    """How w is found from z.

    `mode`: "plain" is style_net(z); "truncated" pulls it towards the mean, "multimodal" towards one of the
    stored centres. `strength`: psi, 0 = the mean or the centre itself, 1 = no pull; clamped.
    """

    mode: str = "truncated"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"truncation should be one of {', '.join(MODES)}; got {self.mode!r}.")

    def w(self, style_net: StyleNet, z: Tensor, seeds: Sequence[int]) -> Tensor:
        """z [B,Z] -> w [B,W]; the centre of a person is their seed modulo the number of centres."""
        w = style_net(z)
        if self.mode == "plain":
            return w
        target = style_net.w_avg[None]
        if self.mode == "multimodal":
            centres = getattr(style_net, "w_centers", None)
            if centres is None:
                raise ValueError("This inpainter stores no w_centers, which truncation multimodal needs; "
                                 "choose truncated or plain.")
            target = centres[[seed % len(centres) for seed in seeds]]
        return torch.lerp(target.expand_as(w), w, min(max(self.strength, 0.0), 1.0))


def draw_z(config: Config, seeds: Sequence[int], metadata: Mapping[str, str]) -> Tensor:
    """One z per seed, [B,Z] float32: normal numbers as published, or the vector of a procedural person."""
    if metadata.get("latent", "normal") == "normal":
        rows = [np.random.RandomState(seed).normal(size=(1, config.z)) for seed in seeds]
        return torch.from_numpy(np.concatenate(rows).astype(np.float32))
    from ..synthetic import identity_vector, sample_identity
    z = identity_vector(sample_identity(torch.tensor(seeds)))
    if z.shape[1] != config.z:
        raise ValueError(f"The inpainter was trained on people of {config.z} numbers, but this version of "
                         f"Anyone describes them by {z.shape[1]}; use the weights that came with it.")
    return z


@dataclass(frozen=True, eq=False)
class Job:
    """One person to paint: in which picture, who, where, with which seed."""

    picture: int
    person: Person
    box: CropBox
    seed: int


def plan(people: Sequence[Sequence[Person]], settings: CropSettings, seed: int) -> list[list[Job]]:
    """Rounds of jobs that do not see each other. Within a picture small people come first.

    Person i of any picture has the seed `seed + i`, so that people keep their looks through a sequence. Those
    whose box is too small are left out, and stay in the picture as they are.
    """
    rounds: list[list[Job]] = []
    for picture, everybody in enumerate(people):
        order = processing_order([person.mask for person in everybody])
        boxes = [(i, person_box(everybody[i].mask, settings)) for i in order]
        jobs = [Job(picture, everybody[i], box, (seed + i) % 2**32) for i, box in boxes if box is not None]
        for depth, group in enumerate(disjoint_groups([job.box for job in jobs])):
            if depth == len(rounds):
                rounds.append([])
            rounds[depth] += [jobs[i] for i in group]
    return rounds


def input_planes(config: Config, crops: Sequence[PersonCrop]) -> Tensor:
    """What the network takes, [N,C,h,w]. TriA-GAN's own polarity, 1 = keep, exists only in here."""
    pictures, holes, person, keypoints = (
        torch.stack([getattr(crop, name) for crop in crops])
        for name in ("image", "mask", "segmentation", "keypoints"))
    known = 1 - holes
    return network_input(
        known * (pictures * 2 - 1), known, 1 - person if config.use_segmentation else None,
        keypoints[:, :config.keypoint_channels],
        joint_map(keypoints, config.height, config.width) if config.use_joint_map else None)


@dataclass(eq=False)
class Painter:
    """Paints batches of people into `pictures` [B,3,H,W], in place, with a generator lent on `device`.

    `painted`: [B,H,W], the share of each pixel that is new. `batch`: people at once; one on a CPU, where
    company wins little, so that the pixels there cannot depend on it.
    """

    generator: FastGenerator
    device: torch.device
    runtime: Runtime
    metadata: Mapping[str, str]
    pictures: Tensor
    latent: Latent
    settings: CropSettings
    feather: float
    half: bool

    def __post_init__(self) -> None:
        self.painted = torch.zeros(self.pictures.shape[0], *self.pictures.shape[2:])
        self.batch = 1 if self.device.type == "cpu" else BATCH

    def paint(self, jobs: Sequence[Job], progress: Progress) -> None:
        """Jobs whose boxes do not meet. Where memory runs out, one person at a time from there on."""
        while jobs:
            now = jobs[:self.batch]
            crops = [crop_person(self.pictures[job.picture], job.person, job.box, self.settings)
                     for job in now]
            try:
                results = self.generate(crops, [job.seed for job in now])
            except Exception as error:
                if len(now) == 1 or not self.runtime.is_oom(error):
                    raise
                self.batch = 1
                continue
            for job, crop, result in zip(now, crops, results, strict=True):
                self.paste(job.picture, crop, result)
                progress.update(preview=self.pictures[job.picture].movedim(0, -1))
            jobs = jobs[len(now):]

    def generate(self, crops: Sequence[PersonCrop], seeds: Sequence[int]) -> Tensor:
        """[N,3,h,w], nominal 0..1."""
        config = self.generator.config
        planes = input_planes(config, crops)
        z = draw_z(config, seeds, self.metadata).to(self.device)
        w = self.latent.w(self.generator.style_net, z, seeds)
        return (self.generator(planes.to(self.device), w, half=self.half).cpu() + 1) / 2

    def paste(self, picture: int, crop: PersonCrop, result: Tensor) -> None:
        """`result`: [3,h,w], used inside the hole; the crop around it feeds the resampling at the rim."""
        composite = torch.where(crop.mask > 0, result, crop.image)
        before, white = self.pictures[picture], torch.ones_like(result)
        share = paste_person(torch.zeros_like(before), white, crop, feather=self.feather)[0]
        self.pictures[picture] = paste_person(before, composite, crop, feather=self.feather)
        self.painted[picture] = torch.maximum(self.painted[picture], share)


def generator_of(net: LoadedNet) -> FastGenerator:
    """Raises ValueError when `net` is something else."""
    if not isinstance(net.module, FastGenerator):
        raise ValueError(f"{net.name} is a {net.system.title}, not a TriA-GAN; load an inpainter.")
    return net.module


def inpaint(net: LoadedNet, image: Tensor, people: Sequence[Sequence[Person]], *, seed: int = 0,
            truncation: str = "truncated", strength: float = 1.0, feather: float = 0.0, half: bool = False,
            runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Replaces people. Returns pictures [B,H,W,3] float32 and masks [B,H,W], 1 = painted.

    `image`: [B,H,W,C] 0..1. `people`: those to replace, one list per picture. `truncation`, `strength`: see
    `Latent`. `feather`: pixels over which the seam fades, 0 = the published hard edge. `half`: bfloat16
    activations. Pixels outside the mask are bit-identical to the input; without people all of them are.

    The looks of person i follow from `seed + i`. Raises ValueError for inputs that do not fit together. An
    interrupt, or memory that does not even suffice for one person, leaves the input as it was.
    """
    latent, generator, pictures = Latent(truncation, strength), generator_of(net), image_to_bchw(image)
    if len(people) != len(pictures):
        raise ValueError(f"There are {len(pictures)} pictures but people for {len(people)}; "
                         f"give one list of people per picture.")
    config = generator.config
    settings = CropSettings(height=config.height, width=config.width)
    rounds = plan(people, settings, seed)
    if not rounds:                                        # nobody to paint: the network is not even moved
        return pictures.movedim(1, -1).contiguous(), torch.zeros(len(pictures), *pictures.shape[2:])
    progress = runtime.progress(sum(map(len, rounds)), "painting people")
    memory = MAPS * config.height * config.width * config.dims[0] * (2 if half else 4)
    with runtime.use(net, memory * min(BATCH, max(map(len, rounds)))) as (_, device):
        painter = Painter(generator, device, runtime, net.metadata, pictures, latent, settings, feather, half)
        for jobs in rounds:
            painter.paint(jobs, progress)
    return painter.pictures.movedim(1, -1).contiguous(), painter.painted
