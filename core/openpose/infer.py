"""Pictures -> people, as OpenPose finds them: from joints and limbs up, however many there are."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.system import LoadedNet
from ..image import image_to_bchw
from ..people import Detection, grabcut_people
from ..pose import Pose, PoseFrame
from ..resample import cubic
from ..runtime import Runtime
from .decode import Bodies, ScaleMaps, decode
from .network import STRIDE

BOX = 368                                                 # height of the network's picture at scale 1
GREY = 128                                                # colour beside the picture
LONGEST = 4096                                            # side of what the network sees of a long strip
MEMORY = 1 << 30                                          # bytes one picture needs, about


def detect_people(net: LoadedNet, image: Tensor, *, scales: Sequence[float] = (0.5,), threshold: float = 0.1,
                  max_people: int = 20, runtime: Runtime) -> list[Detection]:
    """`image` [B,H,W,C] 0..1, any size -> one `Detection` per picture, on the CPU.

    `scales`: sizes the picture is looked at, 1 = 368 pixels high; published are .5, and .5, 1, 1.5, 2 for
    the most exact. `threshold`: joints with a lower score are missing. The network knows neither masks nor
    regions: masks come from the poses by GrabCut, regions are all 0. Raises ValueError for a tensor that is
    no picture.
    """
    pictures = image_to_bchw(image)
    progress = runtime.progress(len(pictures), "Finding poses")
    found = []
    with runtime.use(net, MEMORY) as (module, device):
        for picture in pictures:
            maps = [look(module, picture.to(device), scale) for scale in scales]
            poses = to_poses(decode(maps, runtime.check_interrupt), picture, threshold)[:max_people]
            found.append(_detection(picture, poses))
            progress.update()
    return found


def look(net: nn.Module, picture: Tensor, scale: float) -> ScaleMaps:
    """`picture` [3,H,W] 0..1 on the network's device -> its maps at one scale."""
    height, width = picture.shape[1:]
    resized = shrink((picture * 255).round().flip(0), scale)
    x = pad(resized)
    fields, heats = net((x / 256 - 0.5)[None])
    rows, columns = (enlargement(size, inner, outer).to(picture) for size, inner, outer in zip(
        (height, width), resized.shape[1:], x.shape[1:], strict=True))
    return ScaleMaps(fields[0].float(), heats[0].float(), rows, columns)


def shrink(picture: Tensor, scale: float) -> Tensor:
    """[3,H,W] 0..255 at `scale` times 368 pixels of height, in whole numbers: OpenCV's cubic, by the exact
    factor."""
    height, width = picture.shape[1:]
    factor = min(scale * BOX / height, LONGEST / max(height, width))
    resized = cubic(picture.movedim(1, 0), max(1, round(height * factor)), factor)                # [h,3,W]
    resized = cubic(resized.movedim(2, 0), max(1, round(width * factor)), factor)                 # [w,h,3]
    return resized.movedim((2, 1, 0), (0, 1, 2)).round().clamp(0, 255)


def pad(picture: Tensor) -> Tensor:
    """[3,h,w], grey at the right and below, up to multiples of 8."""
    height, width = picture.shape[1:]
    return F.pad(picture, (0, -width % STRIDE, 0, -height % STRIDE), value=GREY)


def enlargement(size: int, resized: int, padded: int) -> Tensor:
    """[size,padded/8] float64: eightfold, without the padding, and to `size`; all cubic."""
    identity = torch.eye(padded // STRIDE, dtype=torch.float64)
    return cubic(cubic(identity, padded)[:resized], size)


def to_poses(bodies: Bodies, picture: Tensor, threshold: float) -> list[Pose]:
    """Best total score first; people without a joint above `threshold` are left out."""
    height, width = picture.shape[1:]
    poses = []
    for row in bodies.people[bodies.people[:, 18].argsort(descending=True, stable=True)]:
        x, y, score, _ = bodies.peaks[row[:18].long()].T           # [18] each; -1 reads the last peak
        score = score * ((row[:18] >= 0) & (score >= threshold))
        if score.any():
            poses.append(Pose(torch.stack([x, y], 1) + 0.5, score, width, height))
    return poses


def _detection(picture: Tensor, poses: Sequence[Pose]) -> Detection:
    height, width = picture.shape[1:]
    masks = grabcut_people(picture, poses)
    order = masks.sum((1, 2)).argsort(descending=True, stable=True)
    frame = PoseFrame(width, height, tuple(poses[i] for i in order))
    return Detection(frame, masks[order], torch.zeros(height, width, dtype=torch.uint8))
