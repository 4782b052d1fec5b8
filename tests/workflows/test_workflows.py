"""The shipped workflows: each is three files that belong together, and each runs here."""
from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from anyone.core.graph import workflow
from anyone.core.graph.core_nodes import CORE_NODES
from anyone.core.graph.executor import Executor
from anyone.core.runtime import Runtime
from anyone.nodes import NODES
from PIL import Image

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


class Folders(Runtime):
    """Reads the example inputs, writes below a temporary folder."""

    def folder(self, kind):
        return WORKFLOWS / "input" if kind == "input" else super().folder(kind)


@pytest.fixture
def executor(tmp_path):
    return Executor([*CORE_NODES, *NODES], Folders("cpu", tmp_path))


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_each_workflow_has_its_api_twin_and_its_picture(executor, name):
    prompt = workflow.to_prompt(load(WORKFLOWS / f"{name}.json"), executor.info())
    assert prompt == load(WORKFLOWS / "api" / f"{name}.json")
    picture = WORKFLOWS / f"{name}.jpg"
    assert picture.stat().st_size <= 60_000 and min(Image.open(picture).size) >= 256


def test_there_is_nothing_without_a_workflow():
    for others in ((WORKFLOWS / "api").iterdir(), WORKFLOWS.glob("*.jpg")):
        assert sorted(path.stem for path in others) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_interface_file_is_consistent_and_tidy(name):
    document = load(WORKFLOWS / f"{name}.json")
    nodes = {node["id"]: node for node in document["nodes"]}
    assert len(nodes) == len(document["nodes"]) and document["last_node_id"] == max(nodes)
    for key, origin, slot, target, target_slot, kind in document["links"]:
        source = nodes[origin]["outputs"][slot]
        assert key in source["links"] and source["type"] == kind
        assert nodes[target]["inputs"][target_slot]["link"] == key
    for one, other in combinations(nodes.values(), 2):
        assert not overlap(one, other), f"{one['type']} covers {other['type']}"
    assert any(node["type"] == "MarkdownNote" for node in nodes.values())


def overlap(one: dict, other: dict) -> bool:
    """Whether two nodes meet on the canvas; a node's title stands 30 pixels above its position."""
    (ax, ay), (aw, ah), (bx, by), (bw, bh) = one["pos"], one["size"], other["pos"], other["size"]
    return ax < bx + bw and bx < ax + aw and ay - 30 < by + bh and by - 30 < ay + ah


@pytest.mark.parametrize("name", NAMES)
def test_the_workflow_runs_and_saves_pictures(executor, name):
    validation = executor.validate(load(WORKFLOWS / "api" / f"{name}.json"))
    assert validation.error is None
    result = executor.run(validation)
    assert result.error is None
    saved = [file for shown in result.outputs.values() for file in shown.get("images", ())]
    folder = executor.runtime.folder
    paths = [folder(file["type"]) / file["subfolder"] / file["filename"] for file in saved]
    assert paths and all(path.is_file() for path in paths)


def test_the_astronaut_is_changed_inside_the_mask_only(executor):
    result = executor.run(executor.validate(load(WORKFLOWS / "api" / "inpaint_person.json")))
    (before,), (mask,) = result.values["1"][0], result.values["2"][0]
    (after,), (painted,) = result.values["5"][:2]
    assert torch.equal(after[painted == 0], before[painted == 0])
    assert painted[mask > 0.5].mean() > 0.99 and painted[mask < 0.5].mean() < 0.1
    assert (after != before).any(-1)[mask > 0.5].float().mean() > 0.9


def test_the_example_pose_lies_on_the_person():
    (frame,) = load(WORKFLOWS / "input" / "astronaut_pose.json")
    mask = Image.open(WORKFLOWS / "input" / "astronaut_mask.png")
    assert (frame["canvas_width"], frame["canvas_height"]) == mask.size
    joints = frame["people"][0]["pose_keypoints_2d"]
    present = [joints[i:i + 2] for i in range(0, 54, 3) if joints[i + 2]]
    assert len(present) == 10 and all(mask.getpixel((x, y)) == 255 for x, y in present)
