"""Anyone/pose: poses as JSON text and as pictures."""
from __future__ import annotations

import json as json_module
from pathlib import Path

import torch
from torch import Tensor

from ..core.graph.files import resolve_file, save_text
from ..core.image import cycle_to, image_to_bchw
from ..core.pose import PoseFrame, draw_poses, write_poses
from . import host
from .host import Schema, io
from .wires import POSE, cycled, file_stamp, read_frames, send


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
        text = json if json.strip() else find_file(file).read_text(encoding="utf-8-sig")
        return io.NodeOutput(write_poses(read_frames(text)))


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
