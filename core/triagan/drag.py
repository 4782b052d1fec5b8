"""Dragging a person who is painted into a photograph; the rest of the photograph stays as it is.

    dragged = drag_inpainted(net, image, people, handles=[(120, 100)], targets=[(120, 120)], runtime=runtime)
    dragged.picture, dragged.journey.report()

A painted person is TriA-GAN's answer to a pose, an outline and a latent, and only the latent is dragged.
Clothes and colours follow it. Limbs follow the pose and the outline: with the embedded weights they stay
where they are, even where the features, and so the report, say that a handle arrived. To move a limb, move
its joint and its part of the mask, and paint anew.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.system import LoadedNet
from ..drag import Box, DragResult, DragSettings, DragStep, cut, drag
from ..drag.inputs import Pairs, Points, as_pairs
from ..image import image_to_bchw
from ..people import CropSettings, Person, PersonCrop, crop_person, paste_person
from ..people.crop import resize_nearest
from ..runtime import Interrupted, Runtime
from .fast import FastBlock, FastGenerator
from .infer import MAPS, Job, Latent, draw_z, generator_of, input_planes, plan
from .network import Modules, Upsample

SETTINGS = DragSettings(learning_rate=0.01)               # w is as long as StyleGAN's and far less sensitive
FRAMES = 24                                               # of a journey, at most


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
        drawn = (self.generator(self.planes, self.latent(rows))[0].cpu() + 1) / 2  # [3,H,W]
        return torch.where(self.crop.mask > 0, drawn.clamp(0, 1), self.crop.image).movedim(0, -1)


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
    """`picture`: [1,H,W,3] with the person as the drag left them. `mask`: [1,H,W], 1 = painted. `frames`:
    [T,H,W,3], from the person as painted to `picture`. `journey`: steps and report, in pixels of the picture.
    """

    picture: Tensor
    mask: Tensor
    frames: Tensor
    journey: DragResult


@dataclass(frozen=True, eq=False)
class Scene:
    """A person of a `picture` [3,H,W], the cut-out they are painted in, and the ways between the two."""

    picture: Tensor
    job: Job
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

    def check_targets(self, targets: Pairs) -> tuple[str, ...]:
        """Remarks. Raises ValueError for targets the network never sees."""
        box, height, width = self.crop.box, *self.crop.mask.shape[1:]
        outside = 0
        for number, (point, (x, y)) in enumerate(zip(targets, to_crop(targets, self.crop), strict=True), 1):
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                raise ValueError(f"Target {number} at {_text(point)} is too far from the person, who is "
                                 f"painted between ({box.x0}, {box.y0}) and ({box.x1}, {box.y1}).")
            outside += not holds(self.crop, (x, y))
        return (f"Targets outside the hole, where nothing is painted: {outside}.",) if outside else ()

    def to_picture(self, journey: DragResult, remarks: tuple[str, ...]) -> DragResult:
        """In pixels of the picture instead of the crop's."""
        steps = tuple(replace(step, handles=to_picture(step.handles, self.crop)) for step in journey.steps)
        return replace(journey, steps=steps, handles=to_picture(journey.handles, self.crop),
                       targets=to_picture(journey.targets, self.crop), remarks=journey.remarks + remarks)


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


def holds(crop: PersonCrop, point: tuple[float, float]) -> bool:
    """Whether a point of the crop lies in the hole."""
    height, width = crop.mask.shape[1:]
    x, y = point
    seen = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    return seen and bool(crop.mask[0, round(y), round(x)])


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


def drag_inpainted(net: LoadedNet, image: Tensor, people: Sequence[Person], handles: Points,
                   targets: Points, *, mask: Tensor | None = None, seed: int = 0,
                   truncation: str = "truncated", strength: float = 1.0, feather: float = 0.0,
                   settings: DragSettings = SETTINGS, frames: int = FRAMES,
                   interrupts: tuple[type[BaseException], ...] = (Interrupted,),
                   runtime: Runtime) -> DraggedPerson:
    """Paints one person as `infer.inpaint` does, then pulls what is at `handles` to `targets`.

    `image`: one picture [1,H,W,C] 0..1; inpainted before where other people are to be new as well. `people`:
    those in it, in the same order as there; the one whose hole holds the handles is dragged, others stay as
    the picture has them. `handles`, `targets`: [N,2] x, y in pixels. `mask`: [H,W], the part of the hole
    that may change; by default all of it. `seed`, `truncation`, `strength`, `feather`: as for `inpaint`.
    `frames`: how many to return at most, two or more. `interrupts`: as for `drag`. Pixels outside the hole
    are bit-identical to the input.

    Raises ValueError for more than one picture, nobody to paint, handles outside every hole, in several
    people's or outside the mask, targets outside the crop, and inputs that do not fit together.
    """
    latent, generator, pictures = Latent(truncation, strength), generator_of(net), image_to_bchw(image)
    if len(pictures) != 1:
        raise ValueError(f"People are dragged in one picture at a time; got {len(pictures)}.")
    config, picture = generator.config, pictures[0]
    crop_settings = CropSettings(height=config.height, width=config.width)
    jobs = [job for jobs in plan([people], crop_settings, seed) for job in jobs]
    starts, ends = as_pairs(handles), as_pairs(targets)
    scene = Scene(picture, *choose(picture, jobs, crop_settings, starts), feather)
    movable, remarks = scene.movable(mask), scene.check_targets(ends)
    progress = runtime.progress(settings.steps + 1, "dragging a person")
    with runtime.use(net, 3 * MAPS * config.height * config.width * config.dims[0] * 4) as (_, device):
        z = draw_z(config, [scene.job.seed], net.metadata).to(device)
        source = DragSource(generator, scene.crop, latent.w(generator.style_net, z, [scene.job.seed]))

        def show(_: DragStep, drawn: Tensor | None) -> None:
            progress.update(preview=None if drawn is None else scene.pasted(drawn))

        start, end = (inside(to_crop(points, scene.crop), scene.crop) for points in (starts, ends))
        journey = drag(source, start, end, mask=movable, settings=settings, on_step=show,
                       interrupts=interrupts)
        chosen = torch.linspace(0, len(journey.steps) - 1, max(2, frames)).round().long().unique().tolist()
        seen = torch.stack([scene.pasted(source.picture(journey.steps[step].rows)) for step in chosen])
    return DraggedPerson(seen[-1:], scene.painted(), seen, scene.to_picture(journey, remarks))
