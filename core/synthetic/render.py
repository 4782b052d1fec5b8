"""People with exact annotation: identity, pose, camera and scene in, picture and labels out.

Two modes. *studio*: plain sweep, one scale, centred, nobody else: for networks that move or restyle one
person. *scene*: all backgrounds, bystanders, things in front, crops: for detection and inpainting.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .backgrounds import draw_backgrounds
from .body import build_figure
from .camera import Camera, frame_camera
from .cast import PEOPLE, Cast, gather_cast
from .composite import blend, coarse_pixel, label
from .geometry import compose, rotate
from .identity import Identity, identity_vector, sample_identity
from .light import cast_shadows, sample_light
from .occluders import draw_occluders
from .palette import to_display
from .poses import BodyPose, sample_pose
from .raycast import FAR, build_table, cast_rays, nearest
from .shading import shade
from .skeleton import Frame, Skeleton, skirt_frame
from .surface import find_surface
from .texture import Look

_EXPOSURE = 1.55
#: Metres that a joint may lie behind the surface and still count as visible, about the limb's radius there.
_TOLERANCE = (.06, .14, .11, .09, .08, .11, .09, .08, .17, .13, .10, .17, .13, .10, .045, .045, .06, .06)
#: Sub-samples computed at once. On a CPU larger temporaries cost more in the allocator than fewer loops save.
_CHUNK = {"cpu": 2**20, "cuda": 2**24}


@dataclass(frozen=True, eq=False)
class Rendering:
    """B pictures. Person 0 is the main person, 1 and 2 are bystanders.

    A joint's `visibility`: 2 visible, 1 in the frame but hidden, 0 outside the frame or nobody there.
    """

    image: Tensor               # [B,3,H,W] 0..1, display-encoded
    coverage: Tensor            # [B,1,H,W] 0..1 of the main person
    mask: Tensor                # [B,H,W] bool, coverage >= .5
    regions: Tensor             # [B,H,W] uint8 0..11 of the main person, 0 outside the mask
    keypoints: Tensor           # [B,3,18,2] pixels, x right, y down, centres at .5
    visibility: Tensor          # [B,3,18] uint8
    present: Tensor             # [B,3] bool, at least one pixel shows the person
    people: Tensor              # [B,H,W] uint8, 0 nobody, 1 main person, 2.. bystanders
    people_regions: Tensor      # [B,H,W] uint8 0..11 of everybody
    identity_vector: Tensor     # [B,D]

    @staticmethod
    def concatenate(parts: list[Rendering]) -> Rendering:
        return Rendering(**{f.name: torch.cat([getattr(p, f.name) for p in parts])
                            for f in fields(Rendering)})


@dataclass(frozen=True)
class _Settings:
    height: int
    width: int
    seed: int
    studio: bool
    bystanders: float
    occluders: float
    crops: float
    supersample: int


@torch.no_grad()
def render_people(ids: Tensor, height: int, width: int, *, seed: int = 0, mode: str = "scene",
                  identity: Identity | None = None, pose: BodyPose | None = None,
                  camera: Camera | None = None, bystanders: float = .2, occluders: float = .1,
                  crops: float = .3, supersample: int = 2) -> Rendering:
    """Draws one picture per id.

    `ids`: [B] integers, the scenes: background, light, bystanders, framing. `identity`, `pose`, `camera`:
    [B] people, poses and views; by default those of the same ids. `bystanders`, `occluders`, `crops`: shares
    of the pictures that have them (scene mode only). A picture does not depend on the others of its batch.
    Raises ValueError for an unknown mode, no ids, or a size below 16.
    """
    if mode not in ("scene", "studio"):
        raise ValueError(f"mode should be scene or studio; got {mode!r}.")
    if min(height, width) < 16 or not len(ids):
        raise ValueError(f"people need an id and 16x16 pixels or more; got {len(ids)} ids, height {height}, "
                         f"width {width}.")
    studio = mode == "studio"
    shares = (0.0, 0.0, 0.0) if studio else (bystanders, occluders, crops)
    settings = _Settings(height, width, seed, studio, *shares, supersample)
    identity = sample_identity(ids, seed) if identity is None else identity
    pose = sample_pose(ids, seed) if pose is None else pose
    step = max(1, _CHUNK.get(ids.device.type, 2**20) // (height * width * supersample**2))
    parts = []
    for first in range(0, len(ids), step):
        part = slice(first, first + step)
        view = None if camera is None else camera.select(part)
        parts.append(_render(ids[part], identity.select(part), pose.select(part), view, settings))
    return Rendering.concatenate(parts)


def _render(ids: Tensor, identity: Identity, pose: BodyPose, camera: Camera | None,
            settings: _Settings) -> Rendering:
    count, height, width, fine = len(ids), settings.height, settings.width, settings.supersample
    cast = gather_cast(ids, identity, pose, settings.seed, settings.bystanders)
    if camera is None:
        camera = frame_camera(cast.skeleton.outline()[:count], ids, settings.seed, height, width,
                              studio=settings.studio, crops=settings.crops)
    figures = build_figure(cast.identity, cast.pose, cast.skeleton)
    light = sample_light(ids, settings.seed)
    shadows = cast_shadows(figures, light, cast.picture, height, width)
    background = draw_backgrounds(ids, settings.seed, camera, height, width, shadows, settings.studio)

    sharp, rows, columns = camera.scaled(fine), height * fine, width * fine
    table = build_table(figures, sharp.select(cast.picture), cast.picture, rows, columns)
    fragments = cast_rays(table, rows, columns)
    depth, winner = nearest(fragments, count * rows * columns)
    surface = find_surface(fragments, table, figures, sharp, depth, winner, rows, columns)
    look = Look(cast.identity, _view_frames(cast.skeleton, sharp.select(cast.picture)))
    colour, region = shade(look, surface, sharp, light, shadows, depth, rows, columns)

    pixel = coarse_pixel(surface.pixel, rows, columns, fine)
    linear = blend(background, pixel, colour, fine**2)
    labels = label(pixel, cast.person[surface.figure], region, (count, height, width), PEOPLE, fine**2)
    keypoints, joint_depth = camera.select(cast.picture).project(cast.skeleton.keypoints())
    linear, clear = _put_in_front(linear, ids, keypoints[:count], settings)
    shown = labels.share * clear >= .5
    people = torch.where(shown, labels.owner, 0)
    visibility = _visibility(keypoints, joint_depth, cast, depth.view(count, rows, columns), people, fine)
    coverage = labels.main * clear
    regions = torch.where(shown, labels.region, 0)
    main = coverage >= .5
    place = (cast.picture, cast.person)
    return Rendering(
        image=_tone(linear), coverage=coverage[:, None], mask=main,
        regions=torch.where(main, regions, 0).byte(),
        keypoints=keypoints.new_zeros(count, PEOPLE, 18, 2).index_put_(place, keypoints),
        visibility=visibility.new_zeros(count, PEOPLE, 18).index_put_(place, visibility),
        present=torch.stack([(people == k + 1).flatten(1).any(1) for k in range(PEOPLE)], 1),
        people=people.byte(), people_regions=regions.byte(), identity_vector=identity_vector(identity))


def _view_frames(skeleton: Skeleton, camera: Camera) -> dict[str, Frame]:
    """The bones that textures are painted on, in view coordinates."""
    bones = {"head": skeleton.head, "chest": skeleton.chest, "pelvis": skeleton.pelvis,
             "skirt": skirt_frame(skeleton),
             "left_foot": skeleton.foot["left"], "right_foot": skeleton.foot["right"]}
    return {name: Frame(compose(camera.turn, bone.turn), rotate(camera.turn, bone.origin - camera.eye))
            for name, bone in bones.items()}


def _put_in_front(linear: Tensor, ids: Tensor, keypoints: Tensor,
                  settings: _Settings) -> tuple[Tensor, Tensor]:
    """The picture with things in front, and the share [B,H,W] of each pixel that stays clear of them."""
    clear = torch.ones_like(linear[:, 0])
    if settings.occluders > 0:
        boxes = torch.cat([keypoints.amin(1), keypoints.amax(1)], 1)
        things = draw_occluders(ids, settings.seed, boxes, settings.height, settings.width,
                                settings.occluders)
        clear[things.picture] = 1 - things.cover
        linear = linear.clone()
        linear[things.picture] = linear[things.picture] * (1 - things.cover[:, None]) + things.colour
    return linear, clear


def _visibility(keypoints: Tensor, joint_depth: Tensor, cast: Cast, depth: Tensor, people: Tensor,
                fine: int) -> Tensor:
    """[N,18] uint8. Visible: the joint's pixel shows its person, at most a limb's radius in front of it.

    A pixel that shows no body means hidden: in profile the facial points often fall beside the face.
    """
    height, width = people.shape[1:]
    x, y = keypoints.unbind(-1)                                                     # [N,18]
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = x.clamp(0, width - 1e-3), y.clamp(0, height - 1e-3)
    picture = cast.picture[:, None]
    owned = people[picture, row.long(), column.long()] == cast.person[:, None] + 1
    surface = depth[picture, (row * fine).long(), (column * fine).long()]
    near = (joint_depth - surface < joint_depth.new_tensor(_TOLERANCE)) & (surface < FAR)
    return (within.int() + (within & owned & near).int()).byte()


def _tone(linear: Tensor) -> Tensor:
    """Exponential tone curve, then display encoding."""
    return to_display((1 - (linear * -_EXPOSURE).exp()) / (1 - math.exp(-_EXPOSURE)))
