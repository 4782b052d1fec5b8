"""Trains the embedded detector on procedural people.

    python run.py people --out pools/people --count 20000 --size 128x128 --mode scene
    python run.py train detect --data pools/people --out runs/detect --budget 35m --bf16

Joints by binary cross-entropy against Gaussians, regions by balanced cross-entropy and overlap (Dice loss:
Milletari et al., 3DV 2016), the way to a person's middle by L1 on that person's cells.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.detection import Scores
from ..pose import Pose, PoseFrame, draw_poses
from ..regions import PERSON_PALETTE
from ..training import Batch, Muon, Pool, StepContext, Task
from .augment import augment, plain
from .decode import decode
from .labels import Targets, make_targets
from .network import CELL, JOINT_COUNT, REGION_COUNT, SIDE, Detector, Maps

LEARNING_RATE, ADAM_LEARNING_RATE = 0.03, 2e-3
HEAT_WEIGHT, REGION_WEIGHT, CENTRE_WEIGHT = 0.05, 2.0, 4.0
JOINT_WEIGHT = 3.0                                        # of a joint against the emptiness round it
REGION_WEIGHTS = (0.4, 1.0, 1.0, 1.5, 0.8, 1.0, 1.2, 0.8, 1.5, 1.2, 1.2, 1.8)
NO_JOINT = -4.0                                           # first logit: joints are rare


class DetectTask(Task):
    name = "detect"

    def __init__(self) -> None:
        net = Detector()
        with torch.no_grad():
            net.head.bias[:JOINT_COUNT] = NO_JOINT         # type: ignore[index]
        self.net = net
        self.modules, self.averaged = {"net": net}, ("net",)
        self.optimizers = {"net": Muon(net, LEARNING_RATE, ADAM_LEARNING_RATE, others=net.head.parameters())}

    def step(self, batch: Batch, context: StepContext) -> Mapping[str, Tensor]:
        image, labels = augment(batch, context.generator)
        with context.autocast():
            maps = self.net(image)
        losses = detection_losses(maps, make_targets(labels))
        context.descend(self.optimizers["net"], torch.stack(list(losses.values())).sum(), max_norm=5.0)
        return losses

    def sample(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        image, labels = plain(batch)
        maps = averaged["net"](image)
        poses = torch.stack([_draw(picture, maps[i:i + 1]) for i, picture in enumerate(image)])
        found = (maps.regions[:, 1:].argmax(1) + 1) * (maps.mask[:, 0] > 0)
        return torch.stack([poses, _paint(found), _paint(labels.regions)])

    def evaluate(self, batches: Iterable[Batch], averaged: Mapping[str, nn.Module]) -> dict[str, float]:
        scores = Scores()
        for batch in batches:
            image, labels = plain(batch)
            maps = averaged["net"](image)
            for i in range(len(image)):
                people = decode(maps[i:i + 1])
                regions = (maps.regions[i, 1:].argmax(0) + 1) * (maps.mask[i, 0] > 0)
                scores.add(people.keypoints, people.scores, people.masks > 0.5, regions,
                           labels.keypoints[i, 0], labels.visibility[i, 0], labels.people[i] == 1,
                           labels.regions[i])
        return scores.result()


def detection_losses(maps: Maps, targets: Targets) -> dict[str, Tensor]:
    """The four parts of the loss, weighted; maps in float32."""
    heat = F.binary_cross_entropy_with_logits(maps.heat, targets.heat, reduction="sum",
                                              pos_weight=maps.heat.new_tensor(JOINT_WEIGHT))
    regions = F.cross_entropy(maps.regions, targets.regions, weight=maps.regions.new_tensor(REGION_WEIGHTS))
    mask = F.binary_cross_entropy_with_logits(maps.mask, targets.mask)
    miss = (maps.centre - targets.centre).abs().sum(1, keepdim=True) * targets.has_centre
    centre = miss.sum() / targets.has_centre.sum().clamp(min=1)
    return {"joints": heat * HEAT_WEIGHT / (len(maps.heat) * JOINT_COUNT), "regions": regions * REGION_WEIGHT,
            "overlap": dice_loss(maps.regions, targets.regions) * REGION_WEIGHT, "mask": mask,
            "centre": centre * CENTRE_WEIGHT}


def dice_loss(logits: Tensor, regions: Tensor) -> Tensor:
    """1 - mean Dice coefficient of the regions over the whole batch: small regions count like large ones.

    `logits` [B,12,h,w], `regions` [B,h,w] int64.
    """
    found = logits.softmax(1)                                                              # [B,12,h,w]
    true = F.one_hot(regions, REGION_COUNT).movedim(-1, 1)
    meet, sizes = (part.sum((0, 2, 3)) for part in (found * true, found + true))         # [12]
    return 1 - ((2 * meet + 1) / (sizes + 1)).mean()


def _draw(picture: Tensor, maps: Maps) -> Tensor:
    """[3,128,128] with the found poses on it."""
    people = decode(maps)
    frame = PoseFrame(SIDE, SIDE, tuple(Pose(k, s, SIDE, SIDE)
                                        for k, s in zip(people.keypoints, people.scores, strict=True)))
    return draw_poses(frame, picture.movedim(0, -1).cpu()).movedim(-1, 0).to(picture.device)


def _paint(regions: Tensor) -> Tensor:
    """[B,64,64] labels -> [B,3,128,128] colours."""
    palette = torch.tensor(PERSON_PALETTE, device=regions.device) / 255
    return F.interpolate(palette[regions.long()].movedim(-1, 1), scale_factor=CELL)


def build(args: argparse.Namespace, pool: Pool) -> Task:
    return DetectTask()
