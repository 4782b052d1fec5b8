"""Checks a prompt before anything runs, with the server's rules and in the server's words."""
from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .standin.schema import ComfyNode, locked, node_info
from .widgets import combo_options, inputs_of
from .workflow import Prompt, is_link

Problem = dict[str, Any]
CONVERSIONS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass(frozen=True, eq=False)
class Validation:
    """`error`: why nothing can run, or None. `node_errors`: the broken nodes, even if other outputs can run.

    `outputs`: the output nodes to run. `prompt`: a copy with its literals converted to the declared types.
    """

    error: Problem | None
    node_errors: dict[str, dict[str, Any]]
    outputs: tuple[str, ...]
    prompt: Prompt

    def response(self) -> dict[str, Any]:
        """The body the server would answer with."""
        return {"error": self.error, "node_errors": self.node_errors}


def validate(prompt: Mapping[str, Any], nodes: Mapping[str, type[ComfyNode]]) -> Validation:
    """`prompt`: API format. `nodes`: class by id."""
    checked = copy.deepcopy(dict(prompt))
    for key, node in checked.items():
        if error := _unknown_class(key, node, nodes):
            return Validation(error, {}, (), checked)
    check = _Check(checked, nodes)
    outputs = [key for key, node in checked.items() if check.info[node["class_type"]]["output_node"]]
    if not outputs:
        return Validation(_problem("prompt_no_outputs", "Prompt has no outputs", ""), {}, (), checked)
    good = tuple(key for key in outputs if not check.broken_by(key))
    details = (f"{found['message']}: {found['details']}" for key in outputs for found in check.problems(key))
    error = None if good else _problem(
        "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(details))
    return Validation(error, check.node_errors(outputs), good, checked)


def ancestors(prompt: Prompt, node_id: str) -> list[str]:
    """The node and everything it is wired to, each once."""
    found, waiting = {node_id: None}, [node_id]
    while waiting:
        for value in prompt[waiting.pop()]["inputs"].values():
            if is_link(value) and str(value[0]) in prompt and str(value[0]) not in found:
                found[str(value[0])] = None
                waiting.append(str(value[0]))
    return list(found)


class _Check:
    def __init__(self, prompt: Prompt, nodes: Mapping[str, type[ComfyNode]]) -> None:
        self.prompt, self.nodes = prompt, nodes
        used = {node["class_type"] for node in prompt.values()}
        self.info = {name: node_info(nodes[name]) for name in used}
        self.circle = _circle(prompt)
        self._problems: dict[str, list[Problem]] = {}

    def problems(self, key: str) -> list[Problem]:
        """What is wrong with one node itself."""
        if key not in self._problems:
            self._problems[key] = [*self._cycle(key), *self._inputs(key), *self._custom(key)]
        return self._problems[key]

    def broken_by(self, output: str) -> list[str]:
        """The nodes that keep an output from running."""
        return [key for key in ancestors(self.prompt, output) if self.problems(key)]

    def node_errors(self, outputs: list[str]) -> dict[str, dict[str, Any]]:
        errors: dict[str, dict[str, Any]] = {}
        for output in outputs:
            for key in self.broken_by(output):
                entry = errors.setdefault(key, {"errors": self.problems(key), "dependent_outputs": [],
                                                "class_type": self.prompt[key]["class_type"]})
                entry["dependent_outputs"].append(output)
        return errors

    def _cycle(self, key: str) -> Iterator[Problem]:
        if key in self.circle:
            path = " -> ".join(f"{node} ({self.prompt[node]['class_type']})" for node in self.circle)
            yield _problem("dependency_cycle", "Dependency cycle detected", path, node_id=key,
                           cycle_nodes=list(dict.fromkeys(self.circle)))

    def _inputs(self, key: str) -> Iterator[Problem]:
        node = self.prompt[key]
        info = self.info[node["class_type"]]
        own_checks = _parameters(self.nodes[node["class_type"]], "validate_inputs")
        declared = {name: (kind, options) for name, kind, options in inputs_of(info)}
        for name, (kind, options) in declared.items():
            about = {"input_name": name, "input_config": [kind, options]}
            if name not in node["inputs"]:
                if name in info["input"]["required"]:
                    yield _problem("required_input_missing", "Required input is missing", name,
                                   input_name=name)
            elif isinstance(node["inputs"][name], list):
                yield from self._link(node["inputs"][name], kind, about)
            else:
                yield from _literal(node["inputs"], name in own_checks, about)
        for name, value in node["inputs"].items():
            if name not in declared and is_link(value):
                yield _problem("bad_linked_input", "Linked input does not exist",
                               f"{name}, {node['class_type']} has no such input", input_name=name)

    def _link(self, value: list, kind: str, about: Problem) -> Iterator[Problem]:
        name = about["input_name"]
        if not is_link(value):
            yield _problem("bad_linked_input",
                           "Bad linked input, must be a length-2 list of [node_id, slot_index]", name,
                           **about, received_value=value)
            return
        value[0] = str(value[0])
        source = self.prompt.get(value[0])
        given = self.info[source["class_type"]]["output"] if source else []
        if not 0 <= value[1] < len(given):
            yield _problem("bad_linked_input", "Linked output does not exist",
                           f"{name}, node {value[0]} has no output {value[1]}", **about, received_value=value)
        elif not types_meet(given[value[1]], kind):
            yield _problem("return_type_mismatch", "Return type mismatch between linked nodes",
                           f"{name}, received_type({given[value[1]]}) mismatch input_type({kind})",
                           **about, received_type=given[value[1]], linked_node=value)

    def _custom(self, key: str) -> Iterator[Problem]:
        """The node's own `validate_inputs`; as on the server, its text comes once per input it names."""
        inputs = self.prompt[key]["inputs"]
        node = self.nodes[self.prompt[key]["class_type"]]
        named = [name for name in _parameters(node, "validate_inputs") if name in inputs]
        if not named:
            return
        values = {name: None if is_link(inputs[name]) else inputs[name] for name in named}
        try:
            answer = getattr(locked(node, {}), "validate_inputs")(**values)  # noqa: B009 (optional hook)
        except Exception as error:
            yield _problem("exception_during_validation", "Exception when validating node", str(error),
                           exception_type=qualified_name(error),
                           traceback=traceback.format_tb(error.__traceback__))
            return
        for name in named:
            if answer is not True:
                details = name if answer is False else f"{name} - {answer}"
                yield _problem("custom_validation_failed", "Custom validation failed for node", details,
                               input_name=name)


def _circle(prompt: Prompt) -> list[str]:
    """The nodes of one circle of wires, the first also at the end; empty when there is none."""
    sources = {key: {str(value[0]) for value in node["inputs"].values() if is_link(value)}
               for key, node in prompt.items()}
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def types_meet(given: str, wanted: str) -> bool:
    """Whether a wire may join two socket types: equal, `*`, or comma lists that share a name."""
    if "*" in (given, wanted):
        return True
    return bool({name.strip() for name in given.split(",")} & {name.strip() for name in wanted.split(",")})


def qualified_name(error: BaseException) -> str:
    """The class of an exception as the server spells it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _literal(inputs: dict[str, Any], own_check: bool, about: Problem) -> Iterator[Problem]:
    """Converts one literal in place and checks range and options."""
    name, (kind, options) = about["input_name"], about["input_config"]
    value = inputs[name]
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    try:
        value = CONVERSIONS.get(kind, lambda same: same)(value)
    except (TypeError, ValueError, OverflowError) as error:
        yield _problem("invalid_input_type", f"Failed to convert an input value to a {kind} value",
                       f"{name}, {value}, {error}", **about, received_value=value,
                       exception_message=str(error))
        return
    inputs[name] = value
    choices = combo_options(kind, options)
    if own_check:
        return
    if "min" in options and value < options["min"]:
        yield _problem("value_smaller_than_min", f"Value {value} smaller than min of {options['min']}", name,
                       **about, received_value=value)
    elif "max" in options and value > options["max"]:
        yield _problem("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name,
                       **about, received_value=value)
    elif choices is not None and value not in choices:
        many = len(choices) > 20
        listing = f"(list of length {len(choices)})" if many else str(choices)
        yield _problem("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {listing}",
                       input_name=name, input_config=None if many else about["input_config"],
                       received_value=value)


def _unknown_class(key: str, node: Any, nodes: Mapping[str, type[ComfyNode]]) -> Problem | None:
    kind = node.get("class_type") if isinstance(node, dict) else None
    if kind in nodes and isinstance(node.get("inputs"), dict):
        return None
    title = (node.get("_meta") or {}).get("title") if isinstance(node, dict) else None
    message = f"Node '{title or kind}' not found. The custom node may not be installed."
    if kind is None or kind in nodes:
        lack = "class_type" if kind is None else "inputs"
        message = f"Node 'ID #{key}' has no {lack}. The workflow may be corrupted."
    return _problem("missing_node_type", message, f"Node ID '#{key}'", node_id=key, class_type=kind,
                    node_title=title)


def _parameters(node: type[ComfyNode], method: str) -> list[str]:
    function = getattr(node, method, None)
    return list(inspect.signature(function).parameters) if function else []


def _problem(kind: str, message: str, details: str, **extra_info: Any) -> Problem:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}
