"""Pictures and person boxes -> joints."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..pose import COCO_JOINTS
from ..runtime import Runtime
from .crop import crop, grow, to_picture
from .decode import find_maxima, refine

BATCH = 32
MEMORY = 1 << 30                                          # bytes a batch needs, about
_COCO_EXPERT = 0                                          # of ViTPose+, which was trained on six data sets
_MIRRORED = [COCO_JOINTS.index(name.replace("left_", "?").replace("right_", "left_").replace("?", "right_"))
             for name in COCO_JOINTS]


def estimate_poses(net: LoadedNet, pictures: Sequence[Tensor], boxes: Sequence[Tensor], *, flip: bool = False,
                   runtime: Runtime) -> list[Tensor]:
    """`pictures`: [3,H,W] 0..1 each; `boxes`: [N,4] x0, y0, x1, y1 in pixels for each.

    Returns [N,17,3] for each picture, on the CPU: COCO joints with x and y in pixels (middles at .5) and
    score, which is no probability: 0 = missing, good ones have .7 and more. Everybody in all pictures goes
    through the network together. `flip`: looks at the mirrored picture, too, for twice the time.
    """
    with runtime.use(net, MEMORY) as (module, device):
        grown = [grow(some.to(device)) for some in boxes]
        crops = torch.cat([crop(picture.to(device), some)
                           for picture, some in zip(pictures, grown, strict=True)])
        found = []
        for start in range(0, len(crops), BATCH):
            runtime.check_interrupt()
            heat = heat_maps(module, crops[start:start + BATCH], flip)
            found.append(read_joints(heat, torch.cat(grown)[start:start + BATCH]).cpu())
    joints = torch.cat(found) if found else torch.zeros(0, len(COCO_JOINTS), 3)
    return list(joints.split([len(some) for some in boxes]))


def heat_maps(net: Any, crops: Tensor, flip: bool = False) -> Tensor:
    """[N,3,256,192] -> [N,17,64,48] float32."""
    backbone = net.config.backbone_config
    expert = {}
    if getattr(backbone, "num_experts", 1) > 1:
        expert = {"dataset_index": torch.full((len(crops),), _COCO_EXPERT, device=crops.device)}
    heat = net(pixel_values=crops, **expert).heatmaps.float()
    if not flip:
        return heat
    return (heat + heat_maps(net, crops.flip(-1)).flip(-1)[:, _MIRRORED]) / 2


def read_joints(heat: Tensor, grown: Tensor) -> Tensor:
    """[N,17,h,w] and the boxes they show -> [N,17,3] x, y in pixels of the picture, score."""
    places, scores = find_maxima(heat)
    where = to_picture(refine(heat, places), grown, *heat.shape[2:]) + 0.5
    return torch.cat([where, scores.clamp(min=0)[..., None]], -1)
