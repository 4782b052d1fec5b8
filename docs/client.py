"""Runs an example on a ComfyUI server, with nothing but Python's standard library.

    python docs/client.py http://127.0.0.1:8188 workflows/api/inpaint_person.json workflows/input/astronaut*
"""
from __future__ import annotations

import argparse
import json
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen


def upload(server: str, file: Path) -> None:
    """Puts a file into the server's input folder."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{file.name}"\r\n\r\n'
    over = f'\r\n--{edge}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{edge}--\r\n'
    body = head.encode() + file.read_bytes() + over.encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    urlopen(Request(f"{server}/upload/image", body, kind)).close()


def run(server: str, prompt: dict) -> dict:
    """Queues an API workflow and waits; node id -> what the node shows."""
    body = json.dumps({"prompt": prompt}).encode()
    prompt_id = json.load(urlopen(Request(f"{server}/prompt", body)))["prompt_id"]
    while not (entry := json.load(urlopen(f"{server}/history/{prompt_id}")).get(prompt_id)):
        time.sleep(0.3)
    if entry["status"]["status_str"] != "success":
        raise SystemExit(json.dumps(entry["status"]["messages"][-1], indent=2))
    return entry["outputs"]


parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("workflow", type=Path)
parser.add_argument("files", type=Path, nargs="*", help="what the workflow loads")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
for file in args.files:
    upload(args.server, file)
prompt = json.loads(args.workflow.read_text(encoding="utf-8"))
for node in prompt.values():
    if "seed" in node["inputs"]:
        node["inputs"]["seed"] = args.seed
for shown in run(args.server, prompt).values():
    for image in shown.get("images", []):
        Path(image["filename"]).write_bytes(urlopen(f"{args.server}/view?{urlencode(image)}").read())
        print(image["filename"])
