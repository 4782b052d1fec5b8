"""People of pictures of any size drawn in other poses, by any network that transfers poses.

Each person is cut out with the network's frame, drawn in the frame of the target pose, enlarged and laid over
a background. Detail that the network is too small for is moved there from the source picture.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints.system import LoadedNet
from .deformable import infer as deformable
from .image import distance_to, fit_mask, image_to_bchw, resize
from .people import grabcut_people, mask_from_pose, split_mask
from .people.background import without_person
from .people.detail import Sitter, Wanted, colours_of, finer_detail, warp_preview
from .people.frame import GREY, Frame, clean_rim, frame_person, smoothed
from .pg2 import infer as pg2
from .pose import Pose, fit_pose
from .runtime import Progress, Runtime

BACKGROUNDS = ("keep", "fill", "plain")
BATCH = 8                                                 # poses at once on an accelerator
PLANES = 1000                                             # of a frame's size alive at once for a pose, about
SYSTEMS: dict[str, ModuleType] = {"deformable": deformable, "pg2": pg2}
_LIKELY = 0.5                                             # overlap with the silhouette for GrabCut to count
_FINER = 3                                                # by which a drawing is enlarged for GrabCut
_STEEPEST = 4.0                                           # of an enlarged rim, times its slope
_NOBODY = 0.05                                            # opacity up to which there is nobody
_FAR = 100                                                # pictures that a person may be large


@dataclass(frozen=True)
class TransferSettings:
    """How a drawn person comes into the picture.

    `detail`: how much of the source's own fine detail is added, 0..1. `background`: "keep" lays the person
    over the source picture as it is, "fill" takes the old person out first, "plain" is grey. `feather`:
    pixels over which the outline fades. Raises ValueError for another background.
    """

    detail: float = 0.0
    background: str = "keep"
    feather: float = 0.0

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ValueError(f"background should be one of {', '.join(BACKGROUNDS)}; "
                             f"got {self.background!r}.")


@dataclass(frozen=True, eq=False)
class Transferred:
    """`pictures`: [B,H,W,3] 0..1. `mask`: [B,H,W] 0..1, the new person; where it is 0 a picture is its
    background, bit by bit. `previews`: [B,H,W,3], the source's own pixels moved part by part, on grey.
    `source_masks`: [B,h,w] 0..1, the person in the source picture."""

    pictures: Tensor
    mask: Tensor
    previews: Tensor
    source_masks: Tensor


@dataclass(frozen=True, eq=False)
class _Source:
    """A source picture's person, and what becomes of the `background`."""

    sitter: Sitter
    background: str

    @cached_property
    def backdrop(self) -> Tensor:
        """[3,H,W], what new people are laid over."""
        picture = self.sitter.picture
        if self.background == "plain":
            return torch.full_like(picture, GREY)
        return without_person(picture, self.sitter.mask > 0) if self.background == "fill" else picture

    def shown(self, lifted: bool) -> Tensor:
        """[3,h,w], what a network sees: the person on grey, or the picture as it is."""
        if not lifted:
            return self.sitter.frame.cut(self.sitter.picture).clamp(0, 1)
        planes = self.sitter.small
        return (planes[:3] + (1 - planes[3]) * GREY).clamp(0, 1)


def transfer_people(net: LoadedNet, image: Tensor, subjects: Sequence[Pose], targets: Sequence[Pose], *,
                    masks: Tensor | None = None, background: Tensor | None = None,
                    settings: TransferSettings | None = None, runtime: Runtime) -> Transferred:
    """Draws the person of each picture in a new pose; shorter batches and lists repeat.

    `image`: [B,H,W,C] 0..1. `subjects`: how the people in them stand. `targets`: how they shall stand; the
    whole canvas is fitted into the result. `masks`: any graph mask of the people; None: made from the poses.
    `background`: [B,h,w,C], what they are laid over, of the result's size; None: what `settings` say, and the
    result is as large as `image`.

    Raises ValueError for inputs that do not fit, for poses without the joints that the network needs, and
    where nobody is to be seen. An interrupt, or memory for not even one pose, leaves all inputs as they were.
    """
    settings, pictures = settings or TransferSettings(), image_to_bchw(image)
    known = [None] if masks is None else list(fit_mask(masks, *pictures.shape[2:]))
    backdrops = None if background is None else image_to_bchw(background, "background")
    _check_poses(net, subjects, targets)
    height, width = (pictures if backdrops is None else backdrops).shape[2:]
    wanted = [_wanted(net, fit_pose(pose, width, height), f"target pose {number}")
              for number, pose in enumerate(targets, 1)]
    count = max(len(some) for some in (pictures, subjects, targets, known, backdrops) if some is not None)
    groups: dict[tuple[int, ...], list[int]] = {}          # picture, subject, mask -> items of the result
    for item in range(count):
        key = tuple(item % len(some) for some in (pictures, subjects, known))
        groups.setdefault(key, []).append(item)
    progress = runtime.progress(count, "transferring poses")
    with runtime.use(net, _memory(net) * min(BATCH, count)) as (module, device):
        size = count, height, width
        out = Transferred(torch.empty(*size, 3), torch.zeros(size), torch.full((*size, 3), GREY),
                          torch.empty(count, *pictures.shape[2:]))
        studio = _Studio(net, module, device, runtime, wanted, backdrops, settings, progress, out)
        for (picture, subject, mask), items in groups.items():
            sitter = _sitter(net, pictures[picture], subjects[subject], known[mask], picture + 1)
            studio.draw(_Source(sitter, settings.background), items)
    return out


