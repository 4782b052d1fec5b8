"""What came of one workflow, in one form for runs here and on a server."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..runtime import Runtime
from .executor import Executor, Listener, RunResult
from .files import inside
from .standin.schema import ComfyNode
from .workflow import Prompt


@dataclass(frozen=True, eq=False)
class Outcome:
    """`prompt`: what was to run. `response`: the server's answer to it, `{"error", "node_errors"}`.

    `result`: what happened; empty after a refusal. `saved`: the files now in the output folder.
    """

    prompt: Prompt
    response: dict[str, Any]
    result: RunResult = field(default_factory=RunResult)
    saved: tuple[Path, ...] = ()

    def problems(self) -> list[str]:
        """Everything that went wrong, one readable line each; empty after a success."""
        found = [*self._refusals()]
        if self.response.get("error") and not found:
            error = self.response["error"]
            found.append(f"{error['message']} {error['details']}".strip())
        found += [self._failure(event, data) for event, data in self.result.messages
                  if event in ("execution_error", "execution_interrupted")]
        return list(dict.fromkeys(found))

    def texts(self) -> Iterator[tuple[str, str]]:
        """(node, text) for everything nodes wrote."""
        for key, shown in self.result.outputs.items():
            for text in shown.get("text") or ():
                yield self._name(key), str(text)

    def as_json(self) -> dict[str, Any]:
        """For scripts: the server's answer, what nodes show, the events, and the saved files."""
        return {**self.response, "outputs": self.result.outputs, "messages": self.result.messages,
                "files": [str(path) for path in self.saved]}

    def _refusals(self) -> Iterator[str]:
        for key, node in (self.response.get("node_errors") or {}).items():
            for error in node["errors"]:
                own = error["type"] == "custom_validation_failed" and error["details"].partition(" - ")[2]
                yield f"{self._name(key)}: {own or error['message'] + ': ' + error['details']}"

    def _failure(self, event: str, data: Mapping[str, Any]) -> str:
        if event == "execution_interrupted":
            return f"{self._name(data['node_id'])}: interrupted"
        return f"{self._name(data['node_id'])}: {data['exception_message'].strip()}"

    def _name(self, key: str) -> str:
        node = self.prompt.get(str(key), {})
        kind = node.get("class_type", "node")
        title = node.get("_meta", {}).get("title", kind)
        return f"{key} {title}" if title == kind else f"{key} {title} ({kind})"


class Runner(Protocol):
    """Somewhere workflows run."""

    def info(self) -> dict[str, Any]:
        """`/object_info`."""
        ...

    def run(self, prompt: Prompt, extra_pnginfo: Mapping[str, Any], listener: Listener) -> Outcome:
        ...


class LocalRunner:
    """Runs workflows in this process."""

    def __init__(self, nodes: Iterable[type[ComfyNode]], runtime: Runtime) -> None:
        self.executor = Executor(nodes, runtime)

    def info(self) -> dict[str, Any]:
        return self.executor.info()

    def run(self, prompt: Prompt, extra_pnginfo: Mapping[str, Any], listener: Listener) -> Outcome:
        validation = self.executor.validate(prompt)
        if validation.error:
            return Outcome(prompt, validation.response())
        result = self.executor.run(validation, extra_pnginfo, listener)
        folder = self.executor.runtime.folder("output")
        saved = (inside(folder / file["subfolder"], file["filename"]) for file in output_files(result))
        return Outcome(prompt, validation.response(), result, tuple(saved))


def output_files(result: RunResult) -> Iterator[dict[str, str]]:
    """The file dicts of everything written to the output folder, each once."""
    seen = set()
    for shown in result.outputs.values():
        for items in shown.values():
            for item in items if isinstance(items, (list, tuple)) else ():
                if isinstance(item, dict) and item.get("type") == "output" and "filename" in item:
                    key = (item.get("subfolder", ""), item["filename"])
                    if key not in seen:
                        yield {"subfolder": key[0], "filename": key[1], "type": "output"}
                    seen.add(key)
