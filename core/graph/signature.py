"""When two nodes must give the same result: equal class, literals, fingerprint, and nodes before them."""
from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from .standin.schema import ComfyNode, Schema, locked
from .workflow import Prompt, is_link


class Signatures:
    """Signatures of the nodes of one prompt; node ids do not matter, except for nodes that say so."""

    def __init__(self, prompt: Prompt, nodes: Mapping[str, type[ComfyNode]],
                 schemas: Mapping[str, Schema]) -> None:
        self.prompt, self.nodes, self.schemas = prompt, nodes, schemas
        self._known: dict[str, str] = {}

    def of(self, key: str) -> str:
        """A digest, equal between prompts for nodes that may share one result."""
        waiting = [key]
        while waiting:
            node = waiting[-1]
            before = [value[0] for value in self.prompt[node]["inputs"].values()
                      if is_link(value) and value[0] not in self._known]
            waiting.extend(before)
            if not before:
                waiting.pop()
                self._known.setdefault(node, self._make(node))
        return self._known[key]

    def _make(self, key: str) -> str:
        node = self.prompt[key]
        own_id = key if self.schemas[node["class_type"]].not_idempotent else None
        inputs = {name: f"{self._known[value[0]]}/{value[1]}" if is_link(value) else spelled(value)
                  for name, value in node["inputs"].items()}
        parts = repr((node["class_type"], own_id, self._fingerprint(key), sorted(inputs.items())))
        return hashlib.sha256(parts.encode()).hexdigest()

    def _fingerprint(self, key: str) -> str:
        """`fingerprint_inputs` sees literals only; when it fails the node counts as changed."""
        node = self.prompt[key]
        kind = self.nodes[node["class_type"]]
        if not hasattr(kind, "fingerprint_inputs"):
            return ""
        known = {item.id for item in self.schemas[node["class_type"]].inputs}
        literals = {name: None if is_link(value) else value for name, value in node["inputs"].items()
                    if name in known}
        try:
            return spelled(getattr(locked(kind, {}), "fingerprint_inputs")(**literals))  # noqa: B009 (a hook)
        except Exception:
            return spelled(None, comparable=False)


def spelled(value: Any, comparable: bool = True) -> str:
    """Equal text for equal values of equal type; what cannot be compared (NaN, objects) is like no other."""
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{key!r}:{spelled(member)}" for key, member in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(spelled, value)) + "]"
    if comparable and isinstance(value, (str, int, float, bool, bytes, type(None))) and value == value:
        return repr(value)
    return uuid.uuid4().hex
