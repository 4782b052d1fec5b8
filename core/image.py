"""Tensor conventions at the border, and the picture arithmetic several systems share.

Graph tensors are `[B,H,W,C]` 0..1 and masks `[B,H,W]` with 1 = change this; inside the library pictures are
`[B,3,H,W]` float32 and masks `[B,1,H,W]` float32, ordinary (not inference) tensors, free to change, and on
the CPU, wherever the host keeps its own.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def image_to_bchw(image: Tensor, name: str = "image") -> Tensor:
    """`[B,H,W,C]` (or one `[H,W,C]`), any float type, 1, 3 or 4 channels -> `[B,3,H,W]` float32, a copy.

    From any device to the CPU. Alpha is dropped. Raises ValueError for another shape, an empty batch, or NaN.
    """
    if not isinstance(image, Tensor) or image.ndim not in (3, 4) or image.shape[-1] not in (1, 3, 4):
        found = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{name} should be [batch, height, width, 1, 3 or 4 channels]; got {found}.")
    batch = image if image.ndim == 4 else image[None]
    if 0 in batch.shape:
        raise ValueError(f"{name} is empty (shape {list(image.shape)}); connect at least one picture.")
    with torch.inference_mode(False):
        out = batch.cpu()[..., :3].float().movedim(-1, 1)                          # [B,C,H,W]
        out = out.clone(memory_format=torch.contiguous_format)
        if not torch.isfinite(out).all():
            raise ValueError(f"{name} holds NaN or infinite values; check the node that made it.")
        return out.expand(-1, 3, -1, -1).contiguous() if out.shape[1] == 1 else out


def bchw_to_image(picture: Tensor) -> Tensor:
    """`[B,3,H,W]` -> `[B,H,W,3]` clamped to 0..1."""
    return picture.movedim(1, -1).clamp(0, 1).contiguous()


def mask_to_bhw(mask: Tensor, name: str = "mask") -> Tensor:
    """`[H,W]`, `[B,H,W]`, `[B,1,H,W]` or `[B,H,W,1]` -> `[B,H,W]` float32 0..1, a copy on the CPU.

    NaN counts as 0. Raises ValueError for anything else.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3, 4) or 0 in mask.shape:
        found = f"shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{name} should be a mask of shape [batch, height, width]; got {found}.")
    if mask.ndim == 4:
        if mask.shape[1] != 1 and mask.shape[-1] != 1:
            raise ValueError(f"{name} should have one channel; got shape {list(mask.shape)}.")
        mask = mask[:, 0] if mask.shape[1] == 1 else mask[..., 0]
    with torch.inference_mode(False):
        out = mask.cpu().float().clone()
        return torch.nan_to_num(out if out.ndim == 3 else out[None]).clamp(0, 1)


def fit_mask(mask: Tensor, height: int, width: int, name: str = "mask") -> Tensor:
    """Any graph mask -> `[B,height,width]`, resized (bilinear) if need be, the host's 64x64 "no mask" too."""
    mask = mask_to_bhw(mask, name)
    if mask.shape[1:] == (height, width):
        return mask
    return F.interpolate(mask[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def cycle_to(batch: Tensor, count: int) -> Tensor:
    """Repeats a batch cyclically (or cuts it) to `count` items, as ComfyUI's `repeat_to_batch_size` does."""
    if batch.shape[0] == count:
        return batch
    return batch[torch.arange(count) % batch.shape[0]]


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """`[B,C,H,W]` resized: antialiased bilinear when shrinking, bicubic when growing, clamped to 0..1."""
    if picture.shape[-2:] == (height, width):
        return picture
    shrink = height * width < picture.shape[-2] * picture.shape[-1]
    mode = "bilinear" if shrink else "bicubic"
    out = F.interpolate(picture, (height, width), mode=mode, align_corners=False, antialias=shrink)
    return out.clamp(0, 1)


def stretch(picture: Tensor, height: int, width: int) -> Tensor:
    """`[B,C,H,W]` resized without regard to its aspect, bilinear with antialiasing: what most published
    detectors and parsers are given."""
    return F.interpolate(picture, (height, width), mode="bilinear", align_corners=False, antialias=True)


def imagenet(picture: Tensor) -> Tensor:
    """`[B,3,H,W]` 0..1 with ImageNet's mean taken off and divided by its deviation."""
    statistics = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    mean, deviation = statistics.to(picture)[..., None, None]
    return (picture - mean) / deviation


def distance_to(mask: Tensor) -> Tensor:
    """[B,H,W] bool -> pixels to the nearest set one, exact; infinite in a mask where none is set."""
    import cv2

    def distance(one: Tensor) -> Tensor:
        if not one.any():
            return torch.full(one.shape, torch.inf)
        unset = (~one).byte().cpu().numpy()
        about = torch.from_numpy(cv2.distanceTransform(unset, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
        # OpenCV's last bit depends on where its buffers lie; but squared distances are whole numbers.
        return about.double().square().round().sqrt().float()

    return torch.stack([distance(one) for one in mask]).to(mask.device)


def lay_over(pictures: Tensor, drawn: Tensor, mask: Tensor, feather: float = 0.0) -> tuple[Tensor, Tensor]:
    """`[B,3,H,W]` twice: `drawn` where the mask [B,H,W] bool is set, and its share [B,H,W] in every pixel.

    Outside the mask the pictures stay bit-identical. `feather`: pixels inside over which the rim fades.
    """
    share = (distance_to(~mask) / (feather + 1)).clamp(max=1)
    return torch.lerp(pictures, drawn, share[:, None]), share
