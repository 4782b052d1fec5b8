"""Interface format -> API format, as the frontend's own export does it.

Notes and muted nodes go, bypassed nodes become a wire of the fitting type, reroutes and primitives are looked
through, subgraphs are flattened to ids such as `8:7`, and positional widget values get their names from
`/object_info`. Random `{a|b}` choices in texts are left as they are.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .widgets import widget_values, wrap

MUTED, BYPASSED = 2, 4
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = "-10", "-20"
REROUTES = ("Reroute", "Reroute (rgthree)")
VIRTUAL = ("Note", "MarkdownNote", "PrimitiveNode", *REROUTES)


@dataclass(frozen=True)
class Wire:
    """One link, from either spelling: an array (0.4) or an object (1.0 and subgraphs)."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Literal:
    """A wire that turned out to carry a widget's value."""

    value: Any


Source = list | Literal | None


class Scope:
    """One level of a workflow: the file itself, or one instance of a subgraph inside another scope."""

    def __init__(self, graph: Mapping[str, Any], definitions: Mapping[str, Any], parent: Scope | None = None,
                 instance: Mapping[str, Any] | None = None) -> None:
        self.graph, self.definitions, self.parent, self.instance = graph, definitions, parent, instance
        self.prefix: str = f"{parent.prefix}{instance['id']}:" if parent and instance else ""
        self.nodes: dict[str, Mapping[str, Any]] = {str(node["id"]): node for node in graph["nodes"]}
        self.wires: dict[str, Wire] = dict(_wire(link) for link in graph.get("links") or ())
        self._inner: dict[str, Scope] = {}

    def inner(self, node: Mapping[str, Any]) -> Scope:
        """The scope of a subgraph instance."""
        key = str(node["id"])
        if key not in self._inner:
            if self.prefix.count(":") > 50:
                raise ValueError(f"The subgraph {node['type']} contains itself.")
            self._inner[key] = Scope(self.definitions[node["type"]], self.definitions, self, node)
        return self._inner[key]


