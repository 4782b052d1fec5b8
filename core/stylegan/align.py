"""People in the frame of generators that were trained on aligned people, and back in the photograph.

The alignment of StyleGAN-Human (Fu et al. 2022, arXiv 2204.11823): the body's middle in the middle of a frame
as high as the person and a little more.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..image import distance_to, fit_mask, resize
from ..people.background import without_person
from ..people.boxes import tight_box
from ..people.detail import colours_of
from ..people.frame import Frame, clean_rim, smoothed
from ..people.silhouette import Silhouette
from ..pose import JOINTS, Pose

MARGIN = 0.05                                             # of the person's height, above and below


@dataclass(frozen=True, eq=False)
class Aligned:
    """`picture`: [3,h,w] 0..1, the person in the generator's frame. `mask`: [h,w] 0..1, where they are in it,
    None when that is not known. `frame`: where it lies in the photograph. `plain`: what is beside the person
    does not come from there."""

    picture: Tensor
    mask: Tensor | None
    frame: Frame
    plain: bool = False

    @property
    def opacity(self) -> Tensor:
        """[h,w] 0..1: the mask, or else everything."""
        return torch.ones_like(self.picture[0]) if self.mask is None else self.mask

    def share(self, photograph: Tensor) -> Tensor:
        """[H,W] 0..1: the person in every pixel of the photograph."""
        return lay_back(photograph, self.picture, self.frame, self.opacity)[1]


def align_person(picture: Tensor, pose: Pose, mask: Tensor | None, height: int, width: int,
                 behind: float | None = None) -> Aligned:
    """Cuts a person out of a photograph [3,H,W] 0..1, `height` x `width` pixels.

    `pose`: on the photograph. `mask`: [H,W] 0..1 of the person; None: as large as the pose's silhouette.
    `behind`: the grey the person is put on, 1 = white as the published data has it; None keeps what is there.
    Beyond the photograph its border goes on. Raises ValueError for a plain background without a mask, a pose
    without neck, shoulders and hips, and a mask of nobody.
    """
    if behind is not None and mask is None:
        raise ValueError("A plain background needs the person's mask; connect one or keep the background.")
    frame = aligned_frame(pose, mask, height, width)
    if mask is None:
        return Aligned(frame.cut(picture).clamp(0, 1), None, frame)
    if behind is not None:
        picture = torch.lerp(torch.full_like(picture, behind), picture, mask)
    cut = frame.cut(torch.cat([picture, mask[None]])).clamp(0, 1)                  # [4,h,w]
    return Aligned(cut[:3], cut[3], frame, behind is not None)


def align_nobody(picture: Tensor, height: int, width: int) -> Aligned:
    """The middle of a picture [3,H,W] in which there is nobody to align."""
    frame = middle_frame(picture, height, width)
    return Aligned(frame.cut(picture).clamp(0, 1), torch.zeros(height, width), frame)


def middle_frame(picture: Tensor, height: int, width: int) -> Frame:
    """The largest frame in the middle of a picture [C,H,W]."""
    rows, columns = picture.shape[1:]
    pixel = min(rows / height, columns / width)
    return Frame((columns - pixel * width) / 2, (rows - pixel * height) / 2, pixel, height, width)


def aligned_frame(pose: Pose, mask: Tensor | None, height: int, width: int) -> Frame:
    """The frame round the middle of the trunk, from a pose and perhaps a mask [H,W] of the same picture."""
    x0, y0, x1, y1 = _extent(pose, mask)
    centre, middle = trunk_centre(pose), (y0 + y1) / 2
    tall = (y1 - y0) * (1 + 2 * MARGIN)
    wide = 2 * max(x1 - centre, centre - x0)
    pixel = max(tall / height, wide / width)
    return Frame(centre - pixel * width / 2, middle - pixel * height / 2, pixel, height, width)


def _extent(pose: Pose, mask: Tensor | None) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the person."""
    if mask is not None:
        box = tight_box(mask > 0.5)
        if box is None:
            raise ValueError("The mask shows nobody; give the mask of the person to align.")
        return box.x0, box.y0, box.x1, box.y1
    found = Silhouette(pose).box
    if found is None:
        raise ValueError("The pose has too few joints to tell how large the person is; connect a mask.")
    return found


def trunk_centre(pose: Pose) -> float:
    """x between the neck (or the shoulders) and the hips."""
    x = dict(zip(JOINTS, torch.where(pose.present, pose.keypoints[:, 0], torch.nan), strict=True))
    shoulders, hips = (torch.stack([x[f"right_{name}"], x[f"left_{name}"]]).nanmean()
                       for name in ("shoulder", "hip"))
    centre = ((shoulders if x["neck"].isnan() else x["neck"]) + hips) / 2
    if centre.isnan():
        raise ValueError("The pose lacks neck and shoulders, or both hips, between which the person's middle "
                         "lies; choose a picture that shows the trunk.")
    return float(centre)


def lay_back(photograph: Tensor, drawn: Tensor, frame: Frame, mask: Tensor | None = None,
             feather: float = 0.0) -> tuple[Tensor, Tensor]:
    """What a generator drew, [3,h,w] 0..1, over the photograph [3,H,W] that the frame was cut from.

    Returns the picture and its share [H,W] 0..1 in every pixel; where that is 0 the photograph is the same
    bit by bit. `mask`: [h,w] 0..1, what of it counts; None: all. `feather`: pixels of the photograph over
    which the rim fades.
    """
    height, width = photograph.shape[1:]
    box = frame.box(height, width)
    share, out = torch.zeros(height, width), photograph.clone()
    if not box.width or not box.height:
        return out, share
    window = slice(box.y0, box.y1), slice(box.x0, box.x1)
    opacity = torch.ones_like(drawn[0]) if mask is None else mask
    laid = frame.laid(torch.cat([drawn * opacity, opacity[None]]), box)            # [4,h',w']
    share[window] = laid[3].clamp(0, 1)
    if feather:
        share *= (distance_to((share < 0.5)[None])[0] / (feather + 1)).clamp(max=1)
    place = slice(None), *window
    out[place] = torch.lerp(photograph[place], colours_of(laid).clamp(0, 1), share[window])
    return out, share


def paste_aligned(photograph: Tensor, drawn: Tensor, aligned: Aligned, mask: Tensor | None = None,
                  feather: float = 0.0) -> Tensor:
    """What became of an aligned person, [3,h,w] 0..1 of any size, over the photograph [3,H,W].

    `mask`: [h,w] 0..1, where the person is now; then what was behind the old one is guessed, so that nothing
    of a moved limb is left. Without it they are where they were. `feather`: as for `lay_back`.
    """
    height = drawn.shape[1]
    width = max(1, round(height * aligned.frame.width / aligned.frame.height))
    frame = replace(aligned.frame, pixel=aligned.frame.pixel * aligned.frame.height / height, height=height,
                    width=width)
    opacity = fit_mask(aligned.opacity if mask is None else mask, height, width)[0]
    drawn = resize(drawn[None], height, width)[0]
    if mask is not None and aligned.mask is not None:
        photograph = without_person(photograph, aligned.share(photograph) > 0)
    if mask is not None or aligned.plain:
        drawn = clean_rim(drawn, opacity)
    return lay_back(photograph, drawn, frame, opacity if mask is None else smoothed(opacity), feather)[0]
