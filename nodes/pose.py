"""Anyone/pose: poses as JSON text, files, pictures, maps and masks, and how near two of them are."""
from __future__ import annotations

import json as json_module
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.graph.files import file_dict, resolve_file, save_folder, save_text
from ..core.image import cycle_to, image_to_bchw, resize
from ..core.people import grabcut_people, mask_from_pose
from ..core.pose import (
    COLOURS,
    UNITS,
    Likeness,
    Pose,
    PoseFrame,
    compare_people,
    disc_maps,
    draw_poses,
    gaussian_maps,
    load_poses,
    pixel_joints,
    polygon_mask,
    pose_mask,
    save_pose_folder,
    select_person,
    write_poses,
)
from . import host
from .host import Schema, io, opt
from .wires import POSE, cycled, expect_option, file_stamp, find_path, people_note, read_frames, send

LAYOUTS = ("file", "folder")
CONVENTIONS = ("deformable-gan", "pg2")
METHODS = ("body", "grabcut", "pg2", "deformable-gan")


class AnyonePoseFromJSON(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePoseFromJSON",
            display_name="Pose from JSON",
            category="Anyone/pose",
            description="Reads OpenPose JSON, as a text or from a file in the input folder. "
                        "BODY_25 and coordinates from 0 to 1 are understood too.",
            inputs=[
                io.String.Input(
                    "json", default="", multiline=True, dynamic_prompts=False, optional=True,
                    tooltip="One frame (canvas_width, canvas_height, people) or a list of frames."),
                io.String.Input(
                    "file", default="", dynamic_prompts=False, optional=True,
                    tooltip="A JSON file in the input folder, used when json is empty; "
                            "\"name.json [output]\" reads from the output folder."),
            ],
            outputs=[POSE.Output(display_name="pose", tooltip="One frame per picture, in pixels.")],
            search_aliases=["openpose json", "load pose"],
        )

    @classmethod
    def fingerprint_inputs(cls, json="", file=""):
        return json if json or not file else file_stamp(find_file(file))

    @classmethod
    def execute(cls, json="", file=""):
        if not json.strip() and not file.strip():
            raise ValueError("json and file are both empty; give OpenPose JSON or the name of a JSON file.")
        if json.strip():
            text, name = json, "json"
        else:
            text, name = find_file(file).read_text(encoding="utf-8-sig"), "file"
        return io.NodeOutput(write_poses(read_frames(text, name)))


class AnyonePoseToJSON(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePoseToJSON",
            display_name="Pose to JSON",
            category="Anyone/pose",
            description="Writes a pose as OpenPose JSON text and, if asked, as a file in the output folder.",
            inputs=[
                POSE.Input("pose", tooltip="A pose from any node or pack."),
                io.String.Input(
                    "filename_prefix", default="", dynamic_prompts=False, optional=True,
                    tooltip="Saves PREFIX_00001_.json in the output folder; empty = text only."),
            ],
            outputs=[io.String.Output(display_name="json", tooltip="A list with one frame per picture.")],
            is_output_node=True,
            search_aliases=["save pose", "openpose json"],
        )

    @classmethod
    def execute(cls, pose, filename_prefix=""):
        text = json_module.dumps(write_poses(read_frames(pose)))
        shown: dict[str, list] = {"text": [text], "openpose_json": [text]}
        if filename_prefix.strip():
            shown["files"] = [save_text(text, filename_prefix.strip(), ".json", host.runtime(), "output")]
        return io.NodeOutput(text, ui=shown)


class AnyoneDrawPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDrawPose",
            display_name="Draw Pose",
            category="Anyone/pose",
            description="Draws poses as stick figures in the usual OpenPose colours, on black or a picture.",
            inputs=[
                POSE.Input("pose", tooltip="A pose from any node or pack."),
                io.Image.Input("background", optional=True,
                               tooltip="Picture to draw on; the pose is scaled to it. Without it: black."),
                io.Float.Input("line_width", default=0.0, min=0.0, max=64.0, step=0.5, optional=True,
                               tooltip="Width of the limbs in pixels; 0 = chosen by the picture's size."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="One picture per frame of the pose.")],
            search_aliases=["openpose", "skeleton", "stick figure", "controlnet pose"],
        )

    @classmethod
    def execute(cls, pose, background=None, line_width=0.0):
        frames = read_frames(pose)
        pictures = None if background is None else image_to_bchw(background, "background")
        return io.NodeOutput(send(draw(frames, pictures, line_width or None)))


class AnyoneLoadPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadPose",
            display_name="Load Pose",
            category="Anyone/pose",
            description="Loads the poses of a video: one JSON file of all frames, or a folder with a file "
                        "per frame. Reads OpenPose's JSON, BODY_25 and COCO's key points.",
            inputs=[
                io.String.Input(
                    "path", default="", dynamic_prompts=False,
                    tooltip="A file or a folder in the input folder; \"name [output]\" is looked for in the "
                            "output folder."),
                io.Int.Input("start", default=0, min=0, max=1000000, optional=True,
                             tooltip="Leaves out so many frames at the beginning."),
                io.Int.Input("count", default=0, min=0, max=1000000, optional=True,
                             tooltip="At most so many frames; 0 = all."),
                io.Int.Input("every_nth", default=1, min=1, max=1000, optional=True,
                             tooltip="2 = every second frame."),
                io.Int.Input("width", default=0, min=0, max=65536, optional=True,
                             tooltip="Of the picture, for files that do not tell it, as those of OpenPose "
                                     "itself and of COCO."),
                io.Int.Input("height", default=0, min=0, max=65536, optional=True,
                             tooltip="Of the picture, for files that do not tell it."),
                opt(io.Boolean.Input("padded_to_64", default=True, optional=True,
                                     tooltip="Coordinates from 0 to 1 refer to the canvas rounded up to "
                                             "multiples of 64, as controlnet_aux writes them."),
                    advanced=True),
            ],
            outputs=[
                POSE.Output(display_name="pose", tooltip="One frame per picture, in pixels."),
                io.Int.Output(display_name="count", tooltip="How many frames these are."),
            ],
            search_aliases=["openpose json", "pose sequence", "coco keypoints", "alphapose"],
        )

    @classmethod
    def fingerprint_inputs(cls, path="", **others):
        if not path:                                       # it comes from a node
            return ""
        place = find_path(path, "pose")
        files = sorted(place.glob("*.json")) if place.is_dir() else [place]
        return [file_stamp(file) for file in files]

    @classmethod
    def execute(cls, path, start=0, count=0, every_nth=1, width=0, height=0, padded_to_64=True):
        if bool(width) != bool(height):
            raise ValueError(f"width and height go together, both 0 or neither; got {width} and {height}.")
        place = find_path(path, "pose")
        frames = load_poses(place, canvas=(width, height) if width else None, padded_to_64=padded_to_64)
        taken = frames[start::every_nth][:count or None]
        if not taken:
            raise ValueError(f"path: {place.name} has {len(frames)} frames, and start leaves out {start}; "
                             "at least one has to remain.")
        return io.NodeOutput(write_poses(taken), len(taken), ui={"text": [people_note(taken)]})


