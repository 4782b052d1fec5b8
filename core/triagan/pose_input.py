"""From keypoints and masks to the planes of the first convolution. Published polarity: 1 = known, 0 = hole.

Keypoints here are 17 COCO joints [B,17,3]: x and y in 0..1 of the crop, visibility 0/1.
"""
from __future__ import annotations

import torch
from torch import Tensor

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = range(5, 11)
LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE = range(11, 17)
NECK, MID_HIP, MID_EYES = 17, 18, 19
HEAD, LEFT_ARM, RIGHT_ARM, TORSO, LEFT_LEG, RIGHT_LEG = range(1, 7)

# (from, to, label) in drawing order: later lines cover earlier ones, and a line and its reverse differ.
LINES = (
    (NOSE, LEFT_EYE, HEAD), (NOSE, RIGHT_EYE, HEAD), (NOSE, NECK, HEAD), (LEFT_EYE, RIGHT_EYE, HEAD),
    (LEFT_EYE, LEFT_EAR, HEAD), (RIGHT_EYE, RIGHT_EAR, HEAD), (LEFT_SHOULDER, RIGHT_SHOULDER, TORSO),
    (LEFT_SHOULDER, LEFT_ELBOW, LEFT_ARM), (LEFT_SHOULDER, LEFT_HIP, TORSO),
    (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_ARM), (RIGHT_SHOULDER, RIGHT_HIP, TORSO),
    (LEFT_ELBOW, LEFT_WRIST, LEFT_ARM), (RIGHT_ELBOW, RIGHT_WRIST, RIGHT_ARM), (LEFT_HIP, RIGHT_HIP, TORSO),
    (LEFT_HIP, LEFT_KNEE, LEFT_LEG), (RIGHT_HIP, RIGHT_KNEE, RIGHT_LEG), (LEFT_KNEE, LEFT_ANKLE, LEFT_LEG),
    (RIGHT_KNEE, RIGHT_ANKLE, RIGHT_LEG), (NECK, MID_HIP, TORSO), (NECK, NOSE, HEAD), (MID_EYES, NECK, HEAD),
)


def keypoint_pixels(keypoints: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """[B,K,3] -> (row * width + column [B,K] int64, visible [B,K] bool); points outside go to the border."""
    x = (keypoints[..., 0] * width).round().clamp(0, width - 1).long()             # half to even, in float32
    y = (keypoints[..., 1] * height).round().clamp(0, height - 1).long()
    return y * width + x, keypoints[..., 2].round() > 0


def keypoint_planes(keypoints: Tensor, height: int, width: int) -> Tensor:
    """[B,K,3] -> [B,K,H,W] float32 with a single 1 per visible keypoint."""
    index, visible = keypoint_pixels(keypoints, height, width)
    planes = torch.zeros(*index.shape, height * width, device=keypoints.device)
    planes.scatter_(2, index[..., None], visible.float()[..., None])
    return planes.unflatten(2, (height, width))


def joint_map(keypoints: Tensor, height: int, width: int) -> Tensor:
    """[B,17,3] -> skeleton of one-pixel lines, labels 0..6, [B,1,H,W] uint8; points outside stay outside."""
    points, present = _points(keypoints, height, width)
    start, end, label = torch.tensor(LINES, device=keypoints.device).unbind(1)     # [21] each
    drawn = present[:, start] & present[:, end]                                    # [B,21]
    drawn[:, -1] = present[:, NECK] & ~present[:, NOSE]    # eyes count here even where they are invisible
    pixels, inside = line_pixels(points[:, start], points[:, end], height, width)  # [B,21,K]
    rank = torch.arange(1, len(LINES) + 1, device=keypoints.device)[:, None]       # the later line wins
    rank = (rank * (inside & drawn[..., None])).flatten(1)
    canvas = torch.zeros(len(points), height * width, dtype=torch.long, device=keypoints.device)
    canvas.scatter_reduce_(1, pixels.flatten(1), rank, "amax")
    labels = torch.cat([label.new_zeros(1), label]).to(torch.uint8)
    return labels[canvas].view(-1, 1, height, width)


def _points(keypoints: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The 17 joints and three midpoints: pixels [B,20,2] int64 as (x, y), and which are present [B,20]."""
    xy, visible = keypoints[..., :2].float(), keypoints[..., 2] > 0
    first = [LEFT_SHOULDER, LEFT_HIP, LEFT_EYE]
    second = [RIGHT_SHOULDER, RIGHT_HIP, RIGHT_EYE]
    middle = xy[:, first] + (xy[:, second] - xy[:, first]) / 2
    points = torch.cat([xy, middle], 1) * torch.tensor([width, height], device=xy.device)
    return points.round().long(), torch.cat([visible, visible[:, first] & visible[:, second]], 1)


def line_pixels(start: Tensor, end: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Integer lines [...,2] (x, y) -> (pixel index [...,K], inside [...,K]), K = max(height, width).

    The incremental rule moves the minor axis when its error reaches 0; after k of n = max(|dx|, |dy|) steps
    it has therefore moved floor((2 k minor + n) / (2 n)). Evaluating that for every row or column of the
    picture draws all lines at once, however far outside they start.
    """
    delta = end - start
    steep = delta[..., 0].abs() <= delta[..., 1].abs()                             # y is the major axis
    major_axis = torch.stack([~steep, steep], -1)
    major0, minor0 = _pick(start, major_axis), _pick(start, ~major_axis)           # [...,1]
    major, minor = _pick(delta, major_axis), _pick(delta, ~major_axis)
    position = torch.arange(max(height, width), device=start.device)               # [K] along the major axis
    step = (position - major0) * torch.where(major < 0, -1, 1)
    steps = major.abs()
    moved = torch.div(2 * step * minor.abs() + steps, (2 * steps).clamp(min=1), rounding_mode="floor")
    across = minor0 + moved * minor.sign()
    x = torch.where(steep[..., None], across, position)
    y = torch.where(steep[..., None], position, across)
    inside = (step >= 0) & (step <= steps) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return torch.where(inside, y * width + x, 0), inside


def _pick(pair: Tensor, where: Tensor) -> Tensor:
    """The one entry of the last axis (2) that is marked, kept as an axis of 1."""
    return (pair * where).sum(-1, keepdim=True)


def network_input(condition: Tensor, mask: Tensor, segmentation: Tensor | None, keypoints: Tensor,
                  joint_map: Tensor | None) -> Tensor:
    """The planes of the first convolution, [B,30,H,W] float32 for the body networks.

    `condition`: [B,3,H,W] mask * picture, -1..1. `mask`: [B,1,H,W], 1 = known. `segmentation`: [B,1,H,W],
    1 = not the person. `keypoints`: [B,K,3]. `joint_map`: [B,1,H,W] labels. None where a network has no such
    planes.
    """
    height, width = condition.shape[2:]
    planes = [condition, mask, 1 - mask]
    if segmentation is not None:
        planes += [segmentation, 1 - segmentation]
    planes.append(keypoint_planes(keypoints, height, width))
    if joint_map is not None:
        labels = torch.arange(1, 7, device=joint_map.device, dtype=joint_map.dtype).view(1, 6, 1, 1)
        planes.append((joint_map == labels).float())
    return torch.cat(planes, 1)