def convert(document: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A workflow in interface format -> `{id: {"class_type", "inputs", "_meta"}}`.

    Nodes that `info` does not know keep only their wires; validation then names them.
    """
    definitions = {item["id"]: item for item in (document.get("definitions") or {}).get("subgraphs") or ()}
    return dict(_nodes(Scope(document, definitions), info))


def _nodes(scope: Scope, info: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, node in scope.nodes.items():
        if node.get("mode") in (MUTED, BYPASSED) or node["type"] in VIRTUAL:
            continue
        if node["type"] in scope.definitions:
            yield from _nodes(scope.inner(node), info)
        else:
            spec = info.get(node["type"])
            title = node.get("title") or (spec or {}).get("display_name") or node["type"]
            yield scope.prefix + key, {"class_type": node["type"], "inputs": _inputs(scope, node, spec),
                                       "_meta": {"title": title}}


def _inputs(scope: Scope, node: Mapping[str, Any], spec: Mapping[str, Any] | None) -> dict[str, Any]:
    inputs = widget_values(node, spec) if spec else {}
    for (inner_id, name), value in _proxies(scope.instance).items():
        if inner_id == str(node["id"]) and name in inputs:
            inputs[name] = wrap(value)
    for socket in node.get("inputs") or ():
        source = _trace(scope, socket.get("link"), str(socket.get("type", "*")))
        if isinstance(source, Literal):
            inputs[socket["name"]] = wrap(source.value)
        elif source is not None:
            inputs[socket["name"]] = source
    return inputs


def _trace(scope: Scope, link: Any, wanted: str, seen: tuple = ()) -> Source:
    """Follows a wire back to a node, a widget's value, or nothing. `wanted`: the type at the far end."""
    wire = scope.wires.get(str(link))
    if wire is None:
        return None
    step = (scope.prefix, str(link))
    if step in seen:
        raise ValueError(f"Link {link} runs in a circle through bypassed nodes or reroutes.")
    seen = (*seen, step)
    if wire.origin == SUBGRAPH_INPUT:
        return _trace_outside(scope, wire.origin_slot, wanted, seen)
    node = scope.nodes.get(wire.origin)
    if node is None or node.get("mode") == MUTED:
        return None
    if node.get("mode") == BYPASSED:
        return _trace_input(scope, node, _bypass_slot(node, wire.origin_slot, wanted), wanted, seen)
    if node["type"] in REROUTES:
        return _trace_input(scope, node, 0, wanted, seen)
    if node["type"] == "PrimitiveNode":
        values = node.get("widgets_values") or ()
        return Literal(values[0]) if values else None
    if node["type"] in scope.definitions:
        return _trace_inside(scope.inner(node), wire.origin_slot, wanted, seen)
    return [scope.prefix + wire.origin, wire.origin_slot]


def _trace_input(scope: Scope, node: Mapping[str, Any], slot: int, wanted: str, seen: tuple) -> Source:
    sockets = node.get("inputs") or ()
    return _trace(scope, sockets[slot].get("link"), wanted, seen) if 0 <= slot < len(sockets) else None


def _trace_inside(inner: Scope, slot: int, wanted: str, seen: tuple) -> Source:
    """What feeds output `slot` of a subgraph."""
    for key, wire in inner.wires.items():
        if wire.target == SUBGRAPH_OUTPUT and wire.target_slot == slot:
            return _trace(inner, key, wanted, seen)
    return None


def _trace_outside(scope: Scope, slot: int, wanted: str, seen: tuple) -> Source:
    """What the instance of a subgraph gets for input `slot`: a wire, its own widget's value, or nothing."""
    if scope.parent is None or scope.instance is None:
        return None
    declared = scope.graph.get("inputs") or ()
    name = declared[slot]["name"] if slot < len(declared) else None
    sockets = scope.instance.get("inputs") or ()
    named = [index for index, socket in enumerate(sockets) if socket.get("name") == name] or [slot]
    linked = named[0] < len(sockets) and sockets[named[0]].get("link") is not None
    if linked:
        return _trace_input(scope.parent, scope.instance, named[0], wanted, seen)
    return _promoted(scope, slot, name)


def _promoted(scope: Scope, slot: int, name: str | None) -> Literal | None:
    """The value of a widget that shows on the subgraph's instance, which outranks the one stored inside."""
    assert scope.instance is not None
    proxied = _proxies(scope.instance)
    if ("-1", name) in proxied:
        return Literal(proxied["-1", name])
    values = scope.instance.get("widgets_values") or ()
    named = scope.instance.get("widgets_values_named") or (values if isinstance(values, dict) else {})
    if name in named:
        return Literal(named[name])
    if proxied or isinstance(values, dict):
        return None
    shown = sorted({wire.origin_slot for wire in scope.wires.values() if _feeds_widget(scope, wire)})
    position = shown.index(slot) if slot in shown else len(values)
    return Literal(values[position]) if position < len(values) else None


def _feeds_widget(scope: Scope, wire: Wire) -> bool:
    sockets = scope.nodes.get(wire.target, {}).get("inputs") or ()
    return wire.origin == SUBGRAPH_INPUT and wire.target_slot < len(sockets) and bool(
        sockets[wire.target_slot].get("widget"))


def _proxies(instance: Mapping[str, Any] | None) -> dict[tuple[str, Any], Any]:
    """`proxyWidgets` of a subgraph instance: (inner node id, widget) -> value; "-1" means its own input."""
    listed = ((instance or {}).get("properties") or {}).get("proxyWidgets") or ()
    listed = json.loads(listed) if isinstance(listed, str) else listed
    values = (instance or {}).get("widgets_values") or ()
    if not isinstance(values, list) or len(values) != len(listed):
        return {}
    return {(str(entry[0]), entry[1]): value for entry, value in zip(listed, values, strict=True)}


def _bypass_slot(node: Mapping[str, Any], slot: int, wanted: str) -> int:
    """Which input a bypassed node passes on: the same slot if it fits, else the first that does, else -1."""
    kinds = [str(socket.get("type", "*")) for socket in node.get("inputs") or ()]
    if wanted in ("", "*"):
        return slot if slot < len(kinds) else 0
    outputs = node.get("outputs") or ()
    given = str(outputs[slot].get("type", "*")) if slot < len(outputs) else "*"
    fitting = [index for index, kind in enumerate(kinds) if _fits(kind, given) and _fits(kind, wanted)]
    if slot in fitting:
        return slot
    exact = [index for index, kind in enumerate(kinds) if kind == wanted]
    return (exact or fitting or [-1])[0]


def _fits(one: str, other: str) -> bool:
    generic = ("", "*", "0")
    return one in generic or other in generic or bool(
        set(one.lower().split(",")) & set(other.lower().split(",")))


def _wire(link: Any) -> tuple[str, Wire]:
    if isinstance(link, dict):
        link = [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    key, origin, origin_slot, target, target_slot = link[:5]
    return str(key), Wire(str(origin), int(origin_slot), str(target), int(target_slot))
