"""Detail for enlarged people: what the source's pixels show beyond the network's resolution, moved along.

Every part of the body is moved from the source picture to the target pose at full resolution, and aligned
with what the network drew. Where it then looks like that, its finer detail is added.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose import Pose
from ..pose.parts import TORSO, inside_polygons, part_masks, part_transforms, trunk_length
from .align import LEAST_SHARE, alignment, blurred, sampled
from .boxes import tight_box
from .frame import GREY, Frame
from .person import CropBox

_ALIKE = 0.08                                             # difference of colours that still counts as alike
_FLAT = 1e-3                                              # variance of colours without a pattern to compare
_STRICT = 3                                               # power of the patterns' correlation
_AROUND = 2                                               # reach of the comparison, pixels of the frame
_TRUNK_RIM = 0.15                                         # of the trunk beyond its joints, in its lengths
_BLURS = (0.0, 0.5, 0.8, 1.1, 1.5, 2.0)                   # how soft a network may draw, pixels of the frame


@dataclass(frozen=True, eq=False)
class Sitter:
    """The person to move: `picture` [3,H,W] 0..1, their `mask` [H,W] 0..1, their `frame` in the picture and
    their `joints` [18,2] in its pixels, centres at integers, NaN = missing."""

    picture: Tensor
    mask: Tensor
    frame: Frame
    joints: Tensor

    @cached_property
    def planes(self) -> Tensor:
        """[4,H,W], colours times mask, and the mask."""
        return torch.cat([self.picture * self.mask, self.mask[None]])

    @cached_property
    def small(self) -> Tensor:
        """[4,h,w], the planes in the frame."""
        return self.frame.cut(self.planes, 0.0)

    def fine(self, pixel: float) -> tuple[Tensor, Frame]:
        """The planes around the frame, and their place: as they are, or smaller for a target whose frame has
        pixels of a smaller side `pixel`."""
        box, grain = self.frame.box(*self.mask.shape), max(1, int(self.frame.pixel / pixel))
        planes = self.planes[:, box.y0:box.y1, box.x0:box.x1]
        planes = F.avg_pool2d(F.pad(planes, (0, -box.width % grain, 0, -box.height % grain)), grain)
        return planes, Frame(box.x0, box.y0, grain, planes.shape[1], planes.shape[2])


@dataclass(frozen=True, eq=False)
class Wanted:
    """The target: `joints` [18,2] in pixels of its `frame`, NaN = missing, and the `box` of its picture that
    is to be filled."""

    joints: Tensor
    frame: Frame
    box: CropBox

    @property
    def pose(self) -> Pose:
        """With the frame as its canvas."""
        there = self.joints.isfinite().all(1)
        return Pose(self.joints + 0.5, there.float(), self.frame.width, self.frame.height)


@dataclass(frozen=True, eq=False)
class MovedPart:
    """One part of the source where the target has it, in a `window` of the target's picture.

    `planes`: [4,h,w], colours times the share of the source person in the pixel, and the share. `mask`: [H,W]
    0..1 of the target's frame, where the part belongs. `frame`: as seen from the window.
    """

    window: CropBox
    planes: Tensor
    mask: Tensor
    frame: Frame

    @property
    def colours(self) -> Tensor:
        return colours_of(self.planes)

    def laid(self, planes: Tensor) -> Tensor:
        """Planes of the frame [C,H,W] -> [C,h,w] in the window."""
        return self.frame.laid(planes, CropBox(0, 0, self.window.width, self.window.height))


def colours_of(planes: Tensor) -> Tensor:
    """[4,h,w], colours times share, and share -> colours [3,h,w]."""
    return planes[:3] / planes[3].clamp(min=LEAST_SHARE)


def warp_preview(sitter: Sitter, target: Wanted) -> Tensor:
    """[3,h,w] of the target's box: the moved parts one over another on grey, where the poses place them."""
    picture = torch.full((3, target.box.height, target.box.width), GREY)
    transforms, masks = _parts(sitter, target)
    for part in _moved(sitter, target, transforms, masks, torch.zeros(len(masks), 2, 1, 1)):
        share = part.planes[3] * part.laid(part.mask[None])[0].clamp(0, 1)
        window = picture[_inside(part.window, target.box)]
        window.copy_(torch.lerp(window, part.colours.clamp(0, 1), share))
    return picture


