"""Runs `workflows/inpaint_person.json` on a drawn scene and a photograph, several seeds each.

    python run.py demo
    python run.py demo --seeds 8 --output output/demo

The results, and `contact_sheet.png` with everything side by side, go to the output folder; the inputs lie in
its folder `input`.
"""
from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .graph import workflow
from .graph.core_nodes import CORE_NODES
from .graph.outcome import LocalRunner
from .image import resize
from .pose import Pose, PoseFrame, write_poses
from .runtime import Progress, Runtime, TerminalProgress
from .sheet import tile
from .synthetic import render_people

if TYPE_CHECKING:
    from PIL import Image

WORKFLOW = Path(__file__).resolve().parent.parent / "workflows" / "inpaint_person.json"
PARTS = (".png", "_mask.png", "_pose.json")                # the files of one input
SCENE_PERSON, SCENE_SIZE = 3, (512, 512)                  # height, width
CELL, HEADING = 288, 22                                    # pixels on the sheet


class DemoRuntime(Runtime):
    """Everything in one folder: inputs in `input`, results in the folder itself."""

    def folder(self, kind: str) -> Path:
        return self.root if kind == "output" else super().folder(kind)


def to_pil(picture: Tensor) -> Image.Image:
    """[H,W,3] or [H,W], 0..1."""
    from PIL import Image

    return Image.fromarray((picture.float().clamp(0, 1) * 255).round().byte().numpy())


def draw_scene(folder: Path) -> None:
    """Writes a procedural person with mask and pose."""
    height, width = SCENE_SIZE
    scene = render_people(torch.tensor([SCENE_PERSON]), height, width, bystanders=0, occluders=0, crops=0)
    pose = Pose(scene.keypoints[0, 0].float(), (scene.visibility[0, 0] > 0).float(), width, height)
    to_pil(scene.image[0].movedim(0, -1)).save(folder / "scene.png")
    to_pil(scene.mask[0]).save(folder / "scene_mask.png")
    frames = write_poses([PoseFrame(width, height, (pose,))])
    (folder / "scene_pose.json").write_text(json.dumps(frames), encoding="utf-8")


def prepare_inputs(folder: Path) -> tuple[str, str]:
    """Fills the input folder; the names of the inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_scene(folder)
    for part in PARTS:
        shutil.copy(WORKFLOW.parent / "input" / f"astronaut{part}", folder)
    return "scene", "astronaut"


def prompt_for(runner: LocalRunner, name: str, seed: int) -> workflow.Prompt:
    """The workflow pointed at one input, as `run.py run --set` does it."""
    info = runner.info()
    prompt = workflow.to_prompt(workflow.read(WORKFLOW), info)
    picture, mask, pose = (name + part for part in PARTS)
    workflow.set_value(prompt, "LoadImage.image", picture, info)
    workflow.set_value(prompt, "LoadImageMask.image", mask, info)
    workflow.set_value(prompt, "AnyonePoseFromJSON.file", pose, info)
    workflow.set_value(prompt, "AnyoneInpaintPerson.seed", str(seed), info)
    workflow.set_value(prompt, "SaveImage.filename_prefix", f"{name}_seed{seed}", info)
    return prompt


def paint(runner: LocalRunner, name: str, seed: int, bar: Progress) -> dict[str, Tensor]:
    """Node class -> the first picture it made, [H,W,3] or [H,W]. ValueError when the workflow fails."""
    bar.label = f"{name}, seed {seed}"
    prompt = prompt_for(runner, name, seed)
    outcome = runner.run(prompt, {}, lambda event, data: None)
    if problems := outcome.problems():
        raise ValueError("; ".join(problems))
    bar.update()
    return {prompt[key]["class_type"]: slots[0][0][0] for key, slots in outcome.result.values.items()
            if slots and isinstance(slots[0][0], Tensor)}


def remove_results(folder: Path) -> None:
    """Those of the last run, which would otherwise make SaveImage count on."""
    for old in folder.glob("*_seed*_.png"):
        old.unlink()


def contact_sheet(rows: Sequence[Sequence[Tensor]], headings: Sequence[str]) -> Image.Image:
    """One row of pictures ([H,W,3] or [H,W]) per input, a heading above each column."""
    from PIL import Image, ImageDraw, ImageFont

    cells = torch.stack([torch.stack([cell(picture) for picture in row]) for row in rows])
    pictures = to_pil(tile(cells).movedim(0, -1))
    sheet = Image.new("RGB", (pictures.width, pictures.height + HEADING), "white")
    sheet.paste(pictures, (0, HEADING))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, heading in enumerate(headings):
        middle = (column + 0.5) * pictures.width / len(headings)
        draw.text((middle, HEADING / 2), heading, "black", font, anchor="mm")
    return sheet


def cell(picture: Tensor) -> Tensor:
    """[H,W,3] or [H,W] -> [3,CELL,CELL]."""
    colours = picture if picture.ndim == 3 else picture[..., None].expand(-1, -1, 3)
    return resize(colours.movedim(-1, 0)[None], CELL, CELL)[0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="people per picture (4)")
    parser.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR")


def main(args: argparse.Namespace) -> int:
    runtime = DemoRuntime(root=args.output)
    runner = LocalRunner([*CORE_NODES, *args.pack_nodes()], runtime)
    names, seeds = prepare_inputs(args.output / "input"), range(1, args.seeds + 1)
    remove_results(args.output)
    bar = TerminalProgress(len(names) * len(seeds), runtime)
    rows = []
    for name in names:
        made = [paint(runner, name, seed, bar) for seed in seeds]
        shown = [made[0][node] for node in ("LoadImage", "AnyoneDrawPose", "LoadImageMask")]
        rows.append([*shown, *(one["AnyoneInpaintPerson"] for one in made)])
    shutil.rmtree(runtime.folder("temp"), ignore_errors=True)                      # previews
    sheet = args.output / "contact_sheet.png"
    contact_sheet(rows, ["input", "pose", "mask", *(f"seed {seed}" for seed in seeds)]).save(sheet)
    print(f"The pictures are in {args.output}, all of them side by side in {sheet}")
    return 0
