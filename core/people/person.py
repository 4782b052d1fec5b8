"""What the modules of this folder hand to each other."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one picture.

    `mask`: [H,W] bool, the undilated segmentation. `keypoints`: [17,3] COCO, x and y in pixels of the picture
    and visibility 0 or 1.
    """

    mask: Tensor
    keypoints: Tensor


@dataclass(frozen=True)
class CropBox:
    """Pixels of the picture, right and bottom exclusive; may reach outside the picture."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def clipped(self, height: int, width: int) -> CropBox:
        """The part inside a picture; width or height 0 when there is none."""
        x0, y0 = min(max(self.x0, 0), width), min(max(self.y0, 0), height)
        return CropBox(x0, y0, max(x0, min(self.x1, width)), max(y0, min(self.y1, height)))

    def meets(self, other: CropBox) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


@dataclass(frozen=True)
class CropSettings:
    """How a person is cut out; the defaults are TriA-GAN's (FB_triagan).

    `height`, `width`: size of the crop handed to the network. `background`: least share of a box that is not
    the person. `margin`: growth of the tight box, as a share of the root of its area. `minimum_area`: smaller
    boxes (pixels, after growth) are dropped. `dilation`: width of the rim that the hole adds to a person, as
    a share of the root of the crop's area.
    """

    height: int = 288
    width: int = 160
    background: float = 0.3
    margin: float = 0.1
    minimum_area: int = 1024
    dilation: float = 0.02


@dataclass(frozen=True, eq=False)
class PersonCrop:
    """A person at network size.

    `image`: [3,h,w] 0..1 in steps of 1/255. `mask`: [1,h,w] 0 or 1 = the hole to paint (dilated).
    `segmentation`: [1,h,w] 0 or 1 = the person. `keypoints`: [17,3] x and y as a share of the box, visibility
    0 for joints outside it. `outline`: [1,h',w'] bool = the person in the picture's own pixels, in that part
    of the box which lies in the picture.
    """

    box: CropBox
    image: Tensor
    mask: Tensor
    segmentation: Tensor
    keypoints: Tensor
    outline: Tensor
