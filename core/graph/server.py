"""Runs workflows on a ComfyUI server: uploads what they read, follows the run, fetches what they save."""
from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import net
from ..files import atomic_write
from ..runtime import Runtime
from .executor import Listener, RunResult
from .files import inside
from .outcome import Outcome, output_files
from .workflow import Prompt

FINAL = ("execution_success", "execution_error", "execution_interrupted")
QUIET = 5.0     # seconds of silence on the websocket before the server is asked
POLL = 1.0      # seconds between questions without a websocket
PATIENCE = 10   # questions until a finished run must be in the history
FILE_NAME = re.compile(r"[^\n]{1,200}\.\w{1,12}")


class ServerRunner:
    """`url`: where ComfyUI answers, such as `http://127.0.0.1:8188`. Files move between the runtime's folders
    and the server's. ConnectionError when the server does not answer or forgets the run."""

    def __init__(self, url: str, runtime: Runtime) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.runtime = runtime
        self.client_id = uuid.uuid4().hex
        self._socket: net.WebSocket | None = None

    def info(self) -> dict[str, Any]:
        return self._get("/object_info")

    def run(self, prompt: Prompt, extra_pnginfo: Mapping[str, Any], listener: Listener) -> Outcome:
        prompt = {key: {**node, "inputs": self._with_uploads(node["inputs"])} for key, node in prompt.items()}
        self._listen()
        try:
            response = self._post_prompt(prompt, extra_pnginfo)
            if response.get("error"):
                return Outcome(prompt, response)
            result = self._wait(response["prompt_id"], listener)
        finally:
            self._hang_up()
        saved = tuple(self._fetch(file) for file in output_files(result))
        response = {"error": None, "node_errors": response.get("node_errors") or {}}
        return Outcome(prompt, response, result, saved)

    def _post_prompt(self, prompt: Prompt, extra_pnginfo: Mapping[str, Any]) -> dict[str, Any]:
        """No own `prompt_id`: which ids are allowed differs between versions."""
        body = {"prompt": prompt, "client_id": self.client_id, "extra_data": {"extra_pnginfo": extra_pnginfo}}
        status, answer = net.exchange(f"{self.url}/prompt", json.dumps(body).encode())
        response = self._decode(answer)
        if status != 200 and not isinstance(response.get("error"), dict):
            raise ConnectionError(f"{self.url} refused the workflow with HTTP {status}: {answer[:200]!r}")
        return response

    def _listen(self) -> None:
        """Without a websocket, as behind some proxies, asking now and then works too."""
        with contextlib.suppress(ConnectionError):
            self._socket = net.WebSocket(f"{self.url}/ws?clientId={self.client_id}")

    def _hang_up(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None

    def _wait(self, prompt_id: str, listener: Listener) -> RunResult:
        try:
            while not self._follow(prompt_id, listener) and not self._is_over(prompt_id):
                pass
            return self._history(prompt_id)
        except KeyboardInterrupt:
            self._post("/queue", {"delete": [prompt_id]})
            self._post("/interrupt", {"prompt_id": prompt_id})
            raise

    def _follow(self, prompt_id: str, listener: Listener) -> bool:
        """Passes events on until the run ends (True), or the line is quiet or broken (False)."""
        if self._socket is None:
            time.sleep(POLL)
            return False
        try:
            while (message := self._socket.receive(QUIET)) is not None:
                event = json.loads(message) if isinstance(message, str) else {}  # previews are binary
                data = event.get("data") or {}
                if data.get("prompt_id") == prompt_id:
                    listener(event["type"], data)
                    if event["type"] in FINAL:
                        return True
        except ConnectionError:
            self._hang_up()
        return False

    def _is_over(self, prompt_id: str) -> bool:
        if self._get(f"/history/{prompt_id}"):
            return True
        queue = self._get("/queue")
        waiting = [entry[1] for entry in (*queue["queue_running"], *queue["queue_pending"])]
        if prompt_id not in waiting and not self._get(f"/history/{prompt_id}"):
            raise ConnectionError(f"{self.url} no longer knows this run; was it restarted?")
        return False

    def _history(self, prompt_id: str) -> RunResult:
        """The record appears a moment after the last event."""
        for _ in range(PATIENCE):
            if found := self._get(f"/history/{prompt_id}"):
                record = found[prompt_id]
                messages = (record.get("status") or {}).get("messages") or ()
                return RunResult(record.get("outputs") or {}, messages=[tuple(entry) for entry in messages])
            time.sleep(POLL / 4)
        raise ConnectionError(f"{self.url} finished the run but keeps no history of it; was it restarted?")

    def _with_uploads(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Uploads the files of the input folder that a node names; the server may give them new names."""
        files = {name: self._input_file(value) for name, value in inputs.items() if isinstance(value, str)}
        return {**inputs, **{name: self._upload(path) for name, path in files.items() if path}}

    def _input_file(self, name: str) -> Path | None:
        name = name.removesuffix(" [input]")
        if not FILE_NAME.fullmatch(name):
            return None
        try:
            path = inside(self.runtime.folder("input"), name)
        except ValueError:
            return None
        return path if path.is_file() else None

    def _upload(self, path: Path) -> str:
        folder = path.parent.relative_to(self.runtime.folder("input").resolve()).as_posix()
        fields = {"type": "input", "subfolder": "" if folder == "." else folder}
        status, answer = net.exchange(f"{self.url}/upload/image",
                                      *net.multipart(fields, path.name, path.read_bytes()))
        if status != 200:
            raise ConnectionError(f"{self.url} did not take the file {path.name} (HTTP {status}).")
        stored = self._decode(answer)
        return f"{stored['subfolder']}/{stored['name']}" if stored.get("subfolder") else stored["name"]

    def _fetch(self, file: Mapping[str, str]) -> Path:
        """Downloads an output; an earlier file of that name is kept, the new one gets a number."""
        status, data = net.exchange(f"{self.url}/view", query=file)
        if status != 200:
            raise ConnectionError(f"{self.url} did not give out {file['filename']} (HTTP {status}).")
        wanted = inside(self.runtime.folder("output"), f"{file['subfolder']}/{file['filename']}")
        target, number = wanted, 1
        while target.exists():
            target, number = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}"), number + 1
        with atomic_write(target) as partial:
            partial.write_bytes(data)
        return target

    def _get(self, path: str) -> dict[str, Any]:
        status, answer = net.exchange(self.url + path)
        if status != 200:
            raise ConnectionError(f"{self.url}{path} answers HTTP {status}; is this a ComfyUI server?")
        return self._decode(answer)

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        net.exchange(self.url + path, json.dumps(body).encode())

    def _decode(self, answer: bytes) -> dict[str, Any]:
        try:
            decoded = json.loads(answer)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise ConnectionError(f"{self.url} does not answer like a ComfyUI server: {answer[:80]!r}")
        return decoded
