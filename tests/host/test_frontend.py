"""The shipped interface workflows in the real frontend, driven in a headless Chromium.

Needs node, Chromium and `npm install --prefix ~/.cache/anyone playwright-core`. Runs with the frontend
package of the host's environment and with every unpacked one in ~/.cache/anyone/frontend-*.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
WORKFLOWS = HERE.parent.parent / "workflows"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anyone"
PLAYWRIGHT = CACHE / "node_modules" / "playwright-core"
FRONTENDS = {"installed": None, **{path.name: path for path in sorted(CACHE.glob("frontend-*"))}}


@pytest.fixture(scope="module", params=FRONTENDS.values(), ids=FRONTENDS.keys())
def seen(request, host, start_server) -> dict:
    """What frontend.mjs reports."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not (chromium and shutil.which("node") and PLAYWRIGHT.is_dir()):
        pytest.skip("no browser to test in: needs node, Chromium and playwright-core, see this file's head")
    extra = () if request.param is None else ("--front-end-root", request.param)
    with start_server(host, *extra) as server:
        command = ["node", HERE / "frontend.mjs", PLAYWRIGHT, chromium, server.url, *WORKFLOWS.glob("*.json")]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_frontend_exports_each_workflow_as_its_api_twin(seen, example):
    assert seen["workflows"][example.stem]["output"] == json.loads(example.read_text(encoding="utf-8"))


def test_stored_workflows_are_what_the_frontend_would_store(seen, example):
    """Nothing is lost, moved or added by opening a file and saving it again."""
    before = json.loads((WORKFLOWS / example.name).read_text(encoding="utf-8"))
    after = seen["workflows"][example.stem]["workflow"]
    assert {node["id"]: node["widgets_values"] for node in after["nodes"] if node.get("widgets_values")} == {
        node["id"]: node["widgets_values"] for node in before["nodes"] if node["widgets_values"]}
    assert sorted(map(tuple, after["links"])) == sorted(map(tuple, before["links"]))


def test_nodes_carry_their_names(seen, snapshot):
    assert seen["titles"] == {name: node["display_name"] for name, node in snapshot.items()}


def test_the_console_holds_no_complaint_about_us(seen):
    ours = ("anyone", "message compilation")
    assert not [line for line in seen["complaints"] if any(word in line.lower() for word in ours)]
