"""Nodes, snapshot, translations, docs and node list are in step, and nothing released changes."""
from __future__ import annotations

import copy
import importlib.util
import json
import re
from pathlib import Path

import pytest
from anyone.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
IDS = [node.__name__ for node in NODES]


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


declarations = load(ROOT / "tests" / "nodes" / "declarations.py")


@pytest.fixture(scope="module")
def info() -> dict:
    return declarations.current()


@pytest.mark.parametrize("path, make", [
    (declarations.SNAPSHOT, lambda info: info), (declarations.NODE_LIST, declarations.node_list),
    (declarations.NODE_DEFS, declarations.node_defs)], ids=["snapshot", "node_list", "nodeDefs"])
def test_the_written_declarations_are_up_to_date(info, path, make):
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == make(info), "run python tests/nodes/declarations.py"


def test_class_names_are_ids_and_the_base_is_one_scanners_find():
    for path in (ROOT / "nodes").glob("*.py"):
        for name in re.findall(r"class (\w+)\(io\.ComfyNode\)", source := path.read_text(encoding="utf-8")):
            assert name in IDS and f'node_id="{name}"' in source
    assert [node.GET_SCHEMA().node_id for node in NODES] == IDS


def test_everything_has_a_tooltip_and_text_the_translator_can_read(info):
    for name, node in info.items():
        texts = [node["description"], *node["output_tooltips"],
                 *(spec[1].get("tooltip") for group in ("required", "optional")
                   for spec in node["input"].get(group, {}).values())]
        assert all(texts), f"{name} misses a tooltip or its description"
        assert not re.search(r"[{}@|]", "".join(texts)), f"{name}: signs that vue-i18n would read as its own"
        assert re.fullmatch(r"Anyone/[a-z]+", node["category"])


@pytest.mark.parametrize("name", IDS)
def test_the_docs_page_names_every_input_and_output(info, name):
    page = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
    node = info[name]
    assert page.startswith(f"# {node['display_name']}\n")
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|.*", page, re.MULTILINE))))
    inputs = {key for group in ("required", "optional") for key in node["input"].get(group, {})}
    assert inputs | set(node["output_name"]) <= listed
    assert "**Limits.**" in page and f'"class_type": "{name}"' in page


@pytest.mark.parametrize("name", IDS)
def test_the_docs_snippet_is_a_valid_prompt(info, name):
    page = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    snippet = next(block for block in blocks if "class_type" in block)
    for node in json.loads(snippet).values():
        spec = info[node["class_type"]]["input"]
        assert set(spec["required"]) <= set(node["inputs"]) <= {*spec["required"], *spec.get("optional", {})}


def test_docs_are_there_for_every_node_and_no_other():
    assert sorted(path.stem for path in (ROOT / "web" / "docs").glob("*.md")) == sorted(IDS)


def test_the_other_translations_name_our_categories_and_types(info):
    texts = json.loads((ROOT / "locales" / "en" / "main.json").read_text(encoding="utf-8"))
    parts = {part for node in info.values() for part in node["category"].split("/")}
    assert set(texts["nodeCategories"]) == parts
    own = {kind for node in info.values() for kind in node["output"] if kind.startswith("ANYONE_")}
    assert set(texts["dataTypes"]) == own


@pytest.mark.parametrize("change, phrase", [
    (lambda node: node["output"].insert(0, "MASK"), "output was"),
    (lambda node: node["input_order"]["optional"].reverse(), "its optional inputs were"),
    (lambda node: node["input"]["required"].update(new=["INT", {}]), "a new input is required"),
    (lambda node: node["input"]["optional"]["width"][1].update(default=2), "the default 320"),
    (lambda node: node["input"]["optional"]["mode"][1]["options"].reverse(), "the options of mode"),
])
def test_a_broken_promise_is_noticed(info, change, phrase):
    changed = copy.deepcopy(info)
    change(changed["AnyoneSyntheticPeople"])
    assert phrase in "; ".join(declarations.broken_promises(info, changed))


def test_a_missing_node_is_noticed(info):
    old = {**info, "AnyoneOld": info["AnyoneDrawPose"]}
    assert declarations.broken_promises(old, info) == ["AnyoneOld is gone"]


def test_appending_is_allowed(info):
    changed = copy.deepcopy(info)
    changed["AnyoneNew"] = changed["AnyoneDrawPose"]
    changed["AnyoneSyntheticPeople"]["input"]["optional"]["mode"][1]["options"].append("beach")
    changed["AnyoneDrawPose"]["input"]["optional"]["extra"] = ["INT", {"default": 1}]
    changed["AnyoneDrawPose"]["input_order"]["optional"].append("extra")
    assert declarations.broken_promises(info, changed) == []
