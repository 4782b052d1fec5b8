"""A long drag on a running ComfyUI server: live previews, and what the stop button leaves."""
from __future__ import annotations

import io
import json
import time
import uuid
from contextlib import closing

from anyone.core.net import WebSocket
from PIL import Image

# One place that shall go two ways never arrives, whatever the generator has learned.
HANDLES = json.dumps([{"x": 30, "y": 60, "tx": 2, "ty": 2}, {"x": 30, "y": 60, "tx": 61, "ty": 125}])
JPEG_PREVIEW = bytes([0, 0, 0, 1, 0, 0, 0, 1])            # a preview, of this kind
PREVIEWS, SECONDS = 9, 0.25                               # to wait for, and between two at least


def long_drag(when_stopped: str) -> dict:
    options = {"handles": HANDLES, "steps": 10000, "frames": 4, "when_stopped": when_stopped}
    return {"load": {"class_type": "AnyoneLoadGenerator", "inputs": {}},
            "start": {"class_type": "AnyoneSampleLatent", "inputs": {"generator": ["load", 0]}},
            "drag": {"class_type": "AnyoneDrag",
                     "inputs": {"generator": ["load", 0], "latent": ["start", 0], **options}},
            "frames": {"class_type": "PreviewImage", "inputs": {"images": ["drag", 2]}}}


def stopped(server, prompt: dict) -> tuple[dict, list[tuple[float, bytes]]]:
    """Runs a prompt and stops it after some previews: its history entry, and when each preview came."""
    client, previews = uuid.uuid4().hex, []
    with closing(WebSocket(f"{server.url}/ws?clientId={client}")) as socket:
        running = server.queue(prompt, client_id=client)
        while len(previews) < PREVIEWS:
            message = socket.receive(30)
            assert message is not None, f"the drag fell silent after {len(previews)} previews"
            if message[:8] == JPEG_PREVIEW:
                previews.append((time.monotonic(), message[8:]))
    server.post("/interrupt", {})
    return server.wait(running, 30), previews


def cached(entry: dict) -> list[str]:
    """Nodes whose results were still there."""
    return next(data["nodes"] for event, data in entry["status"]["messages"] if event == "execution_cached")


def test_a_stopped_drag_keeps_its_journey_and_the_workflow_goes_on(server):
    prompt = long_drag("keep")
    entry, _ = stopped(server, prompt)
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert entry["outputs"]["drag"]["text"][0].startswith("stopped after ")
    assert len(entry["outputs"]["frames"]["images"]) == 4
    assert "drag" in cached(server.run(prompt))


def test_a_cancelled_drag_ends_the_workflow_and_leaves_nothing(server):
    prompt = long_drag("cancel")
    first, second = (stopped(server, prompt)[0] for _ in range(2))
    for entry in (first, second):
        event, data = entry["status"]["messages"][-1]
        assert event == "execution_interrupted" and data["node_id"] == "drag"
        assert not entry["status"]["completed"] and not {"drag", "frames"} & set(entry["outputs"])
    assert sorted(cached(second)) == ["load", "start"]


def test_previews_are_real_pictures_at_most_four_a_second(server):
    times, frames = zip(*stopped(server, long_drag("cancel"))[1], strict=True)
    assert times[-1] - times[0] > (PREVIEWS - 1) * SECONDS - 0.2                  # some wait on their way
    pictures = [Image.open(io.BytesIO(frame)) for frame in frames]
    assert {(picture.format, picture.size) for picture in pictures} == {("JPEG", (256, 512))}
    assert max(map(len, frames)) < 100_000
    assert len({picture.tobytes() for picture in pictures}) > 1, "nothing moves"
