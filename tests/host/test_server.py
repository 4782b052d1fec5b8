"""The pack behind a running ComfyUI server: examples, errors, interrupt, freed memory, a clean log."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"


def load(name: str) -> dict:
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))


def failure(entry: dict) -> dict:
    """The data of the error a finished prompt ended with."""
    assert entry["status"]["status_str"] == "error", entry["status"]
    return next(data for event, data in entry["status"]["messages"]
                if event in ("execution_error", "execution_interrupted"))


def probed(server, prompt: dict) -> dict:
    """What the probe node sees after a prompt has run; its results are still in the server's cache then."""
    if prompt:
        assert server.run(prompt)["status"]["status_str"] == "success"
    probe = {"probe": {"class_type": "MemoryProbe", "inputs": {"nonce": time.monotonic_ns()}}}
    return json.loads(server.run({**prompt, **probe})["outputs"]["probe"]["text"][0])


def freed(server) -> dict:
    """What the probe sees after the button that frees memory; a server that is tidying up misses it."""
    for _ in range(3):
        server.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1)
    return probed(server, {})


def test_our_own_client_runs_the_example_on_the_server(server, example, tmp_path):
    shutil.copytree(WORKFLOWS / "input", tmp_path / "input")
    finished = subprocess.run(
        [sys.executable, ROOT / "run.py", "run", example, "--server", server.url,
         "--input", tmp_path / "input", "--output", tmp_path / "output"],
        capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert list((tmp_path / "output").rglob("*.png"))


def test_a_value_out_of_range_is_refused_before_anything_runs(server):
    prompt = load("extract_pose")
    prompt["3"]["inputs"]["threshold"] = 7
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400 and answer["error"]["type"] == "prompt_outputs_failed_validation"
    (problem,) = answer["node_errors"]["3"]["errors"]
    assert problem["type"] == "value_bigger_than_max"


def test_a_missing_input_is_refused(server):
    prompt = load("inpaint_synthetic")
    inpaint = next(key for key, node in prompt.items() if node["class_type"] == "AnyoneInpaintPerson")
    del prompt[inpaint]["inputs"]["inpainter"]
    _, answer = server.post("/prompt", {"prompt": prompt})
    assert answer["node_errors"][inpaint]["errors"][0]["type"] == "required_input_missing"


def test_optional_widgets_may_be_left_out(server):
    prompt = {"1": {"class_type": "AnyoneSyntheticPeople", "inputs": {"width": 64, "height": 96}},
              "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    assert server.run(prompt)["status"]["status_str"] == "success"


def test_a_literal_pose_in_the_prompt_reaches_the_node(server):
    frame = {"canvas_width": 64, "canvas_height": 48, "people": []}
    for value in (frame, {"__value__": [frame, frame]}):
        prompt = {"1": {"class_type": "AnyonePoseToJSON", "inputs": {"pose": value}}}
        shown = server.run(prompt)["outputs"]["1"]["text"][0]
        assert json.loads(shown)[0] == frame


def test_our_errors_reach_the_user_as_one_sentence(server):
    prompt = {"1": {"class_type": "AnyonePoseFromJSON", "inputs": {"file": "nothing.json"}},
              "2": {"class_type": "AnyonePoseToJSON", "inputs": {"pose": ["1", 0]}}}
    error = failure(server.run(prompt))
    assert error["node_id"] == "1" and error["exception_message"].startswith("file: there is no nothing.json")
    assert error["exception_message"].count("\n") <= 1


def test_a_file_outside_the_input_folder_is_refused(server):
    (server.host.base / "secret.json").write_text('{"canvas_width": 8, "canvas_height": 8, "people": []}')
    prompt = {"1": {"class_type": "AnyonePoseFromJSON", "inputs": {"file": "../secret.json"}},
              "2": {"class_type": "AnyonePoseToJSON", "inputs": {"pose": ["1", 0]}}}
    assert "outside" in failure(server.run(prompt))["exception_message"]


def test_a_changed_file_is_read_again(server):
    path = server.host.base / "input" / "changing.json"
    prompt = {"1": {"class_type": "AnyonePoseFromJSON", "inputs": {"file": "changing.json"}},
              "2": {"class_type": "AnyonePoseToJSON", "inputs": {"pose": ["1", 0]}}}
    for width in (64, 65):
        path.write_text(json.dumps({"canvas_width": width, "canvas_height": 8, "people": []}))
        assert json.loads(server.run(prompt)["outputs"]["2"]["text"][0])[0]["canvas_width"] == width


def test_published_detectors_and_parsers_read_a_photograph(server, model_file):
    """Tiny random models in the users' model folder; with them the example and both kinds of regions run."""
    for name in ("rf_detr_seg", "vitpose_plus", "clothes", "faces"):
        shutil.copytree(model_file(name).parent, server.host.base / "models" / "anyone" / name)
    chosen = {"name": "rf_detr_seg", "poses": "vitpose_plus", "clothes": "clothes", "faces": "faces"}
    prompt = load("extract_pose")
    prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": "astronaut.png"}}
    prompt["2"]["inputs"] |= {part: f"{name}/model.safetensors" for part, name in chosen.items()}
    prompt["3"]["inputs"] |= {"threshold": 0.05, "flip": True}
    for key, kind in (("7", "person"), ("8", "face")):
        prompt[key] = {"class_type": "AnyoneParseRegions",
                       "inputs": {"image": ["1", 0], "detector": ["2", 0], "kind": kind}}
        prompt[key + "1"] = {"class_type": "AnyoneDrawRegions", "inputs": {"regions": [key, 0]}}
        prompt[key + "2"] = {"class_type": "PreviewImage", "inputs": {"images": [key + "1", 0]}}
    entry = server.run(prompt)
    assert entry["status"]["status_str"] == "success", failure(entry)["traceback"]
    outputs = entry["outputs"]
    assert "rf_detr_seg/model.safetensors" in outputs["2"]["text"][0]
    (frame,) = json.loads(outputs["3"]["openpose_json"][0])
    assert (frame["canvas_width"], frame["canvas_height"]) == (512, 512)
    assert outputs["5"]["images"] and outputs["72"]["images"] and outputs["82"]["images"]


def test_interrupt_stops_a_long_run(server):
    size = {"count": 256, "width": 512, "height": 512}
    prompt = {"1": {"class_type": "AnyoneSyntheticPeople", "inputs": size},
              "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    running = server.queue(prompt)
    server.wait_running()
    time.sleep(1)
    server.post("/interrupt", {})
    start = time.monotonic()
    assert failure(server.wait(running))["node_id"] == "1"
    assert time.monotonic() - start < 20


def test_free_gives_the_memory_back(server):
    held = probed(server, load("inpaint_synthetic"))
    assert held["nets"] >= 1 and held["loaded"]
    assert freed(server) == {"loaded": [], "nets": 0, "tunings": 0}


def test_a_tuned_generator_goes_with_its_results(server):
    prompt = {"1": {"class_type": "AnyoneLoadGenerator", "inputs": {}},
              "2": {"class_type": "AnyoneSampleLatent", "inputs": {"generator": ["1", 0]}},
              "3": {"class_type": "AnyoneSyntheticPeople", "inputs": {"width": 64, "height": 128}},
              "4": {"class_type": "AnyoneTuneGenerator",
                    "inputs": {"generator": ["1", 0], "image": ["3", 0], "latent": ["2", 0], "steps": 2}},
              "5": {"class_type": "AnyoneDrag",
                    "inputs": {"generator": ["4", 0], "latent": ["2", 0], "steps": 2,
                               "handles": "[[30, 60]]", "targets": "[[10, 20]]"}},
              "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 1]}}}
    held = probed(server, prompt)
    assert "FastGenerator" in held["loaded"] and held["nets"] == held["tunings"] == 1
    assert freed(server) == {"loaded": [], "nets": 0, "tunings": 0}


def test_two_loaders_share_one_network(server):
    prompt = load("inpaint_synthetic")
    loader = next(key for key, node in prompt.items() if node["class_type"] == "AnyoneLoadInpainter")
    inpaint = next(key for key, node in prompt.items() if node["class_type"] == "AnyoneInpaintPerson")
    prompt["a"] = {"class_type": "AnyoneLoadInpainter", "inputs": {}}
    other = {**prompt[inpaint]["inputs"], "inpainter": ["a", 0], "seed": 9}
    prompt["b"] = {"class_type": "AnyoneInpaintPerson", "inputs": other}
    prompt["c"] = {"class_type": "PreviewImage", "inputs": {"images": ["b", 0]}}
    assert loader != "a" and probed(server, prompt)["nets"] == 1


def test_templates_docs_and_translations_are_served(server):
    name = server.host.pack.name
    templates = server.get("/workflow_templates")[name]
    assert sorted(templates) == sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    assert "AnyoneInpaintPerson" in server.get("/i18n")["en"]["nodeDefs"]
    assert server.text(f"/extensions/{name}/docs/AnyoneInpaintPerson.md").startswith("# Inpaint Person")
    assert "anyone" in server.get("/models")


def test_the_log_holds_no_warning_of_ours(server):
    log = server.log.read_text(encoding="utf-8").lower()
    ours = [line for line in log.splitlines() if "anyone" in line]
    assert ours, "the log names the packs it loaded"
    assert not [line for line in ours if "warn" in line or "import failed" in line or "deprecat" in line]
