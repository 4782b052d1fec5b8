"""The pack inside a real ComfyUI, without its server: loads, declares the same nodes, runs every example."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
OPTIONS = ("default", "min", "max", "step", "options", "tooltip", "multiline", "dynamicPrompts",
           "control_after_generate", "advanced")
FIELDS = ("output", "output_name", "output_tooltips", "output_is_list", "name", "display_name", "description",
          "category", "output_node", "deprecated", "experimental")
EXAMPLES = sorted((HERE.parent.parent / "workflows" / "api").glob("*.json"))


@pytest.fixture(scope="session")
def seen(host) -> dict:
    """What inside.py reports."""
    finished = host.run(HERE / "inside.py", host.checkout, host.pack, host.base, *EXAMPLES)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def test_the_pack_loads_without_a_warning_of_ours(seen):
    assert seen["loaded"]
    assert not [line for line in seen["warnings"] if "anyone" in line.lower()]


def test_every_node_is_declared_as_the_snapshot_says(seen, snapshot):
    assert sorted(seen["info"]) == sorted(snapshot)
    for name, node in snapshot.items():
        assert promised(seen["info"][name]) == promised(node), name


def promised(node: dict) -> dict:
    """What users and their workflows rely on; hosts differ in what else they send."""
    inputs = {group: [(name, kind, {key: value for key, value in options.items() if key in OPTIONS})
                      for name, (kind, options) in node["input"].get(group, {}).items()]
              for group in ("required", "optional")}
    return {**inputs, **{key: node[key] for key in FIELDS}}


def test_the_example_runs(seen, example):
    result = seen["results"][example.stem]
    assert result["success"], result
    prompt = json.loads(example.read_text(encoding="utf-8"))
    shown = {key for key, node in prompt.items() if node["class_type"] in ("SaveImage", "PreviewImage")}
    assert shown and all(result["outputs"][key]["images"] for key in shown)


def test_comfyui_counts_our_networks_and_gets_their_memory_back(seen):
    for name in ("inpaint_person", "inpaint_synthetic"):
        assert seen["memory"][name]["loaded"] and seen["memory"][name]["nets"] >= 1, name
    assert seen["freed"] == {"loaded": [], "nets": 0}
