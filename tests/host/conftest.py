"""Real ComfyUI checkouts for the tests of this folder; without one they are skipped, and say so."""
from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORKFLOWS = ROOT / "workflows"


def load_setup():
    """tests/host_setup.py, which finds checkouts and the interpreter that can run them."""
    spec = importlib.util.spec_from_file_location("host_setup", HERE.parent / "host_setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SETUP = load_setup()


def host_python() -> Path | None:
    """The environment `make test` made, or this one if ComfyUI's requirements are in it."""
    needed = ("aiohttp", "torchsde", "comfyui_frontend_package")
    own = Path(sys.executable) if all(importlib.util.find_spec(name) for name in needed) else None
    return SETUP.host_python() or own


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests run once per checkout; those that ask for an `example`, once per shipped API workflow."""
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", examples(), ids=lambda path: path.stem)
    if "checkout" in metafunc.fixturenames:
        found = {".".join(map(str, SETUP.version(path))): path for path in SETUP.checkouts()}
        metafunc.parametrize("checkout", found.values() or [None], ids=found or ["none"], scope="session")


@dataclass(frozen=True)
class Host:
    """One checkout and a base directory of its own with the pack and the example inputs in it."""

    checkout: Path
    python: Path
    base: Path

    @property
    def pack(self) -> Path:
        return self.base / "custom_nodes" / "anyone-nodes"

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.python, *arguments], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="session")
def host(checkout: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Host:
    python = host_python()
    if checkout is None or python is None:
        pytest.skip("no ComfyUI: set COMFYUI_DIR or run `make test`, which tries to fetch one")
    base = tmp_path_factory.mktemp(checkout.name)
    shutil.copytree(WORKFLOWS / "input", base / "input")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "anyone-nodes").symlink_to(ROOT, target_is_directory=True)
    shutil.copytree(HERE / "probe", base / "custom_nodes" / "anyone-probe")
    return Host(checkout, python, base)


@dataclass(frozen=True)
class Server:
    """A running ComfyUI server."""

    url: str
    host: Host
    log: Path

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read().decode()

    def get(self, path: str) -> dict:
        return json.loads(self.text(path))

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        """(HTTP status, answer)."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def queue(self, prompt: dict, **more: str) -> str:
        status, answer = self.post("/prompt", {"prompt": prompt, **more})
        assert status == 200, answer
        return answer["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 120) -> dict:
        """The history entry of a prompt, once it is finished."""
        return self._until(lambda: self.get(f"/history/{prompt_id}").get(prompt_id), seconds)

    def wait_running(self, seconds: float = 30) -> None:
        self._until(lambda: self.get("/queue")["queue_running"], seconds)

    def run(self, prompt: dict) -> dict:
        return self.wait(self.queue(prompt))

    def _until(self, probe, seconds: float):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := probe():
                return found
            time.sleep(0.1)
        pytest.fail(f"not reached in {seconds} s; the server's log ends:\n{self.log.read_text()[-3000:]}")


@contextmanager
def serving(host: Host, *options: str | Path) -> Iterator[Server]:
    """A server with our pack and the probe while the block lasts. `options`: more for ComfyUI's main.py."""
    port = free_port()
    log = host.base / f"server-{port}.log"
    command = [host.python, HERE / "start_comfyui.py", host.checkout, "--cpu", "--port", str(port),
               "--disable-auto-launch", "--base-directory", host.base, "--disable-all-custom-nodes",
               "--whitelist-custom-nodes", "anyone-nodes", "anyone-probe",
               "--database-url", "sqlite:///:memory:", *options]
    with open(log, "w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield wait_for(Server(f"http://127.0.0.1:{port}", host, log), process)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def server(host: Host) -> Iterator[Server]:
    with serving(host) as server:
        yield server


@pytest.fixture(scope="session")
def start_server():
    return serving


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(server: Server, process: subprocess.Popen) -> Server:
    for _ in range(1200):
        try:
            server.get("/prompt")
            return server
        except OSError:
            assert process.poll() is None, f"ComfyUI did not start:\n{server.log.read_text()[-3000:]}"
            time.sleep(0.1)
    pytest.fail(f"ComfyUI did not answer:\n{server.log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def snapshot() -> dict:
    return json.loads((HERE.parent / "nodes" / "object_info.json").read_text(encoding="utf-8"))


def examples() -> list[Path]:
    """The shipped workflows in API format."""
    return sorted((WORKFLOWS / "api").glob("*.json"))

