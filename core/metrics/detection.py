"""How well a detector finds one known person: joints, mask, regions."""
from __future__ import annotations

import torch
from torch import Tensor

VISIBLE = 2
REGIONS = 12


class Scores:
    """Sums over pictures, each with one person to find.

    `pck`: share of that person's visible joints found within `radius` pixels (PCK at a fixed radius; a joint
    not found is wrong). `hidden_pck`: the same of the hidden ones. `mask_iou`: mean intersection over union.
    `region_miou`: mean over the regions of intersection over union, summed over all pictures.
    """

    def __init__(self, radius: float = 5.0) -> None:
        self.radius = radius
        self.joints = {"pck": [0, 0], "hidden_pck": [0, 0]}                     # right, all
        self.ious: list[float] = []
        self.confusion = torch.zeros(REGIONS, REGIONS, dtype=torch.long)        # true, found

    def add(self, keypoints: Tensor, scores: Tensor, masks: Tensor, regions: Tensor, true_keypoints: Tensor,
            visibility: Tensor, true_mask: Tensor, true_regions: Tensor) -> None:
        """Found people (keypoints [N,18,2], scores [N,18], masks [N,h,w] bool, regions [h,w]) against the
        truth ([18,2], [18] 2/1/0, [h,w] bool, [h,w]). The found person that overlaps most counts."""
        ious = mask_iou(masks, true_mask)
        best = int(ious.argmax()) if len(ious) else None
        self.ious.append(0.0 if best is None else float(ious[best]))
        right = torch.zeros(len(visibility), dtype=torch.bool, device=visibility.device)
        if best is not None:
            right = ((keypoints[best] - true_keypoints).norm(dim=-1) <= self.radius) & (scores[best] > 0)
        for name, level in (("pck", VISIBLE), ("hidden_pck", 1)):
            asked = visibility == level
            self.joints[name][0] += int((right & asked).sum())
            self.joints[name][1] += int(asked.sum())
        pairs = true_regions.long().flatten() * REGIONS + regions.long().flatten()
        self.confusion += torch.bincount(pairs.cpu(), minlength=REGIONS**2).view(REGIONS, REGIONS)

    def result(self) -> dict[str, float]:
        """The four scores, 0..1; regions that never occur are left out of the mean."""
        hit = self.confusion.diagonal().float()
        union = self.confusion.sum(0) + self.confusion.sum(1) - self.confusion.diagonal()
        region = (hit / union.clamp(min=1))[union > 0]
        return {**{name: right / max(1, asked) for name, (right, asked) in self.joints.items()},
                "mask_iou": sum(self.ious) / max(1, len(self.ious)),
                "region_miou": float(region.mean()) if len(region) else 0.0}


def mask_iou(masks: Tensor, true_mask: Tensor) -> Tensor:
    """[N,h,w] bool against [h,w] bool -> [N], 0..1."""
    meet = (masks & true_mask).flatten(1).sum(1)
    union = (masks | true_mask).flatten(1).sum(1)
    return meet / union.clamp(min=1)
