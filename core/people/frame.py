"""A person as a network sees them: a window of the picture at the network's size, and the way back."""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose import Pose
from .boxes import tight_box
from .person import CropBox
from .silhouette import Silhouette

GREY = 0.5                                                # what lifted people stand on
TALL, WIDE = 0.85, 0.87                                   # most of a frame that its person takes, as trained
_LEAST_OPACITY = 1 / 255                                  # below which a colour cannot be told
_RIM = 2                                                  # pixels of a drawing that are greyish


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a network drew, on the CPU: `picture` [N,3,h,w] 0..1, and `opacity` [N,h,w] 0..1 of the person, if
    the network knows it."""

    picture: Tensor
    opacity: Tensor | None

    @classmethod
    def read(cls, planes: Tensor) -> Drawn:
        """Planes [N,3,h,w] or [N,4,h,w] 0..1, the fourth the opacity of a person drawn on grey, whose share
        of the colours is taken out: C = a F + (1 - a) grey."""
        colours, opacity = planes[:, :3].float().cpu(), planes[:, 3:].float().cpu()
        if planes.shape[1] == 3:
            return cls(colours, None)
        freed = GREY + (colours - GREY) / opacity.clamp(min=_LEAST_OPACITY)
        return cls(freed.clamp(0, 1), opacity[:, 0])

    def each(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Picture [3,h,w] and opacity [h,w], one person after the other."""
        yield from zip(self.picture, itertools.repeat(None) if self.opacity is None else self.opacity,
                       strict=False)


def clean_rim(picture: Tensor, opacity: Tensor) -> Tensor:
    """[3,h,w] with [h,w] of `Drawn`: colours of the person within for the person's rim.

    Networks draw rims softer in colour than in opacity, which leaves them greyish.
    """
    near, inside = (-F.max_pool2d(-opacity[None], 2 * reach + 1, 1, reach) for reach in (1, _RIM))   # [1,h,w]
    weight = inside.square() + 0.1 * near.square() + _LEAST_OPACITY * opacity + 1e-6
    sums = torch.cat([picture * weight, weight])
    for _ in range(2):
        sums = F.avg_pool2d(sums, 2 * _RIM + 1, 1, _RIM)
    return torch.lerp(sums[:3] / sums[3:], picture, (near + inside) / 2)


