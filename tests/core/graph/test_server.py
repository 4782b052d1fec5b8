"""The client for a ComfyUI server, against a lookalike."""
from __future__ import annotations

import argparse
import importlib.util
import json
import threading
import time
from pathlib import Path

import pytest
from anyone.core import net
from anyone.core.graph import cli, server
from anyone.core.graph.cli import FolderRuntime
from anyone.core.graph.server import ServerRunner

spec = importlib.util.spec_from_file_location("fake_comfyui", Path(__file__).with_name("fake_comfyui.py"))
fake_comfyui = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake_comfyui)

FLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "Pose", "inputs": {"file": "sub/a_pose.json"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "look"}}}


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(server, "POLL", 0.02)
    monkeypatch.setattr(server, "QUIET", 0.2)


@pytest.fixture
def start():
    """Starts lookalikes and stops them afterwards."""
    started = []

    def start(*options):
        started.append(fake_comfyui.FakeComfyUI(*options))
        return started[-1]

    yield start
    for fake in started:
        fake.shutdown()
        fake.server_close()


@pytest.fixture
def runtime(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(b"the picture")
    (tmp_path / "in" / "sub" / "a_pose.json").write_bytes(b"[]")
    return FolderRuntime("cpu", input=tmp_path / "in", output=tmp_path / "out")


def run(fake, runtime, prompt=FLOW):
    heard = []
    outcome = ServerRunner(fake.url + "/", runtime).run(prompt, {"workflow": {"nodes": []}},
                                                        lambda *event: heard.append(event))
    return outcome, heard


def test_a_whole_run(start, runtime, tmp_path):
    fake = start()
    outcome, heard = run(fake, runtime)
    assert outcome.problems() == [] and list(outcome.texts()) == [("4 node", "one line")]
    assert outcome.saved == (tmp_path / "out" / "sub" / "look.png",)
    assert outcome.saved[0].read_bytes() == b"sub|look.png|output"
    assert [event for event, _ in heard] == ["executing", "progress", "execution_success"]
    assert fake.uploads["a.png"] == b"the picture" and fake.uploads["sub/a_pose.json"] == b"[]"
    request, = fake.prompts
    assert request["prompt"] == FLOW and "prompt_id" not in request
    assert request["extra_data"] == {"extra_pnginfo": {"workflow": {"nodes": []}}}


def test_pings_are_answered(start, runtime):
    fake = start("slow")
    socket = net.WebSocket(f"{fake.url}/ws?clientId=me")
    handler = fake.sockets["me"]
    threading.Thread(target=handler.tell, args=("hello", {}), daemon=True).start()
    assert json.loads(socket.receive(2))["type"] == "hello"
    assert socket.receive(0.05) is None
    assert handler.pongs == [b"still there?"]
    socket.close()


def test_a_file_the_server_renames_is_used_under_its_new_name(start, runtime):
    fake = start()
    fake.uploads["a.png"] = b"another picture"
    run(fake, runtime)
    assert fake.prompts[0]["prompt"]["1"]["inputs"]["image"] == "a (1).png"


def test_only_files_of_the_input_folder_are_uploaded(start, runtime, tmp_path):
    (tmp_path / "secret.txt").write_bytes(b"secret")
    fake = start()
    texts = {"a": "../secret.txt", "b": "server.png", "c": "a text. It names a.png",
             "d": str(tmp_path / "secret.txt"),
             "e": "x" * 5000 + ".png", "f": "nul\0.png"}
    run(fake, runtime, {"1": {"class_type": "X", "inputs": texts}})
    assert fake.uploads == {"a (taken).png": b"old"} and fake.prompts[0]["prompt"]["1"]["inputs"] == texts


def test_earlier_results_are_kept(start, runtime, tmp_path):
    fake = start()
    run(fake, runtime)
    outcome, _ = run(fake, runtime)
    assert [path.name for path in outcome.saved] == ["look (1).png"]
    assert (tmp_path / "out" / "sub" / "look.png").exists()


@pytest.mark.parametrize("websocket", ["refuse", "drop"])
def test_without_a_websocket_the_history_is_asked(start, runtime, websocket):
    outcome, heard = run(start("success", websocket), runtime)
    assert outcome.problems() == [] and len(outcome.saved) == 1
    assert "execution_success" not in [event for event, _ in heard]


def test_a_refused_prompt(start, runtime):
    outcome, _ = run(start("refuse"), runtime)
    assert outcome.problems() == ["1 LoadImage: Value not in list: image: 'x'"]
    assert outcome.response["error"]["type"] == "prompt_outputs_failed_validation" and outcome.saved == ()


def test_a_partly_refused_prompt_runs_and_still_counts_as_a_failure(start, runtime):
    outcome, _ = run(start("partial"), runtime)
    assert outcome.problems() == ["1 LoadImage: Value not in list: image: 'x'"] and len(outcome.saved) == 1


def test_a_failing_node(start, runtime):
    outcome, _ = run(start("error"), runtime)
    assert outcome.problems() == ["1 LoadImage: it broke"]


@pytest.mark.parametrize("websocket", ["good", "refuse"])
def test_a_server_that_forgets_the_run(start, runtime, websocket):
    with pytest.raises(ConnectionError, match="no longer knows this run"):
        run(start("forget", websocket), runtime)


def test_a_server_that_goes_away(start, runtime):
    fake = start("slow", "drop")
    threading.Timer(0.2, lambda: (fake.shutdown(), fake.server_close())).start()
    with pytest.raises(ConnectionError, match="No answer from"):
        run(fake, runtime)


def test_nobody_there(runtime):
    with pytest.raises(ConnectionError, match="is the server running"):
        ServerRunner("127.0.0.1:9", runtime).info()


def test_something_that_is_no_comfyui(start, runtime):
    with pytest.raises(ConnectionError, match="is this a ComfyUI server"):
        ServerRunner(start().url + "/elsewhere", runtime).info()


def test_stopping_stops_the_run_on_the_server(start, runtime, monkeypatch):
    fake = start("slow")

    def stop(event, data):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ServerRunner(fake.url, runtime).run(FLOW, {}, stop)
    assert fake.posts == [("/queue", {"delete": ["run-1"]}), ("/interrupt", {"prompt_id": "run-1"})]


def test_results_stay_in_the_output_folder(start, runtime, monkeypatch):
    fake = start()
    monkeypatch.setattr(server, "output_files",
                        lambda result: [{"subfolder": "../..", "filename": "x", "type": "output"}])
    with pytest.raises(ValueError, match="outside the folder"):
        run(fake, runtime)


def test_the_command_converts_with_the_servers_declarations(start, runtime, tmp_path, capsys):
    fake = start()
    flow = {"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": ["a.png", "image"]},
                      {"id": 3, "type": "SaveImage", "widgets_values": ["mine"],
                       "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}],
            "links": [[1, 1, 0, 3, 0, "IMAGE"]], "version": 0.4}
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args([str(tmp_path / "flow.json"), "--server", fake.url, "--input",
                              str(tmp_path / "in"),
                              "--output", str(tmp_path / "out"), "--set", "Save Image.filename_prefix=yours"])
    assert cli.main(args) == 0
    assert fake.prompts[0]["prompt"]["3"]["inputs"] == {"images": ["1", 0], "filename_prefix": "yours"}
    assert fake.prompts[0]["extra_data"]["extra_pnginfo"]["workflow"]["version"] == 0.4
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == str(tmp_path / "out" / "sub" / "look.png")
    bars = [line.partition(" [")[0].strip() for line in output.err.split("\r")]
    assert bars == ["", "Load Image", "Load Image", "done"]


def test_a_long_wait_is_no_failure(start, runtime):
    fake = start("slow")
    record = {"outputs": {}, "status": {"messages": []}}
    threading.Timer(0.6, lambda: fake.history.update({"run-1": record})).start()
    began = time.monotonic()
    outcome, _ = run(fake, runtime)
    assert outcome.problems() == [] and time.monotonic() - began > 0.5
