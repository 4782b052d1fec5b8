"""Dragging a person who is painted into a photograph; the rest of the photograph stays as it is.

    dragged = drag_inpainted(net, image, people, handles=[(120, 100)], targets=[(120, 120)], runtime=runtime)
    dragged.picture, dragged.report()

A painted person is TriA-GAN's answer to a pose, an outline and a latent. Handles near a joint change the pose
and the outline (`limbs.py`), the others the latent, which clothes and colours follow. The embedded weights
hardly move anything by it, even where the features, and so the report, say that a handle arrived.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..drag import Box, DragResult, DragSettings, DragStep, cut, drag
from ..drag.draw import draw_drag
from ..drag.inputs import Pairs, Points, as_pairs, check_inside, pair_up
from ..drag.result import STOPPED, tell
from ..image import image_to_bchw
from ..people import CropSettings, Person, PersonCrop, crop_person, paste_person
from ..people.crop import resize_nearest
from ..pose import Pose
from ..runtime import Progress, Runtime
from .fast import FastBlock, FastGenerator
from .infer import MAPS, Job, Latent, draw_z, generator_of, input_planes, plan
from .limbs import RADIUS, Grip, move, take_hold
from .network import Modules, Upsample

SETTINGS = DragSettings(steps=100, learning_rate=0.01)    # w is as long as StyleGAN's and far less sensitive
FRAMES = 24                                               # of a journey, at most
MOVED = "moved"


class DragSource:
    """A person in the hole of `crop`, drawn from `w` [1,W]. Gradients reach no weights.

    `block`: the level of the decoder whose features are compared, 0 = lowest resolution; by default the one
    below the top. What changes is one w for each of the layers from the middle up to there. The layers above
    keep theirs, as does the encoder, which therefore runs only once.

    Raises ValueError for a level that has no features.
    """

    margin = (0, 0)

    def __init__(self, generator: FastGenerator, crop: PersonCrop, w: Tensor,
                 block: int | None = None) -> None:
        config = generator.config
        top = config.levels - 1
        self.block = top - 1 if block is None else block
        if not 0 <= self.block < top:
            raise ValueError(f"Dragging compares features of decoder level {self.block}, but this inpainter "
                             f"with {config.levels} levels has them for levels 0 to {top - 1}.")
        self.generator, self.crop = generator, crop
        self.size, self.map_size = (config.height, config.width), config.size(self.block)
        self.upsample = Upsample().to(w.device)
        self.planes = input_planes(config, [crop]).to(w.device)
        self.w_plus = w.detach()[:, None].repeat(1, generator.rows, 1)             # [1,R,W]
        self.first = 2 * config.blocks * config.levels                             # after the encoder's
        self.last = self.first + 2 * (config.middle_blocks + config.blocks * (self.block + 1))
        seen: dict[str, Tensor] = {}
        generator(self.planes, w, features=seen)
        self.bottom = seen["enc0"]                                                 # [1,C,h,w]
        self.skips = [self._skip(seen[f"enc{level}"], level) for level in range(1, self.block + 1)]

    def _skip(self, x: Tensor, level: int) -> Tensor:
        """What the decoder adds at `level`, of the encoder's features."""
        weight = self.generator.get_buffer(f"unet{level}")                         # [C,C]
        return pointwise(F.leaky_relu(F.instance_norm(x), 0.2), weight)

    @property
    def start(self) -> Tensor:
        return self.w_plus[0, self.first:self.last]

    def latent(self, rows: Tensor) -> Tensor:
        """[E,W], from any device -> one w for each layer, [1,R,W], on the generator's."""
        before, after = self.w_plus[:, :self.first], self.w_plus[:, self.last:]
        return torch.cat([before, rows[None].to(self.w_plus), after], 1)

    def features(self, rows: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """[E,W] -> [C,h,w] in each box of the decoder level's map."""
        table = self.generator.styles(self.latent(rows))[:, self.first:self.last]
        styles = list(table.unbind(1))                                             # [1,L] each
        x = run_blocks(self.generator.middle, self.bottom, styles)
        x = run_blocks(self.generator.decoder[0], x, styles)
        for blocks, skip in zip(self.generator.decoder[1:self.block + 1], self.skips, strict=True):
            x = run_blocks(blocks, self.upsample(x) + skip, styles)
        return [cut(x[0], Box(0, 0, *self.map_size), box) for box in boxes]

    @torch.no_grad()
    def picture(self, rows: Tensor) -> Tensor:
        """[E,W] -> the crop with the hole painted, [H,W,3] 0..1, on the CPU."""
        return draw(self.generator, self.planes, self.latent(rows), self.crop)


def draw(generator: FastGenerator, planes: Tensor, w: Tensor, crop: PersonCrop) -> Tensor:
    """The crop with its hole painted, [H,W,3] 0..1, on the CPU. `planes`: what the network takes for it."""
    drawn = (generator(planes, w)[0].cpu() + 1) / 2                                # [3,H,W]
    return torch.where(crop.mask > 0, drawn.clamp(0, 1), crop.image).movedim(0, -1)


def run_blocks(blocks: Modules, x: Tensor, styles: list[Tensor]) -> Tensor:
    """As `fast.run_blocks`, on [1,C,H,W] and differentiable in the styles."""
    for block in blocks:
        x = run_block(block, x, styles.pop(0), styles.pop(0))
    return x


def run_block(block: FastBlock, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """`FastBlock.forward`: [1,C_in,H,W] -> [1,C_out,H,W]. `first`, `second`: style rows [1,>=2*C_in]."""
    h = F.conv2d(activated(x, first), block.weight0.permute(3, 2, 0, 1), padding=1)
    if block.noise0 is not None:
        h = h + block.noise0[..., 0]
    y = F.conv2d(activated(h, second), block.weight1.permute(3, 2, 0, 1), block.bias, padding=1)
    if block.noise1 is not None:
        y = y + (block.noise1 * block.noise_scale).movedim(-1, 0)
    return y + pointwise(x, block.skip)


def activated(x: Tensor, style: Tensor) -> Tensor:
    """Instance norm, style, leaky ReLU; the gain of the last is in the weights."""
    channels = x.shape[1]
    gamma, beta = style[:, :2 * channels, None, None].split(channels, 1)           # [1,C,1,1]
    return F.leaky_relu(torch.addcmul(beta, F.instance_norm(x), gamma), 0.2)


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """[1,C_in,H,W], [C_in,C_out] -> [1,C_out,H,W]."""
    return F.conv2d(x, weight.T[:, :, None, None])


@dataclass(frozen=True, eq=False)
class DraggedPerson:
    """`picture`: [1,H,W,3] with the person as the drag left them, standing like `pose`. `mask`: [1,H,W], the
    share of each pixel that is new in any of the frames. `frames`: [T,H,W,3], from the person as painted to
    `picture`. `handles`, `found`, `targets`: [N,2] x, y in pixels of the picture, where the handles were and
    are now; `names`: which joints they hold. `outcome`: "moved", or as `journey` has it, which went through w
    with the handles that hold no joint; None where it was not begun. `remarks`: sentences about the inputs.
    """

    picture: Tensor
    mask: Tensor
    frames: Tensor
    pose: Pose
    handles: Tensor
    found: Tensor
    targets: Tensor
    names: list[str]
    outcome: str
    journey: DragResult | None
    remarks: tuple[str, ...]

    def report(self) -> str:
        """Lines for people: the outcome and every handle."""
        end = f"in {len(self.frames)} frames" if self.journey is None else \
            f"after {len(self.journey.steps) - 1} steps"
        return "\n".join([*tell(f"{self.outcome} {end}", self.handles, self.found, self.targets, self.names),
                          *self.remarks])


@dataclass(frozen=True, eq=False)
class Scene:
    """A `picture` [3,H,W], the cut-out of a person that is painted in it, and the ways between the two."""

    picture: Tensor
    crop: PersonCrop
    feather: float

    def pasted(self, drawn: Tensor) -> Tensor:
        """A painted crop [h,w,3] -> the picture with it, [H,W,3]."""
        pasted = paste_person(self.picture, drawn.movedim(-1, 0), self.crop, feather=self.feather)
        return pasted.movedim(0, -1).contiguous()

    def painted(self) -> Tensor:
        """[1,H,W]: the share of each pixel that is new."""
        nothing, all_new = torch.zeros_like(self.picture), torch.ones_like(self.crop.image)
        return paste_person(nothing, all_new, self.crop, feather=self.feather)[:1]

    def movable(self, mask: Tensor | None) -> Tensor:
        """[h,w] of the crop, 1 = may change: the hole, or the part of it inside `mask` [H,W]."""
        hole = self.crop.mask[0]
        if mask is None:
            return hole
        size, box = self.picture.shape[1:], self.crop.box
        if mask.shape != size:
            raise ValueError(f"The mask has the shape {list(mask.shape)}, but the picture is {size[1]} wide "
                             f"and {size[0]} high; resize one of them.")
        around = cut(mask[None].float().cpu(), Box(0, 0, *size), Box(box.y0, box.x0, box.y1, box.x1))
        allowed = hole * (resize_nearest(around, *hole.shape)[0] >= 0.5)
        if not allowed.any():
            raise ValueError("The mask leaves nothing of the person's hole free to change; paint it over "
                             "what has to move.")
        return allowed

    def check_handles(self, handles: Tensor, numbers: Sequence[int], movable: Tensor) -> None:
        """`handles`: [N,2], where w is to pull, and their `numbers` from 0. `movable`: [h,w] of the crop.

        Raises ValueError for those that may not move.
        """
        places = inside(to_crop(handles.tolist(), self.crop), self.crop)
        for number, point, (x, y) in zip(numbers, handles.tolist(), places, strict=True):
            if not movable[round(y), round(x)]:
                raise ValueError(f"Handle {number + 1} comes to lie at {_text(point)}, beside the person or "
                                 "where the mask allows no change; drag it by itself, or paint the mask over "
                                 "everything that has to move.")

    def check_targets(self, targets: Pairs) -> tuple[str, ...]:
        """Remarks. Raises ValueError for targets the network never sees."""
        box, outside = self.crop.box, 0
        for point, place in zip(targets, to_crop(targets, self.crop), strict=True):
            if not shows(self.crop, place):
                raise ValueError(f"The target at {_text(point)} is too far from the person, who is painted "
                                 f"between ({box.x0}, {box.y0}) and ({box.x1}, {box.y1}).")
            outside += not holds(self.crop, place)
        return (f"Targets outside the hole, where nothing is painted: {outside}.",) if outside else ()

    def pull(self, source: DragSource, handles: Tensor, targets: Tensor, mask: Tensor, settings: DragSettings,
             progress: Progress, interrupts: tuple[type[BaseException], ...]) -> DragResult:
        """Drags through w. Points, and those of the result, in pixels of the picture; `mask` of the crop."""
        start, end = (inside(to_crop(points.tolist(), self.crop), self.crop) for points in (handles, targets))

        def show(step: DragStep, drawn: Tensor | None) -> None:
            progress.update(preview=None if drawn is None else draw_drag(drawn, step.handles,
                                                                         torch.tensor(end)))

        journey = drag(source, start, end, mask=mask, settings=settings, on_step=show, interrupts=interrupts)
        steps = tuple(replace(step, handles=to_picture(step.handles, self.crop)) for step in journey.steps)
        return replace(journey, steps=steps, handles=to_picture(journey.handles, self.crop),
                       targets=to_picture(journey.targets, self.crop))


def to_crop(points: Pairs, crop: PersonCrop) -> Pairs:
    """x, y of pixels of the picture -> of the crop; centres are whole numbers in both."""
    box, (height, width) = crop.box, crop.mask.shape[1:]
    return [((x + 0.5 - box.x0) * width / box.width - 0.5, (y + 0.5 - box.y0) * height / box.height - 0.5)
            for x, y in points]


def inside(points: Pairs, crop: PersonCrop) -> Pairs:
    """Points of the crop; those on its outermost half pixel move to the pixel's centre."""
    height, width = crop.mask.shape[1:]
    return [(min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)) for x, y in points]


def to_picture(points: Tensor, crop: PersonCrop) -> Tensor:
    """[N,2]: the way back."""
    box, (height, width) = crop.box, crop.mask.shape[1:]
    scale = points.new_tensor([box.width / width, box.height / height])
    return (points + 0.5) * scale + points.new_tensor([box.x0, box.y0]) - 0.5


def shows(crop: PersonCrop, point: tuple[float, float]) -> bool:
    """Whether a point, in pixels of the crop, lies in it."""
    height, width = crop.mask.shape[1:]
    return -0.5 <= point[0] < width - 0.5 and -0.5 <= point[1] < height - 0.5


def holds(crop: PersonCrop, point: tuple[float, float]) -> bool:
    """Whether it lies in the hole."""
    return shows(crop, point) and bool(crop.mask[0, round(point[1]), round(point[0])])


def choose(picture: Tensor, jobs: Sequence[Job], settings: CropSettings,
           handles: Pairs) -> tuple[Job, PersonCrop]:
    """Whose hole holds all handles; of several people, who is painted last and so lies above the others.

    Raises ValueError when there is nobody like that.
    """
    if not jobs:
        raise ValueError("There is nobody to drag in this picture: no people, or all too small to paint.")
    crops = [crop_person(picture, job.person, job.box, settings) for job in jobs]
    held = [[holds(crop, point) for point in to_crop(handles, crop)] for crop in crops]
    for job, crop, hits in zip(reversed(jobs), reversed(crops), reversed(held), strict=True):
        if all(hits):
            return job, crop
    for number, (point, *hits) in enumerate(zip(handles, *held, strict=True), 1):
        if not any(hits):
            raise ValueError(f"Handle {number} at {_text(point)} lies outside the hole that is painted; put "
                             "it on a person, or paint the person's mask larger.")
    raise ValueError("The handles lie on different people; drag one person at a time.")


def _text(point: tuple[float, float]) -> str:
    return f"({point[0]:g}, {point[1]:g})"


@dataclass(frozen=True, eq=False)
class Play:
    """A person's way from pose to pose, `scenes` and `poses`, as handles at `begin` [N,2] lead it to `end`.

    `cleared`: [H,W] bool, where behind the scenes there is background instead of the person. `movable`:
    [h,w] of the last crop, 1 = w may change it. `remarks`: sentences about the points.
    """

    job: Job
    grip: Grip
    begin: Tensor
    end: Tensor
    poses: list[Pose]
    scenes: list[Scene]
    cleared: Tensor
    movable: Tensor
    remarks: tuple[str, ...]

    def act(self, generator: FastGenerator, w: Tensor, progress: Progress,
            interrupts: tuple[type[BaseException], ...]) -> tuple[list[Tensor], bool]:
        """A picture [H,W,3] of each scene, painted from `w` [1,W], and whether it was interrupted there."""
        seen: list[Tensor] = []
        try:
            for scene in self.scenes:
                planes = input_planes(generator.config, [scene.crop]).to(w.device)
                seen.append(scene.pasted(draw(generator, planes, w, scene.crop)))
                progress.update(preview=seen[-1])
        except interrupts:
            return seen, True
        return seen, False

    def pull(self, source: DragSource, settings: DragSettings, progress: Progress,
             interrupts: tuple[type[BaseException], ...]) -> DragResult:
        """Drags the handles that hold no joint through w, in the last scene."""
        loose = self.grip.loose
        handles = self.grip.carried(self.begin, self.poses[-1])[loose]
        return self.scenes[-1].pull(source, handles, self.end[loose], self.movable, settings, progress,
                                    interrupts)

    def ended(self, acted: list[Tensor], outcome: str, later: Sequence[Tensor] = (),
              journey: DragResult | None = None) -> DraggedPerson:
        """`acted`: pictures [H,W,3] of the first scenes, `later`: those of the journey through w."""
        pose, frames = self.poses[len(acted) - 1], torch.stack([*acted, *later])
        shares = (scene.painted() for scene in self.scenes[:len(acted)])
        mask = reduce(torch.maximum, shares, self.cleared.float()[None])           # [1,H,W]
        found, remarks = self.grip.carried(self.begin, pose), self.remarks
        if journey is not None:
            found[self.grip.loose] = journey.steps[-1].handles
            remarks += journey.remarks
        return DraggedPerson(frames[-1:], mask, frames, pose, self.begin, found, self.end, self.grip.names(),
                             outcome, journey, remarks)


def rehearse(picture: Tensor, people: Sequence[Person], handles: Points, targets: Points,
             mask: Tensor | None, settings: CropSettings, *, seed: int, joint_radius: float, frames: int,
             feather: float, runtime: Runtime) -> Play:
    """All of `drag_inpainted` that needs no network, and its errors. `picture`: [3,H,W]."""
    starts, ends, remarks = pair_up(as_pairs(handles), as_pairs(targets))
    check_inside("Target", ends, (picture.shape[1], picture.shape[2]))
    jobs = [job for jobs in plan([people], settings, seed) for job in jobs]
    job, crop = choose(picture, jobs, settings, starts)
    begin, end = torch.tensor(starts), torch.tensor(ends)
    grip = take_hold(job.person, begin, joint_radius)
    poses = grip.led(end - begin, max(2, frames))
    behind, crops = picture, [crop]
    if len(poses) > 1:
        behind, crops = move(picture, job.person, poses, settings, runtime)
    scenes = [Scene(behind, one, feather) for one in crops]
    last, loose = scenes[-1], grip.loose
    movable = last.movable(mask)
    last.check_handles(grip.carried(begin, poses[-1])[loose], loose, movable)
    remarks += last.check_targets(end[loose].tolist())
    return Play(job, grip, begin, end, poses, scenes, (behind != picture).any(0), movable, remarks)


def drag_inpainted(net: LoadedNet, image: Tensor, people: Sequence[Person], handles: Points,
                   targets: Points, *, mask: Tensor | None = None, seed: int = 0,
                   truncation: str = "truncated", strength: float = 1.0, feather: float = 0.0,
                   settings: DragSettings = SETTINGS, joint_radius: float = RADIUS, frames: int = FRAMES,
                   keep: bool = True, runtime: Runtime) -> DraggedPerson:
    """Paints one person as `infer.inpaint` does, then pulls what is at `handles` to `targets`.

    `image`: one picture [1,H,W,C] 0..1; inpainted before where other people are to be new as well. `people`:
    those in it, in the same order as there; the one whose hole holds the handles is dragged, others stay as
    the picture has them. `handles`, `targets`: [N,2] x, y in pixels. First all joints move that a handle
    holds: the nearest one within `joint_radius` heights of the person. Then the other handles are dragged
    through w. `mask`: [H,W], the part of the hole that w may change; by default all of it. `seed`,
    `truncation`, `strength`, `feather`: as for `inpaint`. `frames`: how many to return of either part at
    most, two or more. `keep`: once somebody is painted an interrupt ends the journey there; otherwise it goes
    to the caller. Pixels outside the mask that is returned are bit-identical to the input.

    Raises ValueError for more than one picture, nobody to paint, handles outside every hole, in several
    people's or outside the mask, targets outside the crop, and inputs that do not fit together.
    """
    latent, generator, pictures = Latent(truncation, strength), generator_of(net), image_to_bchw(image)
    if len(pictures) != 1:
        raise ValueError(f"People are dragged in one picture at a time; got {len(pictures)}.")
    config = generator.config
    play = rehearse(pictures[0], people, handles, targets, mask, CropSettings(config.height, config.width),
                    seed=seed, joint_radius=joint_radius, frames=frames, feather=feather, runtime=runtime)
    steps, seeds = settings.steps + 1 if play.grip.loose else 0, [play.job.seed]
    progress = runtime.progress(len(play.scenes) + steps, "dragging a person")
    interrupts = runtime.interrupts if keep else ()
    with runtime.use(net, 3 * MAPS * config.height * config.width * config.dims[0] * 4) as (_, device):
        w = latent.w(generator.style_net, draw_z(config, seeds, net.metadata).to(device), seeds)
        acted, stopped = play.act(generator, w, progress, interrupts)
        if stopped or not steps:
            return play.ended(acted, STOPPED if stopped else MOVED)
        scene = play.scenes[-1]
        source = DragSource(generator, scene.crop, w)
        journey = play.pull(source, settings, progress, interrupts)
        later = [scene.pasted(source.picture(journey.steps[step].rows))
                 for step in journey.sample(frames)[1:]]  # the first is the last of those before
    return play.ended(acted, journey.outcome, later, journey)
