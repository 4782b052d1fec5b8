"""Workflow files: API format (`prompt`) and interface format, told apart and brought to API format."""
from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .convert import convert

Prompt = dict[str, dict[str, Any]]


def read(path: str | Path) -> dict[str, Any]:
    """Reads a workflow file; ValueError when it is neither format."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no workflow file {path}.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if isinstance(document, dict) and isinstance(document.get("prompt"), dict):
        document = document["prompt"]
    if not is_prompt(document) and not is_interface(document):
        raise ValueError(f"{path} is no ComfyUI workflow: it has neither 'nodes' and 'links' (interface "
                         "format) nor nodes with a 'class_type' (API format).")
    return document


def is_prompt(document: Any) -> bool:
    """API format: `{id: {"class_type", "inputs"}}`."""
    return isinstance(document, dict) and bool(document) and all(
        isinstance(node, dict) and "inputs" in node for node in document.values())


def is_interface(document: Any) -> bool:
    """Interface format: `{"nodes": […], "links": […]}`."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def to_prompt(document: Mapping[str, Any], info: Mapping[str, Any]) -> Prompt:
    """Any workflow -> a fresh API format prompt. `info`: `/object_info`, which names each node's widgets."""
    if is_interface(document):
        return convert(document, info)
    return {str(node_id): copy.deepcopy(node) for node_id, node in document.items()}


def extra_pnginfo(document: Mapping[str, Any]) -> dict[str, Any]:
    """What saved pictures should carry besides the prompt."""
    return {"workflow": document} if is_interface(document) else {}


def is_link(value: Any) -> bool:
    """A wire in API format: `["node id", slot]`."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int)) and (
        type(value[1]) is int)


def set_value(prompt: Prompt, target: str, text: str, info: Mapping[str, Any]) -> None:
    """Sets `NODE.INPUT` as the command line does; NODE is an id, or a title or class name only one node has.

    The text is read as JSON where that works, except for text inputs, which take it as it is.
    """
    name, dot, key = target.rpartition(".")
    if not dot:
        raise ValueError(f"'{target}' should be NODE.INPUT, for example 3.seed.")
    node = prompt[find_node(prompt, name)]
    spec = info.get(node["class_type"], {"input": {}})["input"]
    known = {**spec.get("required", {}), **spec.get("optional", {})}
    if key not in known and key not in node["inputs"]:
        raise ValueError(f"{node['class_type']} has no input '{key}'; it has {', '.join(known)}.")
    node["inputs"][key] = _parse(text, known.get(key, ["*"])[0])


def find_node(prompt: Prompt, name: str) -> str:
    """The id of the one node with this id, title or class name."""
    if name in prompt:
        return name
    titled = [key for key, node in prompt.items() if node.get("_meta", {}).get("title") == name]
    found = titled or [key for key, node in prompt.items() if node.get("class_type") == name]
    if len(found) == 1:
        return found[0]
    listing = ", ".join(f"{key} ({node.get('class_type')})" for key, node in prompt.items())
    reason = f"fits the nodes {', '.join(found)}; use the id" if found else f"fits none of {listing}"
    raise ValueError(f"The node name '{name}' {reason}.")


def _parse(text: str, kind: Any) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if kind == "STRING" and not isinstance(value, str):
        return text
    return {"__value__": value} if isinstance(value, list) else value
