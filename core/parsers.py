"""One way to ask any parser what is where: clothes of whole people, or the parts of faces."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bisenet.infer import face_scores
from .checkpoints.system import LoadedNet
from .checkpoints.transformers_model import input_size
from .image import image_to_bchw, stretch
from .people import CropBox, Detection, cut_square, head_square, lay_labels, person_regions, tight_box
from .pose import Pose, PoseFrame
from .regions import ATR_LABELS, FACE_PALETTE, FACE_REGIONS, RegionMap
from .runtime import Runtime
from .segformer import infer as segformer
from .segformer.weights import parses_clothes

LARGEST = 1024                                            # side at which labels are decided
AIR = 0.1                                                 # round a person, in sizes of the box
MEMORY = 1 << 30                                          # bytes one crop needs, about


def finds(net: LoadedNet) -> str:
    """What a parser knows: "clothes" or "faces". Raises ValueError for a network that is no parser."""
    if net.system.role != "parser":
        raise ValueError(f"{net.name} is a {net.system.title}, which is no parser.")
    return "clothes" if net.system.name == "segformer" and parses_clothes(net.module) else "faces"


def parse_people(net: LoadedNet, image: Tensor, found: Sequence[Detection], *, flip: bool = False,
                 runtime: Runtime) -> RegionMap:
    """`image` [B,H,W,C] and who is in each picture -> the twelve person regions; poses tell the sleeves.

    `flip`: averages with the mirrored picture. Raises ValueError for a parser of faces.
    """
    if finds(net) != "clothes":
        raise ValueError(f"{net.name} parses faces; whole people need a parser of clothes.")
    pictures = image_to_bchw(image)
    with runtime.use(net, MEMORY) as (module, device):
        labels = torch.zeros(len(pictures), *pictures.shape[2:], dtype=torch.uint8)
        for canvas, picture, one in zip(labels, pictures, found, strict=True):
            for pose, mask in zip(one.frame.people, one.masks, strict=True):
                runtime.check_interrupt()
                box = _roomy_box(mask)
                if box is not None:
                    crop = picture[:, box.y0:box.y1, box.x0:box.x1].to(device)
                    atr = _labels(net, module, crop, flip)
                    shown = mask[box.y0:box.y1, box.x0:box.x1]
                    lay_labels(canvas, person_regions(atr, shown, _moved(pose, box)), box)
    return RegionMap(labels)


def parse_faces(net: LoadedNet, image: Tensor, frames: Sequence[PoseFrame], *, flip: bool = False,
                runtime: Runtime) -> RegionMap:
    """`image` [B,H,W,C] and the poses in each picture -> the 19 face regions of everybody who shows a face.

    `flip`: averages with the mirrored picture. Raises ValueError for a parser of clothes.
    """
    if finds(net) != "faces":
        raise ValueError(f"{net.name} parses clothes; faces need a parser of faces.")
    pictures = image_to_bchw(image)
    height, width = pictures.shape[2:]
    with runtime.use(net, MEMORY) as (module, device):
        labels = torch.zeros(len(pictures), height, width, dtype=torch.uint8)
        for canvas, picture, frame in zip(labels, pictures, frames, strict=True):
            for pose in frame.scaled(width, height).people:
                runtime.check_interrupt()
                box = head_square(pose)
                if box is not None and box.meets(CropBox(0, 0, width, height)):
                    lay_labels(canvas, _labels(net, module, cut_square(picture, box).to(device), flip), box)
    return RegionMap(labels, FACE_REGIONS, FACE_PALETTE)


def _labels(net: LoadedNet, module: nn.Module, crop: Tensor, flip: bool) -> Tensor:
    """[3,h,w] -> [h,w] uint8 on the CPU, numbers of ATR_LABELS or FACE_REGIONS."""
    height, width = crop.shape[1:]
    scale = min(1.0, LARGEST / max(height, width))
    crops = stretch(crop[None], max(1, round(height * scale)), max(1, round(width * scale)))
    scores = _scores(net, module, crops)
    if flip:
        mirrored = _scores(net, module, crops.flip(-1)).flip(-1)
        scores = scores + mirrored[:, _other_side(ATR_LABELS if finds(net) == "clothes" else FACE_REGIONS)]
    scores = F.interpolate(scores, crops.shape[2:], mode="bilinear", align_corners=False)
    labels = scores.argmax(1, keepdim=True).float()
    return F.interpolate(labels, (height, width), mode="nearest-exact")[0, 0].byte().cpu()


def _scores(net: LoadedNet, module: nn.Module, crops: Tensor) -> Tensor:
    if net.system.name == "bisenet":
        return face_scores(module, crops)
    return segformer.region_scores(module, crops, input_size(net.metadata, segformer.SIDE))


def _other_side(names: Sequence[str]) -> list[int]:
    """For each name the index of the same part of the other side; l_lip is the lower lip."""
    swaps = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear", "left-shoe": "right-shoe",
             "left-leg": "right-leg", "left-arm": "right-arm"}
    swaps |= {right: left for left, right in swaps.items()}
    return [names.index(swaps.get(name, name)) for name in names]


def _roomy_box(mask: Tensor) -> CropBox | None:
    """The box of a mask with some air, inside the picture; None for an empty mask."""
    box = tight_box(mask)
    if box is None:
        return None
    x, y = round(AIR * box.width), round(AIR * box.height)
    return CropBox(box.x0 - x, box.y0 - y, box.x1 + x, box.y1 + y).clipped(*mask.shape)


def _moved(pose: Pose, box: CropBox) -> Pose | None:
    return pose.cropped(box.x0, box.y0, box.width, box.height) if pose.present.any() else None
