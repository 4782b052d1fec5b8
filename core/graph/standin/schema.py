"""Nodes and their schemas, checked against what every host since 0.3.64 accepts.

`ComfyNode.GET_SCHEMA` and `GET_NODE_INFO_V1` carry the host's names so that tests can call them on either.
"""
from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

from .types import Input, Output, SocketInput, WidgetInput


class Hidden(str, Enum):
    """Values a node may ask for besides its inputs."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"


class HiddenValues:
    """`cls.hidden` during execution; what was not asked for is None."""

    def __init__(self, values: Mapping[Hidden, Any]) -> None:
        self.__dict__.update({key.name: value for key, value in values.items()})

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(eq=False)
class Schema:
    """What a node is. Only the fields the oldest supported host knows."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False


class NodeOutput:
    """What `execute` returns. `block_execution`: why nothing downstream should run."""

    def __init__(self, *args: Any, ui: Any = None, expand: dict | None = None,
                 block_execution: str | None = None) -> None:
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self) -> tuple | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode:
    """Base of every node."""

    hidden: Any = None  # `HiddenValues` while executing

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, *args: Any, **inputs: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The schema; ValueError names everything some host would refuse."""
        schema = cls.define_schema()
        problems = list(_problems(cls, schema))
        if problems:
            raise ValueError(f"{cls.__name__}: " + "; ".join(problems) + ".")
        return schema

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        return node_info(cls)


def locked(node: type[ComfyNode], hidden: Mapping[Hidden, Any]) -> type[ComfyNode]:
    """A copy of the class for one call, with its hidden values; assigning to it raises, as on the host."""

    members = {"hidden": HiddenValues(hidden), "__module__": node.__module__}
    return cast("type[ComfyNode]", _Locked(node.__name__, (node,), members))


class _Locked(type):
    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"Cannot modify class attribute '{name}' of node {cls.__name__}.")


def hidden_names(schema: Schema) -> list[Hidden]:
    """What the node asked for, and what every output node gets."""
    given = [Hidden.prompt, Hidden.extra_pnginfo] if schema.is_output_node else []
    return list(dict.fromkeys([*schema.hidden, *given]))


def node_info(node: type[ComfyNode]) -> dict[str, Any]:
    """The node's entry in `/object_info`."""
    schema = node.GET_SCHEMA()
    inputs: dict[str, dict[str, Any]] = {"required": {}}
    for item in schema.inputs:
        group = inputs.setdefault("optional" if item.optional else "required", {})
        group[item.id] = [item.get_io_type(), item.as_dict()]
    if names := hidden_names(schema):
        inputs["hidden"] = {hidden.name: [hidden.value] for hidden in names}
    return {
        "input": inputs,
        "input_order": {group: list(members) for group, members in inputs.items()},
        "output": [output.io_type for output in schema.outputs],
        "output_is_list": [output.is_output_list for output in schema.outputs],
        "output_name": [output.display_name or output.io_type for output in schema.outputs],
        "output_tooltips": [output.tooltip for output in schema.outputs],
        "name": schema.node_id,
        "display_name": schema.display_name,
        "description": schema.description,
        "python_module": "anyone",
        "category": schema.category,
        "output_node": schema.is_output_node,
        "deprecated": schema.is_deprecated,
        "experimental": schema.is_experimental,
        "api_node": False,
    }


def _problems(node: type[ComfyNode], schema: Schema) -> Iterable[str]:
    inputs = [item.id for item in schema.inputs]
    outputs = [item.id for item in schema.outputs if item.id is not None]
    for name in sorted({name for name in inputs if inputs.count(name) > 1}):
        yield f"two inputs are called '{name}'"
    for name in sorted({name for name in outputs if outputs.count(name) > 1}):
        yield f"two outputs have the id '{name}'"
    for name in sorted(set(inputs) & set(outputs)):
        yield f"output id '{name}' is also an input's id, which ComfyUI 0.3.64 refuses"
    for item in schema.inputs:
        yield from (f"input '{item.id}': {problem}" for problem in item.problems())
        yield from (f"input '{item.id}': {problem}" for problem in _not_json(item.as_dict()))
    if any(item.lazy for item in schema.inputs) and not hasattr(node, "check_lazy_status"):
        yield "it has lazy inputs but no check_lazy_status"
    yield from _signature_problems(node, schema)


def _not_json(value: Any, path: str = "") -> Iterable[str]:
    """One numpy number in a schema breaks `/object_info` for every pack."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _not_json(member, f"{path}.{key}" if path else str(key))
    elif type(value) in (list, tuple):
        for index, member in enumerate(value):
            yield from _not_json(member, f"{path}[{index}]")
    elif type(value) not in (str, int, float, bool, type(None)) or (
            isinstance(value, float) and not math.isfinite(value)):
        yield f"{path} is {value!r}, which is no plain JSON value"


def _signature_problems(node: type[ComfyNode], schema: Schema) -> Iterable[str]:
    """The host passes what the prompt holds: all inputs must be accepted, optional ones have a default."""
    parameters = inspect.signature(node.execute).parameters
    for item in schema.inputs:
        parameter = parameters.get(item.id)
        if parameter is None:
            yield f"execute does not take input '{item.id}'"
        elif item.optional and parameter.default is parameter.empty:
            yield f"execute needs a default for the optional input '{item.id}'"
        elif item.optional and (known := _default(item)) is not None and known != parameter.default:
            yield f"execute's default for '{item.id}' is {parameter.default!r}, the schema's is {known!r}"
    for name in ("validate_inputs", "fingerprint_inputs"):
        for parameter in inspect.signature(getattr(node, name, lambda: None)).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD and name == "validate_inputs":
                yield "validate_inputs with **kwargs switches off the host's own checks; name the inputs"
            elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name not in {
                    item.id for item in schema.inputs}:
                yield f"{name} asks for '{parameter.name}', which is no input"


def _default(item: Input) -> Any:
    source = getattr(item, "source", None) if isinstance(item, SocketInput) else item
    return source.default if isinstance(source, WidgetInput) else None