class AnyoneSavePose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSavePose",
            display_name="Save Pose",
            category="Anyone/pose",
            description="Saves poses as OpenPose JSON in the output folder, never over an older file.",
            inputs=[
                POSE.Input("pose", tooltip="A pose from any node or pack."),
                io.String.Input("filename_prefix", default="pose/anyone", dynamic_prompts=False,
                                optional=True, tooltip="Saves PREFIX_00001_.json or a folder PREFIX_00001."),
                io.Combo.Input("layout", options=list(LAYOUTS), default="file", optional=True,
                               tooltip="file = all frames in one file; folder = a new folder with a file "
                                       "per frame, as OpenPose saves videos."),
            ],
            outputs=[
                POSE.Output(display_name="pose", tooltip="What was saved."),
                io.String.Output(display_name="path", tooltip="For the path of Load Pose."),
            ],
            is_output_node=True,
            search_aliases=["openpose json", "export pose", "save keypoints"],
        )

    @classmethod
    def execute(cls, pose, filename_prefix="pose/anyone", layout="file"):
        expect_option(layout, LAYOUTS, "layout")
        frames = read_frames(pose)
        written = write_poses(frames)
        text = json_module.dumps(written)
        if layout == "file":
            files = [save_text(text, filename_prefix.strip(), ".json", host.runtime(), "output")]
            path = "/".join(filter(None, [files[0]["subfolder"], files[0]["filename"]]))
        else:
            files = save_frames(frames, filename_prefix.strip())
            path = files[0]["subfolder"]
        path = f"{path} [output]"
        return io.NodeOutput(written, path, ui={"text": [path], "files": files, "openpose_json": [text]})


class AnyonePoseMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePoseMaps",
            display_name="Pose Maps",
            category="Anyone/pose",
            description="Turns one person's pose into 18 maps, one per joint, as pose transfer networks take "
                        "them.",
            inputs=[
                POSE.Input("pose", tooltip="A pose from any node or pack."),
                io.Combo.Input("convention", options=list(CONVENTIONS), default="deformable-gan",
                               optional=True,
                               tooltip="deformable-gan = soft spots (Siarohin et al. 2018); "
                                       "pg2 = white discs (Ma et al. 2017)."),
                io.Int.Input("width", default=0, min=0, max=4096, optional=True,
                             tooltip="Of the maps; 0 = the canvas of the first frame."),
                io.Int.Input("height", default=0, min=0, max=4096, optional=True,
                             tooltip="Of the maps; 0 = the canvas of the first frame."),
                io.Int.Input("index", default=0, min=0, max=1000, optional=True,
                             tooltip="Which person, as numbered in the pose; 0 = the first."),
                io.Float.Input("sigma", default=6.0, min=0.5, max=256.0, step=0.5, optional=True,
                               tooltip="deformable-gan: spread of a spot in pixels of the maps."),
                io.Int.Input("radius", default=4, min=0, max=256, optional=True,
                             tooltip="pg2: of a disc, in pixels of the maps."),
                io.Boolean.Input("stepped", default=True, optional=True,
                                 tooltip="deformable-gan: spots in steps, as the published weights know "
                                         "them. Off: smooth spots."),
            ],
            outputs=[
                io.Mask.Output(display_name="maps", tooltip="18 masks per frame, frame after frame."),
                io.Image.Output(display_name="preview", tooltip="All maps of a frame in one picture, in "
                                                                "OpenPose's colours."),
            ],
            search_aliases=["heatmap", "keypoint maps", "pose transfer", "gaussian maps"],
        )

    @classmethod
    def execute(cls, pose, convention="deformable-gan", width=0, height=0, index=0, sigma=6.0, radius=4,
                stepped=True):
        expect_option(convention, CONVENTIONS, "convention")
        frames = read_frames(pose)
        size = height or frames[0].height, width or frames[0].width
        progress, maps = host.runtime().progress(len(frames), "Pose maps"), []
        for frame in frames:
            person = select_person(frame, index, "index") or Pose.empty(frame.width, frame.height)
            joints = pixel_joints(person, *size)
            maps.append(disc_maps(joints, *size, radius=radius) if convention == "pg2" else
                        gaussian_maps(joints, *size, sigma=sigma, stepped=stepped))
            progress.update()
        previews = torch.stack([coloured(one) for one in maps])                    # [F,H,W,3]
        return io.NodeOutput(send(torch.cat(maps)), send(previews))


class AnyonePoseMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePoseMask",
            display_name="Pose Mask",
            category="Anyone/pose",
            description="Makes a mask of the people of a pose, without any model.",
            inputs=[
                POSE.Input("pose", tooltip="A pose from any node or pack."),
                io.Image.Input("image", optional=True,
                               tooltip="The pictures the pose belongs to. Needed by grabcut; for the other "
                                       "methods only their size and number count."),
                io.Combo.Input("method", options=list(METHODS), default="body", optional=True,
                               tooltip="body = the outline of a clothed adult; grabcut = follows the colours "
                                       "of the picture; pg2 and deformable-gan = thick limbs, as these "
                                       "systems publish them."),
                io.Int.Input("width", default=0, min=0, max=16384, optional=True,
                             tooltip="Of the mask; 0 = that of the picture, or of the first frame's canvas."),
                io.Int.Input("height", default=0, min=0, max=16384, optional=True,
                             tooltip="Of the mask; 0 = that of the picture, or of the first frame's canvas."),
                io.Int.Input("index", default=-1, min=-1, max=1000, optional=True,
                             tooltip="Which person, as numbered in the pose; -1 = everybody."),
            ],
            outputs=[io.Mask.Output(display_name="mask", tooltip="1 = person; one per frame or picture.")],
            search_aliases=["person mask", "segment person", "grabcut", "silhouette", "body mask"],
        )

    @classmethod
    def execute(cls, pose, image=None, method="body", width=0, height=0, index=-1):
        expect_option(method, METHODS, "method")
        if method == "grabcut" and image is None:
            raise ValueError("image is missing; grabcut follows the colours of a picture, "
                             "the method body does without.")
        frames = read_frames(pose)
        pictures = None if image is None else image_to_bchw(image)
        default = (frames[0].height, frames[0].width) if pictures is None else pictures.shape[-2:]
        size = height or default[0], width or default[1]
        count = len(frames) if pictures is None else max(len(frames), len(pictures))
        progress, masks = host.runtime().progress(count, "Pose masks"), []
        for number, frame in enumerate(cycled(frames, count)):
            picture = None if pictures is None else pictures[number % len(pictures)]
            masks.append(people_mask(frame, picture, method, index, *size))
            progress.update()
        return io.NodeOutput(send(torch.stack(masks).float()))


class AnyoneComparePoses(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneComparePoses",
            display_name="Compare Poses",
            category="Anyone/pose",
            description="Measures how near a pose comes to a reference, person by person: OKS and PCK.",
            inputs=[
                POSE.Input("pose", tooltip="The pose to judge."),
                POSE.Input("reference", tooltip="How it should be; people are matched in any order."),
                io.Float.Input("radius", default=0.2, min=0.0, max=4096.0, step=0.05, optional=True,
                               tooltip="PCK: how far off a joint may be, in units."),
                io.Combo.Input("unit", options=list(UNITS), default="torso", optional=True,
                               tooltip="PCK: torso = from shoulder to opposite hip, head = from neck to "
                                       "nose, box = the longer side of the joints' box, pixels."),
            ],
            outputs=[
                io.Float.Output(display_name="oks", tooltip="Object keypoint similarity, 0 to 1: the mean "
                                                            "over the people of the reference."),
                io.Float.Output(display_name="pck", tooltip="Share of correct key points, 0 to 1: the mean "
                                                            "over the people of the reference."),
                io.String.Output(display_name="note", tooltip="The numbers of every person."),
            ],
            search_aliases=["pose distance", "pose similarity", "pose accuracy", "evaluate pose"],
        )

    @classmethod
    def execute(cls, pose, reference, radius=0.2, unit="torso"):
        expect_option(unit, UNITS, "unit")
        frames, references = read_frames(pose), read_frames(reference, "reference")
        count = max(len(frames), len(references))
        oks, pck, note = judge([(a.people, b.scaled(a.width, a.height).people) for a, b in zip(
            cycled(references, count), cycled(frames, count), strict=True)], radius, unit)
        return io.NodeOutput(oks, pck, note, ui={"text": [note]})


def find_file(name: str) -> Path:
    path = resolve_file(name.strip(), host.runtime())
    if path.is_file():
        return path
    raise FileNotFoundError(f"file: there is no {name.strip()} in the folder {path.parent}.")


