"""One node call: lists are mapped, blocked inputs skip it, and what comes back is checked and joined."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .standin.schema import ComfyNode, Hidden, NodeOutput, Schema, hidden_names, locked

Items = dict[str, list[Any]]


@dataclass(frozen=True)
class Blocked:
    """Stands where an output should be. `reason` is None once it was reported."""

    reason: str | None


def call_node(node: type[ComfyNode], schema: Schema, inputs: Items, hidden: Mapping[Hidden, Any],
              report: Callable[[Blocked], None]) -> tuple[list[list[Any]], dict[str, list]]:
    """Executes a node once per item of its longest input -> (per output a list of items, what it shows).

    Shorter lists repeat their last item. `report`: called when a blocked input with a reason arrives.
    """
    bound = _bind(node, schema, hidden)
    results: list[tuple] = []
    shown: list[dict[str, Any]] = []
    for arguments in _argument_sets(schema, inputs):
        block = _find_block(arguments, schema.is_input_list)
        if block is not None:
            if block.reason is not None:
                report(block)
            results.append((Blocked(None),) * len(schema.outputs))
            continue
        output = _checked(bound.execute(**arguments), schema)
        blocked = output.block_execution is not None
        results.append((Blocked(output.block_execution),) * len(schema.outputs) if blocked else output.args)
        if output.ui is not None:
            shown.append(output.ui if isinstance(output.ui, dict) else output.ui.as_dict())
    return _join(schema, results), _join_ui(shown)


def lazy_requests(node: type[ComfyNode], schema: Schema, inputs: Items,
                  hidden: Mapping[Hidden, Any]) -> set[str]:
    """The lazy inputs a node still needs."""
    check = getattr(_bind(node, schema, hidden), "check_lazy_status", None)
    if check is None:
        return set()
    answers = [check(**arguments) or () for arguments in _argument_sets(schema, inputs)]
    return {name for answer in answers for name in answer}


def _bind(node: type[ComfyNode], schema: Schema, hidden: Mapping[Hidden, Any]) -> type[ComfyNode]:
    return locked(node, {name: hidden.get(name) for name in hidden_names(schema)})


def _argument_sets(schema: Schema, inputs: Items) -> Iterator[dict[str, Any]]:
    if schema.is_input_list or not inputs:
        yield inputs
        return
    for name, items in inputs.items():
        if not items:
            raise ValueError(f"Input '{name}' received an empty list, so there is nothing to run on.")
    for index in range(max(map(len, inputs.values()))):
        yield {name: items[min(index, len(items) - 1)] for name, items in inputs.items()}


def _find_block(arguments: Mapping[str, Any], lists: bool) -> Blocked | None:
    items = (item for value in arguments.values() for item in (value if lists else [value]))
    return next((item for item in items if isinstance(item, Blocked)), None)


def _checked(output: Any, schema: Schema) -> NodeOutput:
    if not isinstance(output, NodeOutput):
        raise TypeError(f"{schema.node_id} returned {type(output).__name__}; it must return io.NodeOutput.")
    if output.expand is not None:
        raise NotImplementedError(f"{schema.node_id} expands into other nodes, which needs ComfyUI.")
    if len(output.args) != len(schema.outputs):
        raise ValueError(f"{schema.node_id} gave {len(output.args)} values, not {len(schema.outputs)}.")
    return output


def _join(schema: Schema, results: list[tuple]) -> list[list[Any]]:
    slots: list[list[Any]] = [[] for _ in schema.outputs]
    for values in results:
        for slot, output, value in zip(slots, schema.outputs, values, strict=True):
            slot.extend(value if output.is_output_list and not isinstance(value, Blocked) else [value])
    return slots


def _join_ui(shown: list[dict[str, Any]]) -> dict[str, list]:
    return {key: [item for one in shown for item in one[key]] for key in (shown[0] if shown else ())}
