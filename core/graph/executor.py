"""Runs prompts with the node classes it is given: in order, lazily, each node once per set of inputs."""
from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..runtime import Interrupted, Runtime
from .calls import Blocked, call_node, lazy_requests
from .signature import Signatures
from .standin import running_on
from .standin.schema import ComfyNode, Hidden, Schema
from .validate import Validation, ancestors, qualified_name, validate
from .workflow import Prompt, is_link

Slots = list[list[Any]]  # one list of items per output
Listener = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Done:
    """What one node left: its outputs, and what it shows."""

    slots: Slots
    ui: dict[str, list]


@dataclass(eq=False)
class RunResult:
    """One finished prompt, as the server's history tells it.

    `outputs`: node id -> what it shows. `values`: node id -> per output a list of items, mostly just one.
    `messages`: (event, data) in order, as the server's websocket would send them.
    """

    outputs: dict[str, dict[str, list]] = field(default_factory=dict)
    values: dict[str, Slots] = field(default_factory=dict)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def error(self) -> dict[str, Any] | None:
        """The data of the first `execution_error` or `execution_interrupted`, or None after a success."""
        bad = ("execution_error", "execution_interrupted")
        return next((data for event, data in self.messages if event in bad), None)


class Executor:
    """Keeps the results of the last prompt, so that the next one only runs what changed.

    `nodes`: the classes prompts may name. `runtime`: device, folders, progress and interrupt for all of them.
    """

    def __init__(self, nodes: Iterable[type[ComfyNode]], runtime: Runtime) -> None:
        with running_on(runtime):
            self.nodes = {node.GET_SCHEMA().node_id: node for node in nodes}
        self.runtime = runtime
        self._cache: dict[str, Done] = {}

    def info(self) -> dict[str, Any]:
        """`/object_info` of all nodes."""
        with running_on(self.runtime):
            return {name: node.GET_NODE_INFO_V1() for name, node in self.nodes.items()}

    def validate(self, prompt: Mapping[str, Any]) -> Validation:
        with running_on(self.runtime):
            return validate(prompt, self.nodes)

    def run(self, validation: Validation, extra_pnginfo: Mapping[str, Any] | None = None,
            listener: Listener | None = None) -> RunResult:
        """Runs the good outputs of a validated prompt. Node failures are in the result, they do not raise.

        `extra_pnginfo`: for the metadata of saved pictures. `listener`: gets every event as it happens.
        """
        with torch.inference_mode(), running_on(self.runtime):
            job = _Job(self, validation.prompt, dict(extra_pnginfo or {}), listener)
            job.run(validation.outputs)
        self._cache = job.used
        return job.result

    def cached(self, signature: str) -> Done | None:
        return self._cache.get(signature)


