"""Anyone/regions: which pixel is hair, which is skirt: parsed, painted, chosen and shown."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.detectors import Detector
from ..core.image import bchw_to_image, cycle_to, fit_mask, image_to_bchw, mask_to_bhw
from ..core.parsers import parse_faces, parse_people
from ..core.people import Detection, Person, fill_regions, head_square, tight_box
from ..core.pose import PoseFrame, from_coco
from ..core.regions import (
    PERSON_REGIONS,
    RegionMap,
    colour,
    grow,
    move,
    paint,
    region_mask,
    remove,
    reshape,
    shrink,
    swap,
)
from . import host
from .host import Schema, io
from .subjects import Subjects, detect, expect_detector, find_subjects, no_mask, read_masks
from .wires import DETECTOR, POSE, REGIONS, cycled, expect_option, expect_regions, read_names, send

KINDS = ("person", "face")
OPERATIONS = ("grow", "shrink", "move", "paint", "replace", "remove", "swap")
PAINTED = dict(zip(PERSON_REGIONS[1:], (
    "hair", "face, ears and neck", "hats and helmets", "cloth of the upper body without sleeves", "sleeves",
    "bare arms and hands", "trousers and shorts", "skirts, and dresses below the hips", "bare legs", "shoes",
    "bags, scarves and the like"), strict=True))
Parser = Callable[[Subjects], RegionMap]


class AnyoneParseRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneParseRegions",
            display_name="Parse Regions",
            category="Anyone/regions",
            description="Says what every pixel of a person is: hair, top, trousers and so on, or the parts "
                        "of a face.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size."),
                DETECTOR.Input("detector", optional=True,
                               tooltip="With clothes or faces chosen in its loader, these parse. Without it: "
                                       "the embedded detector."),
                POSE.Input("pose", optional=True, tooltip="Without it: the detector is asked."),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = the people; nothing outside it gets a region."),
                io.Combo.Input("kind", options=list(KINDS), default="person", optional=True,
                               tooltip="person = body and clothing, 12 regions; face = the parts of faces, "
                                       "19 regions."),
                io.Boolean.Input("flip", default=False, optional=True,
                                 tooltip="A parser looks at the mirrored picture, too: surer regions for "
                                         "twice the time."),
            ],
            outputs=[
                REGIONS.Output(display_name="regions", tooltip="One map per picture."),
                io.Mask.Output(display_name="mask", tooltip="1 = any region but the background."),
                io.String.Output(display_name="note", tooltip="What was found, in words."),
            ],
            search_aliases=["human parsing", "face parsing", "clothes segmentation", "segformer", "bisenet"],
        )

    @classmethod
    def execute(cls, image, detector=None, pose=None, mask=None, kind="person", flip=False):
        expect_option(kind, KINDS, "kind")
        detector = expect_detector(detector)
        parse = face_parser(detector, flip) if kind == "face" else body_parser(detector, flip)
        subjects = find_subjects(image, mask, pose, detector)
        regions = parse(subjects)
        allowed = cycled(read_masks(mask, *regions.labels.shape[1:]), len(regions.labels))
        for labels, inside in zip(regions.labels, allowed, strict=True):
            if inside is not None:
                labels[~inside] = 0
        note = f"{subjects.note()} {faces_note(subjects.frames)}" if kind == "face" else subjects.note()
        return io.NodeOutput(regions, send((regions.labels > 0).float()), note, ui={"text": [note]})


class AnyoneRegionsFromMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneRegionsFromMasks",
            display_name="Regions from Masks",
            category="Anyone/regions",
            description="Paints a region map with masks, on an empty map or over another. Where masks "
                        "overlap, the later input covers the earlier one.",
            inputs=[
                REGIONS.Input("regions", optional=True, tooltip="A map to paint over. Without it: empty."),
                *(io.Mask.Input(name, optional=True, tooltip=f"1 = {what}.")
                  for name, what in PAINTED.items()),
                io.Image.Input("image", optional=True,
                               tooltip="Gives the map its size where no regions do."),
                io.Int.Input("width", default=512, min=1, max=16384, optional=True,
                             tooltip="Of the map, where neither regions nor image nor masks tell."),
                io.Int.Input("height", default=512, min=1, max=16384, optional=True,
                             tooltip="Of the map, where neither regions nor image nor masks tell."),
            ],
            outputs=[REGIONS.Output(display_name="regions", tooltip="As many maps as the longest input.")],
            search_aliases=["compose regions", "masks to regions", "label map"],
        )

    @classmethod
    def execute(cls, regions=None, hair=None, head=None, headwear=None, top=None, sleeves=None, arms=None,
                trousers=None, skirt=None, legs=None, shoes=None, accessory=None, image=None, width=512,
                height=512):
        given = zip(PAINTED, (hair, head, headwear, top, sleeves, arms, trousers, skirt, legs, shoes,
                              accessory), strict=True)
        masks = {name: mask_to_bhw(mask, name) for name, mask in given if mask is not None}
        if regions is None:
            size = canvas_size(image, masks) or (height, width)
            regions = RegionMap(torch.zeros(1, *size, dtype=torch.uint8))
        return io.NodeOutput(paint_masks(expect_regions(regions), masks))


class AnyoneEditRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneEditRegions",
            display_name="Edit Regions",
            category="Anyone/regions",
            description="Changes one region of a map: longer hair, a narrower top, trousers that become a "
                        "skirt.",
            inputs=[
                REGIONS.Input("regions", tooltip="From any node that makes regions."),
                io.Combo.Input("operation", options=list(OPERATIONS), default="grow", optional=True,
                               tooltip="grow and shrink = by amount; move = by dx and dy; paint = the mask "
                                       "is added to the region; replace = the region becomes the mask; "
                                       "remove = the region goes; swap = it and with_region change places."),
                io.String.Input("region", default="hair", dynamic_prompts=False, optional=True,
                                tooltip="The region to change."),
                io.Float.Input("amount", default=8.0, min=0.0, max=4096.0, step=0.5, optional=True,
                               tooltip="grow, shrink: pixels of the map."),
                io.Int.Input("dx", default=0, min=-16384, max=16384, optional=True,
                             tooltip="move: pixels to the right."),
                io.Int.Input("dy", default=0, min=-16384, max=16384, optional=True,
                             tooltip="move: pixels downwards."),
                io.Mask.Input("mask", optional=True, tooltip="paint, replace: 1 = the region."),
                io.String.Input("with_region", default="", dynamic_prompts=False, optional=True,
                                tooltip="swap: the other region. grow, paint: only over these regions, with "
                                        "commas between. Else: what takes the place left free; empty = the "
                                        "nearest other regions."),
            ],
            outputs=[REGIONS.Output(display_name="regions", tooltip="The changed map.")],
            search_aliases=["grow region", "erode", "dilate", "paint regions", "relabel", "move region"],
        )

    @classmethod
    def execute(cls, regions, operation="grow", region="hair", amount=8.0, dx=0, dy=0, mask=None,
                with_region=""):
        expect_option(operation, OPERATIONS, "operation")
        regions = expect_regions(regions)
        masks = [one for one in read_masks(mask, *regions.labels.shape[1:]) if one is not None]
        return io.NodeOutput(edit(
            regions, operation, read_names(region, regions.names), read_names(with_region, regions.names),
            amount=amount, dx=dx, dy=dy, mask=torch.stack(masks) if masks else None))


class AnyoneRegionMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneRegionMask",
            display_name="Region Mask",
            category="Anyone/regions",
            description="Makes a mask of some regions, by their names.",
            inputs=[
                REGIONS.Input("regions", tooltip="From any node that makes regions."),
                io.String.Input("names", default="", dynamic_prompts=False, optional=True,
                                tooltip="Regions with commas between, such as hair, top. Empty: all but the "
                                        "background."),
            ],
            outputs=[io.Mask.Output(display_name="mask", tooltip="1 = any of the regions.")],
            search_aliases=["mask by region", "hair mask", "clothes mask", "regions to mask"],
        )

    @classmethod
    def execute(cls, regions, names=""):
        regions = expect_regions(regions)
        wanted = read_names(names, regions.names) or regions.names[1:]
        return io.NodeOutput(send(region_mask(regions, wanted).float()))


class AnyoneDrawRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDrawRegions",
            display_name="Draw Regions",
            category="Anyone/regions",
            description="Shows a region map in colours, alone or over a picture.",
            inputs=[
                REGIONS.Input("regions", tooltip="From any node that makes regions."),
                io.Image.Input("image", optional=True,
                               tooltip="Picture to draw on; the map is fitted to it. Without it: the colours "
                                       "alone."),
                io.Float.Input("opacity", default=0.6, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="Of the colours over a picture; 1 hides the picture."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="One picture per map or picture.")],
            search_aliases=["region preview", "segmentation preview", "overlay"],
        )

    @classmethod
    def execute(cls, regions, image=None, opacity=0.6):
        regions = expect_regions(regions)
        drawn = colour(regions) if image is None else overlay(regions, image_to_bchw(image), opacity)
        return io.NodeOutput(send(drawn))


def body_parser(detector: Detector, flip: bool) -> Parser:
    """For the twelve regions of everybody meant: by the parser of clothes, else as the finder sees them."""
    if not detector.knows_regions:
        raise ValueError(f"kind is person, but {detector.finder.name} knows no regions; choose a parser in "
                         "clothes of Load Person Detector, or leave the detector away and connect its pose "
                         "and mask.")

    def parse(subjects: Subjects) -> RegionMap:
        height, width = subjects.pictures.shape[2:]
        people = [as_detection(some, height, width) for some in subjects.people]
        if detector.clothes is not None:
            return parse_people(detector.clothes, bchw_to_image(subjects.pictures), people, flip=flip,
                                runtime=host.runtime())
        found = subjects.found or detect(subjects.pictures, detector, boxes=[one.boxes for one in people])
        return RegionMap(torch.stack([spread(seen.regions, one.masks)
                                      for seen, one in zip(found, people, strict=True)]))

    return parse


def face_parser(detector: Detector, flip: bool) -> Parser:
    """For the 19 regions of every face."""
    net = detector.faces
    if net is None:
        raise ValueError("kind is face, but the detector has no parser of faces; choose one in faces of Load "
                         "Person Detector, such as face-bisenet.")
    return lambda subjects: parse_faces(net, bchw_to_image(subjects.pictures), subjects.frames, flip=flip,
                                        runtime=host.runtime())


def as_detection(people: list[Person], height: int, width: int) -> Detection:
    """What a detector would say that saw just these."""
    poses = tuple(from_coco(one.keypoints, width, height) for one in people)
    masks = torch.stack([one.mask for one in people]) if people else \
        torch.zeros(0, height, width, dtype=torch.bool)
    return Detection(PoseFrame(width, height, poses), masks, torch.zeros(height, width, dtype=torch.uint8))


def spread(regions: Tensor, masks: Tensor) -> Tensor:
    """[H,W] what a detector saw -> the same in people's masks [N,H,W]; each fills up from its own regions."""
    out = torch.zeros_like(regions)
    for mask in masks:
        box = tight_box(mask)
        if box is not None:
            window = slice(box.y0, box.y1), slice(box.x0, box.x1)
            out[window] = torch.maximum(out[window], fill_regions(regions[window], mask[window]))
    return out


