"""A picture and prompts -> masks."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.system import LoadedNet
from ..checkpoints.transformers_model import input_size
from ..image import imagenet, stretch
from ..runtime import Runtime
from .prompt import Prompt

SIDE = 1024                                               # of the input, where the files do not say
BATCH = 16                                                # people answered at a time
MEMORY = 2 << 30                                          # bytes one picture needs, about
_ENOUGH_INSIDE = 0.8                                      # of the points, or the mask is of something else
_PADDING = -10                                            # label of a point that is none


def refine_masks(net: LoadedNet, picture: Tensor, prompts: Sequence[Prompt], *, runtime: Runtime) -> Tensor:
    """`picture` [3,H,W] 0..1 -> [N,h,w] logits over the whole picture at the model's own size, on the CPU.

    A mask that misses the points it was asked for is asked for again by its box alone.
    """
    size = input_size(net.metadata, SIDE)
    if not prompts:
        return torch.zeros(0, *size)
    scale = torch.tensor([size[1] / picture.shape[2], size[0] / picture.shape[1]])
    found = []
    with runtime.use(net, MEMORY) as (module, device):
        embedding = embed(module, stretch(picture[None].to(device), *size))
        for start in range(0, len(prompts), BATCH):
            runtime.check_interrupt()
            some = prompts[start:start + BATCH]
            masks = ask(module, embedding, some, scale)
            again = [i for i, prompt in enumerate(some)
                     if not holds(masks[i], prompt.inside, picture.shape[1:])]
            if again:
                masks[again] = ask(module, embedding, [some[i] for i in again], scale, boxes_only=True)
            found.append(masks)
    return torch.cat(found)


def embed(net: Any, picture: Tensor) -> list[Tensor]:
    """[1,3,h,w] at the network's size -> what `ask` can ask many questions about."""
    return net.get_image_embeddings(imagenet(picture))


def ask(net: nn.Module, embedding: list[Tensor], prompts: Sequence[Prompt], scale: Tensor, *,
        boxes_only: bool = False) -> Tensor:
    """[N,h,w] logits, on the CPU. `scale` [2]: from pixels of the picture to the network's."""
    device = embedding[0].device
    boxes = torch.stack([prompt.box for prompt in prompts]) * scale.repeat(2)
    points = {}
    if not boxes_only:
        longest = max(1, *(len(prompt.inside) + len(prompt.outside) for prompt in prompts))
        places = torch.full((len(prompts), longest, 2), float(_PADDING))
        labels = torch.full((len(prompts), longest), _PADDING)
        for i, prompt in enumerate(prompts):
            both = torch.cat([prompt.inside, prompt.outside])
            places[i, :len(both)] = both * scale
            labels[i, :len(both)] = (torch.arange(len(both)) < len(prompt.inside)).long()
        points = {"input_points": places[None].to(device), "input_labels": labels[None].to(device)}
    out = net(image_embeddings=embedding, input_boxes=boxes[None].to(device), multimask_output=False,
              **points)
    return out.pred_masks[0, :, 0].float().cpu()                                  # [N,h,w]


def holds(mask: Tensor, points: Tensor, picture: Sequence[int]) -> bool:
    """Whether most points (x, y in pixels of the picture) lie in a mask of logits [h,w]."""
    height, width = mask.shape
    x = (points[:, 0] * (width / picture[1])).long().clamp(0, width - 1)
    y = (points[:, 1] * (height / picture[0])).long().clamp(0, height - 1)
    return bool((mask[y, x] > 0).float().mean() >= _ENOUGH_INSIDE) if len(points) else True