def finer_detail(sitter: Sitter, target: Wanted, drawn: Tensor, opacity: Tensor) -> Tensor:
    """[3,h,w], what to add to the enlarged picture in the target's box.

    `drawn`: [3,H,W] 0..1 and `opacity`: [H,W] 0..1, what the network drew in the target's frame. Each pixel
    takes the part that looks most like it and what is around it, as far as it does.
    """
    transforms, masks = _parts(sitter, target)
    shifts = alignment(sitter.small, _sources(transforms, _pixels(target.frame)), drawn, opacity * masks)
    parts = list(_moved(sitter, target, transforms, masks, shifts.movedim(-1, 1)))
    seen = [part.frame.cut(part.planes, 0.0) for part in parts]                    # [4,H,W] each
    sure = [_confidence(planes, drawn, opacity * part.mask) * part.mask
            for planes, part in zip(seen, parts, strict=True)]
    soft = _blur_of(drawn, seen, sure)
    detail, surest = (torch.zeros(count, target.box.height, target.box.width) for count in (3, 1))
    for part, planes, confidence in zip(parts, seen, sure, strict=True):
        laid = part.laid(torch.cat([_gaussian(planes, soft), confidence[None]]))   # [5,h,w]
        share = laid[4:].clamp(0, 1) * part.planes[3:]
        place = _inside(part.window, target.box)
        better = share > surest[place]
        detail[place] = torch.where(better, share * (part.colours - colours_of(laid)), detail[place])
        surest[place] = torch.maximum(share, surest[place])
    return detail


def _parts(sitter: Sitter, target: Wanted) -> tuple[Tensor, Tensor]:
    """Transforms [K,2,3], target pixel -> source pixel, in pixels of the frames, and masks [K,H,W]."""
    ours, theirs = sitter.joints[None].double(), target.joints[None].double()
    return part_transforms(ours, theirs)[0].float(), _soft_masks(theirs, target.frame)


def _soft_masks(joints: Tensor, frame: Frame) -> Tensor:
    """[10,H,W] 0..1, where the parts of joints [1,18,2] belong: the network's, but the trunk with a rim only
    instead of all of the frame."""
    size = frame.height, frame.width
    masks = part_masks(joints, size)[0].float()
    rows, columns = (torch.arange(side) for side in size)
    trunk = inside_polygons(joints[:, list(TORSO)], rows, columns).float()         # [1,H,W]
    rim = math.ceil(_TRUNK_RIM * float(trunk_length(joints).nan_to_num()))
    masks[0] = F.max_pool2d(trunk, 2 * rim + 1, 1, rim)[0]
    return blurred(masks[None], 1)[0]


def _moved(sitter: Sitter, target: Wanted, transforms: Tensor, masks: Tensor,
           shifts: Tensor) -> Iterator[MovedPart]:
    """The parts that show in the box. `shifts`: [K,2,H,W], or [K,2,1,1], in pixels of the source's frame."""
    fine, place = sitter.fine(target.frame.pixel)
    for transform, mask, shift in zip(transforms, masks, shifts, strict=True):
        window = _window(mask, target)
        if window is None:
            continue
        seen = target.frame.seen_from(window)
        part = MovedPart(window, fine, mask, seen)
        points = _sources(transform[None], seen.inwards(_centres(window.height, window.width)))[0]
        points = points + part.laid(shift.expand(-1, *mask.shape)).movedim(0, -1)  # [h,w,2]
        points = place.inwards(sitter.frame.outwards(points))
        yield replace(part, planes=sampled(fine[None], points[None])[0])


