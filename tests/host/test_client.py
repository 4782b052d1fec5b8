"""The client in `docs/`, which users copy, against a running server."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"


def run_client(server, workflow: Path, folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "docs" / "client.py", server.url, workflow, *files, "--seed", "3"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_it_uploads_waits_and_downloads(server, tmp_path):
    photograph = (WORKFLOWS / "input").glob("astronaut*")
    finished = run_client(server, WORKFLOWS / "api" / "inpaint_person.json", tmp_path, *photograph)
    assert finished.returncode == 0, finished.stderr
    names = finished.stdout.split()
    assert names and all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_it_stops_with_the_node_s_error(server, tmp_path):
    prompt = json.loads((WORKFLOWS / "api" / "inpaint_person.json").read_text(encoding="utf-8"))
    prompt["3"]["inputs"]["json"] = "{"
    (tmp_path / "broken.json").write_text(json.dumps(prompt), encoding="utf-8")
    finished = run_client(server, tmp_path / "broken.json", tmp_path)
    assert finished.returncode == 1
    assert "AnyonePoseFromJSON" in finished.stderr
