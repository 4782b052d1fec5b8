"""A tiny ComfyUI lookalike on 127.0.0.1: enough HTTP and websocket to test the client against."""
from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

INFO = {
    "LoadImage": {"input": {"required": {"image": [["server.png"], {"image_upload": True}]}},
                  "output": ["IMAGE"],
                  "display_name": "Load Image"},
    "Pose": {"input": {"required": {"file": ["STRING", {}]}}, "output": ["POSE"], "display_name": "Pose"},
    "SaveImage": {"input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}},
                  "output": [],
                  "display_name": "Save Image"},
}


class FakeComfyUI(ThreadingHTTPServer):
    """`script`: what happens to each prompt: "success", "error", "refuse", "partial", "forget" or "slow".

    `websocket`: "good", "refuse" or "drop" (hangs up after the first event).
    """

    daemon_threads = True

    def __init__(self, script: str = "success", websocket: str = "good") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.websocket = script, websocket
        self.uploads: dict[str, bytes] = {"a (taken).png": b"old"}
        self.prompts: list[dict] = []
        self.posts: list[tuple[str, dict]] = []
        self.history: dict[str, dict] = {}
        self.running: list[str] = []
        self.sockets: dict[str, Handler] = {}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request, client_address) -> None:
        """Broken connections are part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeComfyUI

    def log_message(self, *arguments) -> None:
        pass

    def answer(self, body, status=200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query, keep_blank_values=True).items()}
        if address.path == "/ws":
            self.open_websocket(query["clientId"])
        elif address.path == "/object_info":
            self.answer(INFO)
        elif address.path == "/queue":
            self.answer({"queue_running": [[0, key, {}] for key in self.server.running], "queue_pending": []})
        elif address.path.startswith("/history/"):
            key = address.path.rpartition("/")[2]
            self.answer({key: self.server.history[key]} if key in self.server.history else {})
        elif address.path == "/view":
            self.answer(f"{query['subfolder']}|{query['filename']}|{query['type']}".encode())
        else:
            self.answer(b"nothing here", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/upload/image":
            self.store(body)
        elif self.path == "/prompt":
            self.take_prompt(json.loads(body))
        else:
            self.server.posts.append((self.path, json.loads(body)))
            self.answer(b"")

    def store(self, body: bytes) -> None:
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in body.split(b"--" + boundary)[1:-1]]
        named = {quoted(head, "name"): (quoted(head, "filename"), data.removesuffix(b"\r\n"))
                 for head, _, data in parts}
        name, data = named["image"]
        if self.server.uploads.get(name, data) != data:
            name = name.replace(".", " (1).")
        subfolder = named["subfolder"][1].decode()
        self.server.uploads[f"{subfolder}/{name}".lstrip("/")] = data
        self.answer({"name": name, "subfolder": subfolder, "type": named["type"][1].decode()})

    def take_prompt(self, request: dict) -> None:
        self.server.prompts.append(request)
        error = {"type": "value_not_in_list", "message": "Value not in list", "details": "image: 'x'",
                 "extra_info": {}}
        broken = {"1": {"errors": [error], "dependent_outputs": ["3"], "class_type": "LoadImage"}}
        if self.server.script == "refuse":
            top = {"type": "prompt_outputs_failed_validation", "message": "failed", "details": "",
                   "extra_info": {}}
            self.answer({"error": top, "node_errors": broken}, 400)
            return
        key = f"run-{len(self.server.prompts)}"
        self.server.running.append(key)
        node_errors = broken if self.server.script == "partial" else {}
        self.answer({"prompt_id": key, "number": 0, "node_errors": node_errors})
        threading.Thread(target=self.perform, args=(key, request["client_id"]), daemon=True).start()

    def perform(self, key: str, client_id: str) -> None:
        for _ in range(100):  # the websocket may still be on its way
            if client_id in self.server.sockets or self.server.websocket == "refuse":
                break
            time.sleep(0.01)
        listener = self.server.sockets.get(client_id)
        tell = listener.tell if listener else lambda *event: None
        tell("execution_start", {"prompt_id": "of somebody else"})
        tell("executing", {"node": "1", "prompt_id": key})
        tell(None, b"\x00\x00\x00\x01\x00\x00\x00\x01preview")
        tell("progress", {"value": 1, "max": 2, "node": "1", "prompt_id": key})
        if self.server.script == "slow":
            return
        if self.server.script == "forget":
            self.server.running.remove(key)
            return
        last = ("execution_success", {"prompt_id": key})
        if self.server.script == "error":
            last = ("execution_error", {"prompt_id": key, "node_id": "1", "node_type": "LoadImage",
                                        "exception_message": "it broke\n", "exception_type": "ValueError"})
        tell(*last)
        time.sleep(0.05)  # the record appears after the last event
        self.server.history[key] = {
            "outputs": {"3": {"images": [{"filename": "look.png", "subfolder": "sub", "type": "output"},
                                         {"filename": "p.png", "subfolder": "", "type": "temp"}]},
                        "4": {"text": ["one line"]}},
            "status": {"status_str": "x", "completed": True,
                       "messages": [["execution_start", {}], list(last)]}}
        self.server.running.remove(key)

    def open_websocket(self, client_id: str) -> None:
        if self.server.websocket == "refuse":
            self.answer(b"no", 404)
            return
        key = self.headers["Sec-WebSocket-Key"]
        proof = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(proof.digest()).decode())
        self.pongs: list[bytes] = []
        self.server.sockets[client_id] = self  # before the client can know that it is connected
        self.end_headers()
        self.close_connection = True
        self.listen()

    def listen(self) -> None:
        while head := self.rfile.read(2):
            mask = self.rfile.read(4)
            data = self.rfile.read(head[1] & 127)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
            if head[0] == 0x8A:
                self.pongs.append(payload)
            elif head[0] == 0x88:
                return

    def tell(self, event: str | None, data) -> None:
        """A text event in two fragments with a ping between them; a preview as one binary frame."""
        if event is None:
            self.frame(0x82, data)
            return
        text = json.dumps({"type": event, "data": data, "padding": "x" * 300}).encode()
        self.frame(0x01, text[:100])
        self.frame(0x89, b"still there?")
        self.frame(0x80, text[100:])
        if self.server.websocket == "drop":
            with contextlib.suppress(OSError):
                self.connection.shutdown(2)
            self.server.sockets.clear()

    def frame(self, first: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([first, size]) if size < 126 else bytes([first, 126]) + struct.pack(">H", size)
        with contextlib.suppress(OSError):
            self.wfile.write(head + payload)


def quoted(head: bytes, key: str) -> str:
    """The value of `key="value"` in a part's header."""
    match = re.search(rf'\b{key}="(.*?)"', head.decode())
    return match[1] if match else ""