def _sources(transforms: Tensor, points: Tensor) -> Tensor:
    """[K,2,3] applied to points [h,w,2]: [K,h,w,2]."""
    return points @ transforms[:, None, :, :2].mT + transforms[:, None, None, :, 2]


def _centres(height: int, width: int) -> Tensor:
    """[h,w,2] x, y of pixels, centres at .5."""
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)


def _pixels(frame: Frame) -> Tensor:
    """[H,W,2] x, y of a frame's pixels, centres at integers."""
    return _centres(frame.height, frame.width) - 0.5


def _window(mask: Tensor, target: Wanted) -> CropBox | None:
    """The part of the target's box in which a mask of its frame shows something."""
    tight, frame, box = tight_box(mask > 0), target.frame, target.box
    if tight is None:
        return None
    part = replace(frame, x0=frame.x0 + tight.x0 * frame.pixel, y0=frame.y0 + tight.y0 * frame.pixel,
                   height=tight.height, width=tight.width)
    seen = part.box(box.y1, box.x1)
    window = CropBox(max(seen.x0, box.x0), max(seen.y0, box.y0), seen.x1, seen.y1)
    return window if window.width > 0 and window.height > 0 else None


def _inside(window: CropBox, box: CropBox) -> tuple[slice, slice, slice]:
    """Index of a window's pixels in planes of the box around it."""
    return (slice(None), slice(window.y0 - box.y0, window.y1 - box.y0),
            slice(window.x0 - box.x0, window.x1 - box.x0))


def _confidence(moved: Tensor, drawn: Tensor, weight: Tensor) -> Tensor:
    """[H,W] 0..1: how much a moved part [4,H,W] looks like the drawn picture around each pixel: in its
    colours, and in its pattern where there is one."""
    weight = moved[3:].clamp(0, 1) * weight
    sides = torch.stack([colours_of(moved), drawn])                                # [2,3,H,W]
    squares, product = sides.square().sum(1), sides.prod(0).sum(0)                 # [2,H,W], [H,W]
    planes = torch.cat([*sides, squares, product[None], torch.ones_like(weight)]) * weight
    sums = blurred(planes[None], _AROUND)[0]                                       # [10,H,W]
    means = sums[:9] / sums[9].clamp(min=1e-6)
    first, second, squares, product = means[:3], means[3:6], means[6:8], means[8]
    error = (squares.sum(0) - 2 * product) / 3
    variances = squares - torch.stack([first, second]).square().sum(1)
    common = product - (first * second).sum(0)
    pattern = ((common + _FLAT) / (variances.clamp(min=0).prod(0).sqrt() + _FLAT)).clamp(0, 1)
    seen = (sums[9] / LEAST_SHARE).clamp(max=1) * moved[3].clamp(0, 1)
    return (-error / (2 * _ALIKE**2)).exp() * pattern**_STRICT * seen


def _blur_of(drawn: Tensor, seen: Sequence[Tensor], sure: Sequence[Tensor]) -> float:
    """The blur that makes the moved parts most like the drawn picture: networks draw softer than they could,
    and their detail lacks from there on."""
    def error(sigma: float) -> float:
        return sum(float((confidence * (colours_of(_gaussian(planes, sigma)) - drawn).square()).sum())
                   for planes, confidence in zip(seen, sure, strict=True))

    return min(_BLURS, key=error)


def _gaussian(planes: Tensor, sigma: float) -> Tensor:
    """[C,h,w] blurred; the border is repeated."""
    if not sigma:
        return planes
    reach = math.ceil(3 * sigma)
    taps = (-0.5 * (torch.arange(-reach, reach + 1) / sigma)**2).exp()
    taps, wide = taps / taps.sum(), F.pad(planes[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))[:, 0]