def frame_size(net: LoadedNet) -> tuple[int, int]:
    """Height and width the network draws. Raises ValueError for another kind of network."""
    return _system(net).frame_size(net)


def refusal(net: LoadedNet, subject: Pose, target: Pose) -> str:
    """Why these two poses are nothing for the network, in a sentence; "" when they are."""
    try:
        _check_poses(net, [subject], [target])
        _wanted(net, target, "target pose")
    except ValueError as error:
        return str(error)
    return ""


@dataclass(eq=False)
class _Studio:
    """Draws items into `out` with a network lent on `device`. `batch`: poses at once; one on a CPU, so that
    pixels there cannot depend on the company."""

    net: LoadedNet
    module: nn.Module
    device: torch.device
    runtime: Runtime
    wanted: Sequence[Wanted]
    backdrops: Tensor | None
    settings: TransferSettings
    progress: Progress
    out: Transferred

    def __post_init__(self) -> None:
        self.batch = 1 if self.device.type == "cpu" else BATCH

    def draw(self, source: _Source, items: Sequence[int]) -> None:
        """All items with one source, which the network looks at once. Where memory runs out, half as many
        poses at a time from there on."""
        system = _system(self.net)
        artist = system.artist(self.module, self.net, self.device, source.shown(system.lifted(self.net)),
                               source.sitter.joints)
        while items:
            now = [(item, self.wanted[item % len(self.wanted)], self._backdrop(source, item))
                   for item in items[:self.batch]]
            behind = torch.stack([wanted.frame.cut(backdrop).clamp(0, 1) for _, wanted, backdrop in now]) \
                if system.takes_background(self.net) else None
            try:
                drawn = artist(torch.stack([wanted.joints for _, wanted, _ in now]), behind)
            except Exception as error:
                if len(now) == 1 or not self.runtime.is_oom(error):
                    raise
                self.batch = len(now) // 2
                continue
            for (item, wanted, backdrop), one in zip(now, drawn.each(), strict=True):
                self._finish(source.sitter, item, wanted, backdrop, *one)
                self.progress.update(preview=self.out.pictures[item])
            items = items[len(now):]

    def _backdrop(self, source: _Source, item: int) -> Tensor:
        return source.backdrop if self.backdrops is None else self.backdrops[item % len(self.backdrops)]

    def _finish(self, sitter: Sitter, item: int, wanted: Wanted, backdrop: Tensor, picture: Tensor,
                opacity: Tensor | None) -> None:
        """Enlarges what was drawn in a frame, `picture` [3,h,w] and `opacity` [h,w], and lays it over the
        backdrop [3,H,W]."""
        out, box = self.out, wanted.box
        place = item, slice(box.y0, box.y1), slice(box.x0, box.x1)
        out.pictures[item], out.source_masks[item] = backdrop.movedim(0, -1), sitter.mask
        if not box.width or not box.height:
            return
        if opacity is None:
            opacity = _drawn_outline(picture, wanted.pose)
        else:
            picture, opacity = clean_rim(picture, opacity), smoothed(opacity)
        laid = wanted.frame.laid(torch.cat([picture * opacity, opacity[None]]), box)         # [4,h',w']
        colours, share = colours_of(laid), _outlined(laid[3], wanted.frame.pixel, self.settings.feather)
        if self.settings.detail:
            colours += self.settings.detail * finer_detail(sitter, wanted, picture, opacity)
        drawn = colours.clamp(0, 1).movedim(0, -1)
        out.pictures[place] = torch.lerp(out.pictures[place], drawn, share[..., None])
        out.mask[place] = share
        out.previews[place] = warp_preview(sitter, wanted).movedim(0, -1)


