"""Reading workflow files, and changing inputs as the command line does."""
from __future__ import annotations

import json

import pytest
from anyone.core.graph import workflow

PROMPT = {"1": {"class_type": "Number", "inputs": {"value": 1}, "_meta": {"title": "Left"}},
          "2": {"class_type": "Number", "inputs": {"value": 2}, "_meta": {"title": "Right.most"}},
          "3": {"class_type": "Text", "inputs": {"text": "x"}}}
INFO = {"Number": {"input": {"required": {"value": ["INT", {}]}, "optional": {"list": ["POSE", {}]}}},
        "Text": {"input": {"required": {"text": ["STRING", {}]}}}}


def write(tmp_path, content):
    path = tmp_path / "flow.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("wrap", [lambda prompt: prompt, lambda prompt: {"prompt": prompt, "client_id": "x"}])
def test_api_files_and_request_bodies(tmp_path, wrap):
    document = workflow.read(write(tmp_path, wrap(PROMPT)))
    prompt = workflow.to_prompt(document, {})
    assert prompt == PROMPT and prompt["1"] is not document["1"]
    assert workflow.extra_pnginfo(document) == {}


def test_interface_files_travel_with_saved_pictures(tmp_path):
    document = workflow.read(write(tmp_path, {"nodes": [], "links": []}))
    assert workflow.extra_pnginfo(document) == {"workflow": {"nodes": [], "links": []}}


@pytest.mark.parametrize(("content", "phrase"), [
    ("{", "is not JSON"), ([1], "is no ComfyUI workflow"), ({"a": 1}, "is no ComfyUI workflow"),
    ({}, "is no ComfyUI workflow")])
def test_other_files_are_refused(tmp_path, content, phrase):
    with pytest.raises(ValueError, match=phrase):
        workflow.read(write(tmp_path, content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.json"):
        workflow.read(tmp_path / "absent.json")


@pytest.mark.parametrize(("target", "text", "node", "expected"), [
    ("1.value", "7", "1", 7), ("Left.value", "7.5", "1", 7.5), ("Right.most.value", "seven", "2", "seven"),
    ("Text.text", "[1, 2]", "3", "[1, 2]"), ("3.text", '"quoted"', "3", "quoted"),
    ("3.text", "a=b", "3", "a=b"),
    ("1.list", "[1, 2]", "1", {"__value__": [1, 2]})])
def test_inputs_can_be_set(target, text, node, expected):
    prompt = workflow.to_prompt(PROMPT, INFO)
    workflow.set_value(prompt, target, text, INFO)
    assert list(prompt[node]["inputs"].values())[-1] == expected


@pytest.mark.parametrize(("target", "phrase"), [
    ("value", "should be NODE.INPUT"), ("Number.value", "fits the nodes 1, 2; use the id"),
    ("Nobody.value", r"fits none of 1 \(Number\)"), ("1.size", "has no input 'size'; it has value, list")])
def test_unclear_targets_are_refused(target, phrase):
    with pytest.raises(ValueError, match=phrase):
        workflow.set_value(workflow.to_prompt(PROMPT, INFO), target, "1", INFO)
