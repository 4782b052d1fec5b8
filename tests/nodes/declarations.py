"""What users' workflows rely on, written down:  python tests/nodes/declarations.py

Writes tests/nodes/object_info.json, node_list.json and locales/en/nodeDefs.json from the nodes' schemas.
Refuses when a released node, input, option or output would change or move: stored workflows go by position,
so new ones are appended.
"""
from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "tests" / "nodes" / "object_info.json"
NODE_LIST = ROOT / "node_list.json"
NODE_DEFS = ROOT / "locales" / "en" / "nodeDefs.json"


def current() -> dict:
    """`/object_info` of all nodes where no model file lies."""
    from anyone.core.graph.standin import running_on
    from anyone.core.runtime import Runtime
    from anyone.nodes import NODES

    with tempfile.TemporaryDirectory() as empty, running_on(Runtime(root=empty)):
        return {node.__name__: node.GET_NODE_INFO_V1() for node in NODES}


def broken_promises(old: dict, new: dict) -> list[str]:
    """One phrase for everything of `old` that `new` no longer offers as it was."""
    broken = [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        broken += [f"{name}: {phrase}" for phrase in _broken_node(old[name], new[name])]
    return sorted(broken)


def _broken_node(old: dict, new: dict):
    for group, names in old["input_order"].items():
        if new["input_order"].get(group, [])[:len(names)] != names:
            yield f"its {group} inputs were {names}"
    if extra := set(new["input"]["required"]) - set(old["input"]["required"]):
        yield f"a new input is required: {sorted(extra)}"
    for key in ("output", "output_name", "output_is_list"):
        if new[key][:len(old[key])] != old[key]:
            yield f"{key} was {old[key]}"
    for group in ("required", "optional"):
        for name, (kind, options) in old["input"].get(group, {}).items():
            now_kind, now_options = new["input"].get(group, {}).get(name, [kind, options])
            choices = options.get("options", [])
            if now_kind != kind or now_options.get("default") != options.get("default"):
                yield f"{name} was {kind} with the default {options.get('default')!r}"
            if now_options.get("options", [])[:len(choices)] != choices:
                yield f"the options of {name} were {choices}"


def node_list(info: dict) -> dict:
    """For registries that look for node ids without running the pack."""
    return {name: node["display_name"] for name, node in info.items()}


def node_defs(info: dict) -> dict:
    """The English texts, in the frontend's translation format."""
    return {name: {"display_name": node["display_name"], "description": node["description"],
                   "inputs": {key: {"name": key, "tooltip": spec[1]["tooltip"]}
                              for group in ("required", "optional")
                              for key, spec in node["input"].get(group, {}).items()},
                   "outputs": {str(index): {"name": label, "tooltip": node["output_tooltips"][index]}
                               for index, label in enumerate(node["output_name"])}}
            for name, node in info.items()}


def text(value: dict) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    info = current()
    old = json.loads(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else {}
    if broken := broken_promises(old, info):
        print("Not written; this would break stored workflows:", *broken, sep="\n  ")
        return 1
    for path, value in ((SNAPSHOT, info), (NODE_LIST, node_list(info)), (NODE_DEFS, node_defs(info))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(value), encoding="utf-8")
    return 0


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("anyone", ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    sys.modules["anyone"] = importlib.util.module_from_spec(spec)
    sys.exit(main())