def _system(net: LoadedNet) -> ModuleType:
    if net.system.name not in SYSTEMS:
        raise ValueError(f"{net.name} is a {net.system.title}, which transfers no poses; load a network for "
                         "pose transfer.")
    return SYSTEMS[net.system.name]


def _check_poses(net: LoadedNet, subjects: Sequence[Pose], targets: Sequence[Pose]) -> None:
    for name, poses in (("source", subjects), ("target", targets)):
        if not poses:
            raise ValueError(f"There is no {name} pose; give at least one.")
    joints = [torch.stack([torch.where(pose.present[:, None], pose.keypoints, torch.nan) for pose in poses])
              for poses in (subjects, targets)]
    _system(net).check_joints(net, *joints)
    for number, pose in enumerate(subjects, 1):
        _framed(net, pose, f"source pose {number}")


def _memory(net: LoadedNet) -> int:
    """Bytes for drawing one pose."""
    height, width = frame_size(net)
    return PLANES * height * width * 4


def _wanted(net: LoadedNet, pose: Pose, name: str) -> Wanted:
    frame = _framed(net, pose, name)
    if frame is None:
        raise ValueError(f"The {name} has too few joints to tell how large the person is.")
    return Wanted(frame.joints(pose), frame, frame.box(pose.height, pose.width))


def _framed(net: LoadedNet, pose: Pose, name: str, mask: Tensor | None = None) -> Frame | None:
    frame = frame_person(pose, mask, *frame_size(net))
    if frame is not None and frame.pixel * frame.height > _FAR * max(pose.width, pose.height):
        raise ValueError(f"The {name} reaches more than {_FAR} times the size of its picture, "
                         f"{pose.width}x{pose.height}; check its joints.")
    return frame


def _sitter(net: LoadedNet, picture: Tensor, pose: Pose, mask: Tensor | None, number: int) -> Sitter:
    """The person of picture `number`, [3,H,W], with a mask [H,W] 0..1, if there is one."""
    pose = pose.scaled(picture.shape[2], picture.shape[1])
    mask = _outline(picture, pose) if mask is None else _own(mask, pose)
    frame = _framed(net, pose, f"source pose of picture {number}", mask > 0.5)
    if frame is None or not (mask > 0.5).any():
        raise ValueError(f"Nobody is to be seen in source picture {number}: the pose, or the mask where it "
                         "meets the pose, shows no person in there.")
    return Sitter(picture, mask, frame, frame.joints(pose))


def _own(mask: Tensor, pose: Pose) -> Tensor:
    """A mask [H,W] 0..1 without people that the pose has no part in."""
    if not pose.present.any():
        return mask
    solid = mask > 0.5
    return mask.masked_fill(solid & ~split_mask(solid, [pose])[0], 0.0)


def _outline(picture: Tensor, pose: Pose) -> Tensor:
    """[H,W] 0 or 1, the person of a picture [3,H,W]: as GrabCut finds them, or the pose's silhouette where
    that is something else."""
    silhouette, found = mask_from_pose(pose, *picture.shape[1:]), grabcut_people(picture, [pose])[0]
    overlap = (found & silhouette).sum() / (found | silhouette).sum()
    return (found if overlap > _LIKELY else silhouette).float()


def _drawn_outline(picture: Tensor, pose: Pose) -> Tensor:
    """[h,w] 0..1, the opacity of the person of a network's small picture [3,h,w]."""
    height, width = (side * _FINER for side in picture.shape[1:])
    found = _outline(resize(picture[None], height, width)[0], pose.scaled(width, height))
    return F.avg_pool2d(found[None], _FINER)[0]


def _outlined(opacity: Tensor, pixel: float, feather: float) -> Tensor:
    """[h,w] 0..1: an opacity enlarged by `pixel`, its rim steeper, and clean inside and outside of it."""
    steep = min(max(pixel / 2, 1 / (1 - 2 * _NOBODY)), _STEEPEST)
    share = ((opacity - 0.5) * steep + 0.5).clamp(0, 1)
    if not feather:
        return share
    return share * (distance_to((share < 0.5)[None])[0] / (feather + 1)).clamp(max=1)
