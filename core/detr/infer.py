"""Pictures -> boxes of people, with masks where the model has them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..checkpoints.transformers_model import input_size
from ..image import imagenet, stretch
from ..runtime import Runtime
from .weights import is_rf_detr, person_label

SIDE = 640                                                # of the input, where the files do not say
BATCH = 8
MEMORY = 1 << 30                                          # bytes a batch needs, about
SAME = 0.9                                                # overlap from which two boxes show one person


@dataclass(frozen=True, eq=False)
class Found:
    """The people in one picture, the surest first, on the CPU.

    `boxes` [N,4]: x0, y0, x1, y1 in pixels, inside the picture. `scores` [N] 0..1. `masks`: [N,h,w] logits
    over the whole picture at the model's own size, or None from a model without masks.
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor | None


def find_people(net: LoadedNet, pictures: Sequence[Tensor], *, threshold: float = 0.3, max_people: int = 20,
                runtime: Runtime) -> list[Found]:
    """`pictures`: [3,H,W] 0..1 each, any sizes. `threshold`: least score of a person."""
    size = input_size(net.metadata, SIDE)
    found = []
    with runtime.use(net, MEMORY) as (module, device):
        label, normalise = person_label(module), is_rf_detr(module)
        for start in range(0, len(pictures), BATCH):
            runtime.check_interrupt()
            some = pictures[start:start + BATCH]
            x = torch.cat([stretch(picture[None].to(device), *size) for picture in some])
            out = module(pixel_values=imagenet(x) if normalise else x)
            scores, boxes = out.logits.float().sigmoid()[..., label].cpu(), out.pred_boxes.float().cpu()
            masks = getattr(out, "pred_masks", None)
            for i, picture in enumerate(some):
                chosen = choose(scores[i], to_pixels(boxes[i], *picture.shape[1:]), threshold)[:max_people]
                found.append(Found(to_pixels(boxes[i], *picture.shape[1:])[chosen], scores[i][chosen],
                                   None if masks is None else masks[i].float().cpu()[chosen]))
    return found


def to_pixels(boxes: Tensor, height: int, width: int) -> Tensor:
    """[Q,4] middle, width and height as shares of the picture -> [Q,4] x0, y0, x1, y1 in pixels, clipped."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    size = torch.tensor([width, height] * 2, dtype=boxes.dtype)
    return torch.cat([low, high], 1).clamp(0, 1) * size


def choose(scores: Tensor, boxes: Tensor, threshold: float) -> Tensor:
    """Indices of the people among the queries, the surest first; of nearly equal boxes only the surest."""
    order = scores.argsort(descending=True, stable=True)
    order = order[(scores[order] >= threshold) & ((boxes[order, 2:] - boxes[order, :2]).amin(1) > 0)]
    overlaps = box_overlap(boxes[order], boxes[order]) > SAME
    kept: list[int] = []
    for i in range(len(order)):
        if not overlaps[i, kept].any():
            kept.append(i)
    return order[kept]


def box_overlap(a: Tensor, b: Tensor) -> Tensor:
    """[N,4] and [M,4] -> [N,M] intersection over union."""
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b))
    return shared / (area_a[:, None] + area_b[None] - shared).clamp(min=1e-6)