def faces_note(frames: list[PoseFrame]) -> str:
    count = sum(head_square(pose) is not None for frame in frames for pose in frame.people)
    return f"{count} {'face' if count == 1 else 'faces'} parsed."


def canvas_size(image: Tensor | None, masks: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(height, width) of the picture, else of the first mask; None when there is neither."""
    if image is not None:
        height, width = image_to_bchw(image).shape[2:]
        return height, width
    return next(((mask.shape[1], mask.shape[2]) for mask in masks.values() if not no_mask(mask)), None)


def paint_masks(regions: RegionMap, masks: Mapping[str, Tensor]) -> RegionMap:
    """Later masks cover earlier ones; batches repeat to the longest."""
    count = max(len(regions.labels), *map(len, masks.values())) if masks else len(regions.labels)
    height, width = regions.labels.shape[1:]
    regions = replace(regions, labels=cycle_to(regions.labels, count))
    for name, mask in masks.items():
        if name not in regions.names:
            raise ValueError(f"{name} cannot be painted: regions are {', '.join(regions.names)}.")
        regions = paint(regions, name, cycle_to(fit_mask(mask, height, width, name) > 0.5, count))
    return regions


def edit(regions: RegionMap, operation: str, names: list[str], others: list[str], *, amount: float, dx: int,
         dy: int, mask: Tensor | None) -> RegionMap:
    """One of OPERATIONS. `names`: of the region to change. `mask`: [B,H,W] bool."""
    name = the_one(names, "region", operation)
    if operation == "grow":
        return grow(regions, name, amount, others)
    if operation == "paint":
        return paint(regions, name, expect_mask(mask, operation), others)
    if operation == "swap":
        return swap(regions, name, the_one(others, "with_region", operation))
    filler = the_one(others, "with_region", operation) if others else None
    if filler == name:
        raise ValueError(f"with_region and region are both {name}; name another one, or none.")
    if operation == "shrink":
        return shrink(regions, name, amount, filler)
    if operation == "move":
        return move(regions, name, dx, dy, filler)
    if operation == "remove":
        return remove(regions, name, filler)
    return reshape(regions, name, expect_mask(mask, operation), filler)


def the_one(names: list[str], role: str, operation: str) -> str:
    if len(names) != 1:
        raise ValueError(f"{role} should name one region for {operation}; got {', '.join(names) or 'none'}.")
    return names[0]


def expect_mask(mask: Tensor | None, operation: str) -> Tensor:
    if mask is None:
        raise ValueError(f"{operation} needs a mask: connect one that says where the region is.")
    return mask


def overlay(regions: RegionMap, pictures: Tensor, opacity: float) -> Tensor:
    """Over pictures [B,3,h,w] -> [B,h,w,3]; the background stays as it is."""
    count = max(len(regions.labels), len(pictures))
    labels = F.interpolate(regions.labels[:, None].float(), pictures.shape[2:], mode="nearest-exact")[:, 0]
    fitted = replace(regions, labels=cycle_to(labels.to(torch.uint8), count))
    share = (fitted.labels > 0)[..., None] * opacity                               # [B,h,w,1]
    return torch.lerp(bchw_to_image(cycle_to(pictures, count)), colour(fitted), share)
