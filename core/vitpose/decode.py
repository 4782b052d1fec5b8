"""Heat maps -> joints, refined below the cell (Zhang et al., *Distribution-Aware Coordinate Representation
for Human Pose Estimation*, CVPR 2020) with the numbers of transformers' processor."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..resample import blurred

_SIGMA, _RADIUS = 0.8, 5                                  # of the blur before the logarithm, in cells
_FLOOR, _CEILING = 0.001, 50.0
_EPSILON = torch.finfo(torch.float32).eps
_LONGEST_STEP = 2.0                                       # cells; a longer one comes from a flat map


def find_maxima(heat: Tensor) -> tuple[Tensor, Tensor]:
    """[N,J,h,w] -> x and y [N,J,2] of the largest cell, whole numbers, and its value [N,J]."""
    scores, index = heat.flatten(2).max(-1)
    return torch.stack([index % heat.shape[3], index // heat.shape[3]], -1), scores


def refine(heat: Tensor, places: Tensor) -> Tensor:
    """`places` [N,J,2] of `find_maxima` -> x and y [N,J,2] of the top of a parabola through the logarithms.

    Where the map is too flat to say, the place stays.
    """
    rows, columns = (blurred(torch.eye(size, dtype=torch.float64), _SIGMA, _RADIUS).to(heat)
                     for size in heat.shape[2:])
    log = (rows @ heat @ columns.T).clamp(_FLOOR, _CEILING).log()
    log = F.pad(log, (1, 1, 1, 1), mode="replicate").flatten(2)                   # [N,J,(h+2)*(w+2)]
    stride = heat.shape[3] + 2
    middle = (places[..., 1] + 1) * stride + places[..., 0] + 1

    def at(dx: int, dy: int) -> Tensor:
        return log.gather(2, (middle + dy * stride + dx)[..., None])[..., 0]

    here = at(0, 0)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * here + at(-1, 0) + _EPSILON, at(0, 1) - 2 * here + at(0, -1) + _EPSILON
    dxy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    step = -torch.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], -1) / (dxx * dyy - dxy * dxy)[..., None]
    return places + torch.where(step.norm(dim=-1, keepdim=True) <= _LONGEST_STEP, step, 0.0)