class _Job:
    """One prompt being executed."""

    def __init__(self, executor: Executor, prompt: Prompt, extra_pnginfo: dict[str, Any],
                 listener: Listener | None) -> None:
        self.executor, self.runtime = executor, executor.runtime
        self.prompt, self.extra_pnginfo, self.listener = prompt, extra_pnginfo, listener
        self.schemas = {name: executor.nodes[name].GET_SCHEMA()
                        for name in {node["class_type"] for node in prompt.values()}}
        self.signatures = Signatures(prompt, executor.nodes, self.schemas)
        self.prompt_id = str(uuid.uuid4())
        self.result = RunResult()
        self.done: dict[str, Done] = {}
        self.used: dict[str, Done] = {}
        self.executed: list[str] = []
        self.wanted: dict[str, set[str]] = {}  # lazy inputs each node has asked for

    def run(self, outputs: Iterable[str]) -> None:
        self.tell("execution_start")
        reached = {key: None for output in outputs for key in ancestors(self.prompt, output)}
        known = [key for key in reached if self.executor.cached(self.signatures.of(key))]
        self.tell("execution_cached", nodes=known)
        if all(self._reach(output) for output in outputs):
            self.tell("execution_success")

    def tell(self, event: str, **data: Any) -> None:
        data = {**data, "prompt_id": self.prompt_id, "timestamp": int(time.time() * 1000)}
        self.result.messages.append((event, data))
        if self.listener:
            self.listener(event, data)

    def _reach(self, output: str) -> bool:
        """Executes a node after everything it needs; False when something failed."""
        waiting = [output]
        while waiting:
            key = waiting[-1]
            missing = [] if key in self.done or self._recall(key) else self._missing(key)
            waiting.extend(reversed(missing))
            if key in self.done:
                waiting.pop()
            elif not missing and not self._attempt(key):
                return False
        return True

    def _recall(self, key: str) -> bool:
        found = self.executor.cached(self.signatures.of(key))
        if found:
            self._keep(key, found)
        return found is not None

    def _keep(self, key: str, found: Done) -> None:
        self.done[key] = self.used[self.signatures.of(key)] = found
        self.result.values[key] = found.slots
        if found.ui:
            self.result.outputs[key] = found.ui
            self.tell("executed", node=key, display_node=key, output=found.ui)

    def _schema(self, key: str) -> Schema:
        return self.schemas[self.prompt[key]["class_type"]]

    def _class(self, key: str) -> type[ComfyNode]:
        return self.executor.nodes[self.prompt[key]["class_type"]]

    def _lazy(self, key: str) -> set[str]:
        """Wired inputs that wait until `check_lazy_status` asks for them."""
        lazy = {item.id for item in self._schema(key).inputs if item.lazy} - self.wanted.get(key, set())
        return {name for name in lazy if is_link(self.prompt[key]["inputs"].get(name))}

    def _missing(self, key: str) -> list[str]:
        """Nodes that must run first."""
        lazy = self._lazy(key)
        return [value[0] for name, value in self.prompt[key]["inputs"].items()
                if is_link(value) and name not in lazy and value[0] not in self.done]

    def _attempt(self, key: str) -> bool:
        """Executes one node, or notes which lazy inputs it asks for; False when it failed."""
        inputs = self._collect(key)
        try:
            requested = self._lazy(key) and lazy_requests(self._class(key), self._schema(key), inputs,
                                                          self._hidden(key)) & self._lazy(key)
            if requested:
                self.wanted.setdefault(key, set()).update(requested)
                return True
            self.runtime.check_interrupt()
            self.tell("executing", node=key, display_node=key)
            slots, ui = call_node(self._class(key), self._schema(key), inputs, self._hidden(key),
                                  lambda block: self._report_block(key, block))
        except Interrupted:
            self.tell("execution_interrupted", node_id=key, node_type=self.prompt[key]["class_type"],
                      executed=self.executed)
            return False
        except Exception as error:
            self._report(key, inputs, error)
            return False
        self.executed.append(key)
        self._keep(key, Done(slots, ui))
        return True

    def _collect(self, key: str) -> dict[str, list]:
        """Every input as a list of items; None for a lazy input that was not asked for."""
        known, lazy = {item.id for item in self._schema(key).inputs}, self._lazy(key)
        inputs: dict[str, list] = {}
        for name, value in self.prompt[key]["inputs"].items():
            if name in lazy:
                inputs[name] = [None]
            elif is_link(value):
                inputs[name] = self.done[value[0]].slots[value[1]]
            elif name in known:
                inputs[name] = [value]
        return inputs

    def _hidden(self, key: str) -> dict[Hidden, Any]:
        return {Hidden.unique_id: key, Hidden.prompt: self.prompt, Hidden.extra_pnginfo: self.extra_pnginfo}

    def _report_block(self, key: str, block: Blocked) -> None:
        self._error(key, f"Execution Blocked: {block.reason}", "ExecutionBlocked", [], {})

    def _report(self, key: str, inputs: Mapping[str, list], error: Exception) -> None:
        advice = ("This error means the device ran out of memory; use smaller pictures or batches."
                  if self.runtime.is_oom(error) else "")
        current = {name: [_shown(item) for item in items] for name, items in inputs.items()}
        lines = traceback.format_tb(error.__traceback__)
        self._error(key, f"{error}\n{advice}", qualified_name(error), lines, current)

    def _error(self, key: str, message: str, kind: str, lines: list[str], current: Mapping[str, Any]) -> None:
        self.tell("execution_error", node_id=key, node_type=self.prompt[key]["class_type"],
                  executed=list(self.executed), exception_message=message, exception_type=kind,
                  traceback=lines, current_inputs=current, current_outputs=list(self.done))


def _shown(item: Any) -> Any:
    return item if item is None or isinstance(item, (bool, int, float, str)) else str(item)
