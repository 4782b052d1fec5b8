"""Makes the interface file of a workflow from its API file:

    python tests/workflows/layout.py NAME [--note TEXT]

Reads workflows/api/NAME.json (only the inputs that differ from their defaults need to be there), writes it
back with every widget, and writes workflows/NAME.json: a column per step, a note in front. Without --note the
text of the interface file that is there stays.
"""
from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import Any

from thumbnails import WORKFLOWS, load_pack

COLUMN, ROW, GAP, LINE = 470, 60, 50, 24                  # pixels
PICTURES = {"SaveImage": 360, "PreviewImage": 300, "LoadImage": 270, "LoadImageMask": 270}
PICTURES |= dict.fromkeys(("AnyoneDrag", "AnyoneDragInpainted", "AnyoneInpaintPerson", "AnyoneInvertImage",
                           "AnyoneRenderLatent", "AnyoneRenderRegions", "AnyoneSyntheticPeople",
                           "AnyoneTransferPose", "AnyoneTuneGenerator"), 220)               # while they work
WIDE = 400


def node_info() -> dict[str, Any]:
    from anyone.core.graph.core_nodes import CORE_NODES
    from anyone.core.graph.executor import Executor
    from anyone.core.runtime import Runtime
    from anyone.nodes import NODES

    return Executor([*CORE_NODES, *NODES], Runtime("cpu", "none")).info()


def complete(prompt: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Every widget with its value, every node with its title."""
    from anyone.core.graph.widgets import default_value, inputs_of, is_widget

    full = {}
    for key, node in prompt.items():
        spec = info[node["class_type"]]
        defaults = {name: default_value(kind, options) if is_widget(kind, options) else None
                    for name, kind, options in inputs_of(spec)}
        inputs = {name: node["inputs"].get(name, default) for name, default in defaults.items()}
        full[key] = {"class_type": node["class_type"],
                     "inputs": {name: value for name, value in inputs.items() if value is not None},
                     "_meta": {"title": spec["display_name"]}}
    return full


def is_link(value: Any) -> bool:
    return isinstance(value, list)


def depth(prompt: dict[str, Any], key: str) -> int:
    links = [value[0] for value in prompt[key]["inputs"].values() if is_link(value)]
    return 1 + max((depth(prompt, origin) for origin in links), default=-1)


def lay_out(prompt: dict[str, Any], info: dict[str, Any], name: str, note: str) -> dict[str, Any]:
    nodes, links = [], []
    bottoms: dict[int, int] = {}
    order = sorted(prompt, key=lambda key: depth(prompt, key))
    for position, key in enumerate(order):
        node = interface_node(key, prompt[key], info[prompt[key]["class_type"]], links)
        column = depth(prompt, key)
        node["pos"] = [40 + COLUMN * column, bottoms.get(column, 280 if column == 0 else 40)]
        bottoms[column] = node["pos"][1] + node["size"][1] + ROW
        nodes.append(node | {"order": position})
    for link in links:
        source = next(node for node in nodes if node["id"] == link[1])["outputs"][link[2]]
        source["links"] = [*(source["links"] or []), link[0]]
        link[5] = source["type"]
    last = max(map(int, prompt)) + 1
    nodes.insert(0, {
        "id": last, "type": "MarkdownNote", "pos": [40, 40], "size": [WIDE, 180], "flags": {},
        "order": len(nodes), "mode": 0, "inputs": [], "outputs": [], "properties": {},
        "widgets_values": [note], "color": "#432", "bgcolor": "#653", "title": "About"})
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"anyone-nodes/{name}")), "revision": 0,
            "last_node_id": last, "last_link_id": len(links), "nodes": nodes, "links": links, "groups": [],
            "config": {}, "extra": {}, "version": 0.4}


def interface_node(key: str, node: dict[str, Any], spec: dict[str, Any], links: list) -> dict[str, Any]:
    """One node; its wires are added to `links`, their types still open. Sockets come before widgets, as the
    frontend stores them."""
    from anyone.core.graph.widgets import CONTROLLED, UPLOADS, default_value, inputs_of, is_widget

    plain, widgets, values = [], [], []
    for name, kind, options in inputs_of(spec):
        socket = {"name": name, "type": "COMBO" if isinstance(kind, list) else kind, "link": None}
        if name in spec["input"].get("optional", {}):
            socket["shape"] = 7
        if is_widget(kind, options):
            value = node["inputs"].get(name)
            values.append(default_value(kind, options) if is_link(value) else value)
            values += ["fixed"] if options.get("control_after_generate") or name in CONTROLLED else []
            values += ["image"] if any(options.get(flag) for flag in UPLOADS) else []
        (widgets if is_widget(kind, options) else plain).append(
            socket | ({"widget": {"name": name}} if is_widget(kind, options) else {}))
    sockets = plain + widgets
    for slot, socket in enumerate(sockets):
        value = node["inputs"].get(socket["name"])
        if is_link(value):
            socket["link"] = len(links) + 1
            links.append([len(links) + 1, int(value[0]), value[1], int(key), slot, None])
    outputs = [{"name": name, "type": kind, "links": None}
               for name, kind in zip(spec["output_name"], spec["output"], strict=True)]
    height = LINE * (max(len(plain), len(outputs)) + len(values)) + GAP + PICTURES.get(node["class_type"], 0)
    ours = node["class_type"].startswith("Anyone")
    titled = {} if ours else {"title": spec["display_name"]}             # hosts rename theirs
    return {"id": int(key), "type": node["class_type"], "size": [WIDE, height], "flags": {}, "mode": 0,
            "inputs": sockets, "outputs": outputs, "widgets_values": values, **titled,
            "properties": {"cnr_id": "anyone-nodes" if ours else "comfy-core",
                           "Node name for S&R": node["class_type"]}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--note")
    args = parser.parse_args()
    load_pack()
    api, interface = WORKFLOWS / "api" / f"{args.name}.json", WORKFLOWS / f"{args.name}.json"
    note = args.note.replace("\\n", "\n") if args.note else next(
        node["widgets_values"][0] for node in json.loads(interface.read_text(encoding="utf-8"))["nodes"]
        if node["type"] == "MarkdownNote")
    info = node_info()
    prompt = complete(json.loads(api.read_text(encoding="utf-8")), info)
    write(api, prompt)
    write(interface, lay_out(prompt, info, args.name, note))


def write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
