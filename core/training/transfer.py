"""What the trainings of pose transfer share: pairs made ready, sheets to look at, scores."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..metrics.images import mean_difference, ssim
from ..pose.draw import draw_poses
from ..pose.parts import TORSO
from ..pose.pose import Pose, PoseFrame
from ..pose.skeleton import MIRRORED
from .task import Batch

HIDDEN = 0.3                                              # of the hidden joints nobody will find
SLOPPY = 0.5                                              # pixels by which the source's joints are off
PERSON = 1                                                # label of the main person


@dataclass(frozen=True, eq=False)
class Pair:
    """B people in two poses. Pictures [B,3,H,W], -1..1; where the pool knows masks, people stand on grey (0).

    Joints [B,18,2] x, y of pixels whose centres lie at integers, NaN = missing. `mask`: [B,1,H,W], 1 = the
    person of the target; None where the pool has none.
    """

    source: Tensor
    target: Tensor
    source_joints: Tensor
    target_joints: Tensor
    mask: Tensor | None

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.target.shape[2:]
        return height, width

    @property
    def wanted(self) -> Tensor:
        """The target as a network draws it: [B,3,H,W], or [B,4,H,W] with the opacity, all -1..1."""
        return self.target if self.mask is None else torch.cat([self.target, self.mask * 2 - 1], 1)


Draw = Callable[[Pair], Tensor]                           # -> [B,3 or 4,H,W], -1..1


def prepared(batch: Batch, generator: torch.Generator | None = None) -> Pair:
    """Samples of `Pairs` on the device. With a `generator` also what training varies: half of the pairs are
    mirrored, hidden joints go missing, the source's joints and outline are a little off."""
    pictures, joints = batch["image"] * 2 - 1, batch["keypoints"] - 0.5
    masks = (batch["people"] == PERSON).float()[:, :, None] if "people" in batch else None
    seen = batch["visibility"].clone()
    if generator is not None:
        pictures, joints, seen, masks = _mirrored(pictures, joints, seen, masks, generator)
        seen = _forgotten(seen, generator)
        joints[:, 0] += SLOPPY * torch.randn(joints[:, 0].shape, generator=generator).to(joints)
    joints = torch.where(seen[..., None] > 0, joints, torch.nan)
    if masks is not None:
        outline = masks if generator is None else torch.stack([_off(masks[:, 0], generator), masks[:, 1]], 1)
        pictures = pictures * outline
    source, target = (view.contiguous(memory_format=torch.channels_last) for view in pictures.unbind(1))
    return Pair(source, target, joints[:, 0], joints[:, 1], None if masks is None else masks[:, 1])


def _mirrored(pictures: Tensor, joints: Tensor, seen: Tensor, masks: Tensor | None,
              generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Half of the pairs, both pictures alike; right joints become left ones."""
    flip = (torch.rand(len(pictures), generator=generator) < 0.5).to(pictures.device)
    width = pictures.shape[-1]
    turned = torch.stack([width - 1 - joints[..., 0], joints[..., 1]], -1)[:, :, MIRRORED]

    def choose(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(flip.view(-1, *[1] * (old.ndim - 1)), new, old)

    return (choose(pictures.flip(-1), pictures), choose(turned, joints), choose(seen[:, :, MIRRORED], seen),
            None if masks is None else choose(masks.flip(-1), masks))


def _forgotten(seen: Tensor, generator: torch.Generator) -> Tensor:
    """[B,2,18] visibilities: some hidden joints become missing, but never of the trunk."""
    lost = (torch.rand(seen.shape, generator=generator) < HIDDEN).to(seen.device) & (seen == 1)
    lost[..., list(TORSO)] = False
    return torch.where(lost, 0, seen)


def _off(masks: Tensor, generator: torch.Generator) -> Tensor:
    """[B,1,H,W]: a third as they are, a third a pixel larger, a third a pixel smaller."""
    which = torch.randint(3, (len(masks), 1, 1, 1), generator=generator).to(masks.device)
    grown, shrunk = F.max_pool2d(masks, 3, 1, 1), -F.max_pool2d(-masks, 3, 1, 1)
    return torch.where(which == 0, masks, torch.where(which == 1, grown, shrunk))


def shown(drawn: Tensor) -> Tensor:
    """[B,3 or 4,H,W], -1..1 -> pictures [B,3,H,W], 0..1."""
    return drawn[:, :3].float().clamp(-1, 1) / 2 + 0.5


def sheet(pair: Pair, *drawn: Tensor) -> Tensor:
    """Rows: sources, poses, each of `drawn` [B,3 or 4,H,W], targets: [rows,B,3,H,W], 0..1."""
    height, width = pair.size
    poses = [Pose(joints + 0.5, joints.isfinite().all(1).float(), width, height)
             for joints in pair.target_joints.cpu()]
    sticks = torch.stack([draw_poses(PoseFrame(width, height, (pose,))).movedim(-1, 0) for pose in poses])
    rows = [shown(pair.source), sticks.to(pair.source), *map(shown, drawn), shown(pair.target)]
    return torch.stack(rows)


def score_pairs(draw: Draw, batches: Iterable[Batch]) -> dict[str, float]:
    """Means over held-out pairs: `l1` (0..1), `copied` (that of the source itself), `ssim`, and with masks
    `person_ssim`, of the pixels in the person's mask, and `mask_iou` of the opacity."""
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        pair = prepared(batch)
        for name, values in _scores(pair, draw(pair)).items():
            found.setdefault(name, []).append(values)
    return {name: round(float(torch.cat(values).nanmean()), 4) for name, values in found.items()}


def _scores(pair: Pair, drawn: Tensor) -> dict[str, Tensor]:
    fake, real, source = shown(drawn), shown(pair.target), shown(pair.source)
    scores = {"l1": mean_difference(fake, real), "copied": mean_difference(source, real),
              "ssim": ssim(fake, real)}
    if pair.mask is None:
        return scores
    scores["person_ssim"] = ssim(fake, real, mask=pair.mask[:, 0].double())
    if drawn.shape[1] == 4:
        solid, there = drawn[:, 3] > 0, pair.mask[:, 0] > 0.5
        scores["mask_iou"] = (solid & there).sum((1, 2)) / (solid | there).sum((1, 2))
    return scores