def smoothed(opacity: Tensor) -> Tensor:
    """[h,w] blurred by a pixel, so that a steepened outline shows no stairs."""
    taps = torch.tensor([0.25, 0.5, 0.25])
    padded = F.pad(opacity[None, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, torch.outer(taps, taps)[None, None])[0, 0]


# Target joints [N,18,2] in pixels of the frame, and backgrounds [N,3,h,w] for networks that take one.
Artist = Callable[[Tensor, Tensor | None], Drawn]


@dataclass(frozen=True)
class Frame:
    """A window of a picture, `height` x `width` pixels of its own.

    `x0`, `y0`: its upper left corner in the picture's pixels, whole or not, also outside. `pixel`: side of a
    pixel of the frame, in pixels of the picture.
    """

    x0: float
    y0: float
    pixel: float
    height: int
    width: int

    def joints(self, pose: Pose) -> Tensor:
        """[18,2] of a pose on the picture, in pixels of the frame, NaN = missing."""
        return torch.where(pose.present[:, None], self.inwards(pose.keypoints), torch.nan)

    def inwards(self, points: Tensor) -> Tensor:
        """[...,2] x, y in the picture (pixel centres at .5) -> pixels of the frame (centres at integers)."""
        return (points - points.new_tensor([self.x0, self.y0])) / self.pixel - 0.5

    def outwards(self, points: Tensor) -> Tensor:
        """The way back."""
        return (points + 0.5) * self.pixel + points.new_tensor([self.x0, self.y0])

    def box(self, height: int, width: int) -> CropBox:
        """The pixels of a picture of this size that the frame shows."""
        right, bottom = self.x0 + self.pixel * self.width, self.y0 + self.pixel * self.height
        return CropBox(math.floor(self.x0), math.floor(self.y0), math.ceil(right), math.ceil(bottom)).clipped(
            height, width)

    def seen_from(self, box: CropBox) -> Frame:
        """The same frame of the part of the picture in a box."""
        return replace(self, x0=self.x0 - box.x0, y0=self.y0 - box.y0)

    def cut(self, planes: Tensor, outside: float | None = None) -> Tensor:
        """Picture [C,H,W] -> frame [C,h,w]. `outside`: the value beyond the picture's border; None repeats
        the border."""
        rows = _weights(self.y0, self.pixel, self.height, planes.shape[1], outside is None)
        columns = _weights(self.x0, self.pixel, self.width, planes.shape[2], outside is None)
        if outside is None:
            return _resampled(planes, rows, columns)
        return _resampled(planes - outside, rows, columns) + outside

    def laid(self, planes: Tensor, box: CropBox) -> Tensor:
        """Frame [C,h,w] -> [C,box height,box width], as it looks in a box of the picture."""
        grain = 1 / self.pixel
        rows = _weights((box.y0 - self.y0) * grain, grain, box.height, self.height, True)
        columns = _weights((box.x0 - self.x0) * grain, grain, box.width, self.width, True)
        return _resampled(planes, rows, columns)


def frame_person(pose: Pose, mask: Tensor | None, height: int, width: int) -> Frame | None:
    """The frame of `height` x `width` pixels with a person in the middle, as large as in training.

    The person is the silhouette of the pose, inside the picture or not, and the mask [H,W] bool. None when
    neither shows anything.
    """
    boxes = [*_extent(Silhouette(pose)), *_mask_extent(mask)]                      # K of [4]
    if not boxes:
        return None
    corners = torch.stack(boxes)
    (x0, y0), (x1, y1) = corners[:, :2].amin(0).tolist(), corners[:, 2:].amax(0).tolist()
    pixel = max((y1 - y0) / (TALL * height), (x1 - x0) / (WIDE * width))
    return Frame((x0 + x1 - pixel * width) / 2, (y0 + y1 - pixel * height) / 2, pixel, height, width)


def _extent(body: Silhouette) -> list[Tensor]:
    """x0, y0, x1, y1 of a silhouette, if it has any."""
    start, end, radii = body.capsules.double().tensor_split((2, 4), 1)             # [K,2] each
    if not len(start):
        return []
    ends, reach = torch.cat([start, end]), radii.T.reshape(-1, 1)                  # [2K,2], [2K,1]
    return [torch.cat([(ends - reach).amin(0), (ends + reach).amax(0)])]


def _mask_extent(mask: Tensor | None) -> list[Tensor]:
    box = None if mask is None else tight_box(mask)
    return [] if box is None else [torch.tensor([box.x0, box.y0, box.x1, box.y1], dtype=torch.float64)]


def _resampled(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[C,H,W] by weights [h,H] and [w,W] -> [C,h,w]; of a large picture only the used part is looked at."""
    (top, bottom), (left, right) = (_used(weights) for weights in (rows, columns))
    return rows[:, top:bottom] @ planes[:, top:bottom, left:right] @ columns[:, left:right].T


def _used(weights: Tensor) -> tuple[int, int]:
    """From the first to after the last column with a weight."""
    used = weights.any(0).nonzero()
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)


def _weights(start: float, step: float, count: int, size: int, repeat: bool) -> Tensor:
    """[count,size]: samples `step` pixels apart, the first pixel's edge at `start`, from `size` pixels.

    A triangle as wide as two steps when shrinking, Catmull and Rom's cubic when enlarging. What lies beyond
    the border is the border's pixel again (`repeat`) or 0.
    """
    wide = max(step, 1.0)
    reach = math.ceil(2 * wide)
    centres = (start + (torch.arange(count, dtype=torch.float64) + 0.5) * step).clamp(-reach, size + reach)
    places = torch.arange(-2 * reach, size + 2 * reach)
    distance = (places + 0.5 - centres[:, None]).abs() / wide                      # [count,taps]
    heights = (1 - distance).clamp(min=0) if step >= 1 else _catmull_rom(distance)
    heights = heights / heights.sum(1, keepdim=True)
    if not repeat:
        return heights[:, 2 * reach:2 * reach + size].float()
    folded = torch.zeros(count, size, dtype=torch.float64)
    return folded.index_add_(1, places.clamp(0, size - 1), heights).float()


def _catmull_rom(t: Tensor) -> Tensor:
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0))