def draw(frames: list[PoseFrame], pictures: Tensor | None, line_width: float | None) -> Tensor:
    """[F] frames, [B,3,H,W] or None -> [max(F,B),H,W,3]; without pictures on the first frame's canvas."""
    if pictures is None:
        pictures = torch.zeros(1, 3, frames[0].height, frames[0].width)
    count = max(len(frames), len(pictures))
    backgrounds = cycle_to(pictures, count).movedim(1, -1)                         # [B,H,W,3]
    return torch.stack([draw_poses(frame, background, line_width=line_width)
                        for frame, background in zip(cycled(frames, count), backgrounds, strict=True)])


def save_frames(frames: list[PoseFrame], prefix: str) -> list[dict[str, str]]:
    """Fills a new folder with a file per frame; how the host names them."""
    runtime = host.runtime()
    folder = save_folder(lambda place: save_pose_folder(frames, place), prefix, runtime, "output")
    return [file_dict(path, runtime, "output") for path in sorted(folder.iterdir())]


def coloured(maps: Tensor) -> Tensor:
    """[18,H,W] 0..1 -> [H,W,3], every map in its joint's colour, the brightest on top."""
    picture = maps.new_zeros(*maps.shape[1:], 3)
    for one, colour in zip(maps, COLOURS, strict=True):
        picture = torch.maximum(picture, one[..., None] * torch.tensor(colour) / 255)
    return picture


def people_mask(frame: PoseFrame, picture: Tensor | None, method: str, index: int, height: int,
                width: int) -> Tensor:
    """[H,W] bool of person `index`, or of everybody for -1. `picture`: [3,h,w], which grabcut needs."""
    people = slice(None) if index < 0 else slice(index, index + 1)
    if method == "grabcut" and picture is not None:        # sees everybody: people compete for pixels
        return grabcut_people(resize(picture[None], height, width)[0], frame.people)[people].any(0)
    mask = torch.zeros(height, width, dtype=torch.bool)
    for person in frame.people[people]:
        mask |= drawn_mask(person, method, height, width)
    return mask


def drawn_mask(person: Pose, method: str, height: int, width: int) -> Tensor:
    """[H,W] bool, from the joints alone."""
    if method == "body":
        return mask_from_pose(person, height, width)
    draw_limbs = pose_mask if method == "pg2" else polygon_mask
    return draw_limbs(pixel_joints(person, height, width), height, width)


def judge(pairs: list[tuple[Sequence[Pose], Sequence[Pose]]], radius: float,
          unit: str) -> tuple[float, float, str]:
    """Mean OKS and PCK over all people of the references, and everybody's in words.

    `pairs`: of each frame the people of the reference and those to judge.
    """
    scores: list[Likeness] = []
    lines, strangers = [], 0
    for frame, (references, others) in enumerate(pairs, 1):
        found = compare_people(references, others, threshold=radius, unit=unit)
        more = sum(bool(person.present.any()) for person in others) - sum(
            one.other is not None for one in found)
        strangers += more
        scores += found
        lines += [f"Frame {frame}, index {one.number}: {in_words(one)}" for one in found]
        lines += [f"Frame {frame}: {more} more in pose."] if more else []
    if not scores:
        alike = float(not strangers)
        return alike, alike, "\n".join(["Nobody in reference" + (" nor in pose." if alike else "."), *lines])
    oks, pck = mean([one.oks for one in scores]), mean([one.pck for one in scores])
    missed = sum(one.other is None for one in scores)
    heading = f"OKS {oks:.3f}, PCK {pck:.3f}; {len(scores) - missed} of {len(scores)} found."
    return oks, pck, "\n".join([heading, *lines])


def in_words(one: Likeness) -> str:
    if one.other is None:
        return "not found."
    pck = "nothing to measure by, choose another unit" if math.isnan(one.pck) else f"{one.pck:.3f}"
    return f"index {one.other} in pose, OKS {one.oks:.3f}, PCK {pck}."


def mean(values: list[float]) -> float:
    """Of those that are numbers; 0 when none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else 0.0
