"""Pictures in, the class probabilities out that inception scores are made of."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..runtime import Runtime
from .network import SIDE, Inception

MEMORY = 1 << 30                                          # bytes that 32 pictures need, about


def class_probabilities(net: LoadedNet, pictures: Sequence[Tensor], runtime: Runtime) -> Tensor:
    """Pictures [3,H,W] 0..1 of any sizes, as 8 bits -> [N,1008], without the bias of the last layer, as
    inception scores are published. Raises ValueError for another network."""
    if not isinstance(net.module, Inception):
        raise ValueError(f"{net.name} holds a {net.system.title}; inception scores need the Inception v3 of "
                         "2015.")
    seen = torch.cat([stretched((picture[None] * 255).round()) for picture in pictures])
    with runtime.use(net, MEMORY) as (module, device):
        assert isinstance(module, Inception)
        features = module((seen.to(device) - 128) / 128)                           # [N,2048]
        return F.linear(features, module.fc.weight).softmax(1).cpu()


def stretched(picture: Tensor) -> Tensor:
    """[N,3,H,W] -> [N,3,299,299] as the graph does it: bilinear, pixel i of the result at i * old / new."""
    for axis in (2, 3):
        old = picture.shape[axis]
        at = torch.arange(SIDE, device=picture.device) * (old / SIDE)
        low = at.long()
        shape = [-1 if one == axis else 1 for one in range(4)]
        near, far = (picture.index_select(axis, index) for index in (low, (low + 1).clamp(max=old - 1)))
        picture = near + (far - near) * (at - low).view(shape)
    return picture
