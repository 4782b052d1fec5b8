"""Runs every shipped workflow and writes its thumbnail:  python tests/workflows/thumbnails.py

A thumbnail is a strip: what the workflow previews, then what it saves, of each three pictures at most.
"""
from __future__ import annotations

import importlib.util
import io
import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
HEIGHT = 320
MAXIMUM_BYTES = 60_000


def load_pack() -> None:
    spec = importlib.util.spec_from_file_location("anyone", ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    sys.modules["anyone"] = importlib.util.module_from_spec(spec)


def shown_pictures(path: Path, folder: str) -> list[Image.Image]:
    """Runs an API workflow; its pictures, previews first."""
    from anyone.core.graph.cli import FolderRuntime
    from anyone.core.graph.core_nodes import CORE_NODES
    from anyone.core.graph.executor import Executor
    from anyone.nodes import NODES

    places = {kind: Path(folder) / kind for kind in ("output", "temp")}
    executor = Executor([*CORE_NODES, *NODES], FolderRuntime("cpu", input=WORKFLOWS / "input", **places))
    result = executor.run(executor.validate(json.loads(path.read_text(encoding="utf-8"))))
    if result.error:
        raise RuntimeError(result.error["exception_message"])
    files = [file for shown in result.outputs.values() for file in spread(shown.get("images", []))]
    files.sort(key=lambda file: file["type"] == "output")
    return [Image.open(places[file["type"]] / file["subfolder"] / file["filename"]) for file in files]


def spread(files: list[dict], most: int = 3) -> list[dict]:
    """The first and others at even distances."""
    return files[::-(-len(files) // most) or 1]


def strip(pictures: list[Image.Image]) -> Image.Image:
    sized = [picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT)) for picture in pictures]
    out = Image.new("RGB", (sum(picture.width for picture in sized), HEIGHT))
    left = 0
    for picture in sized:
        out.paste(picture, (left, 0))
        left += picture.width
    return out


def jpeg(picture: Image.Image) -> bytes:
    """As good as fits."""
    for quality in range(92, 10, -4):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAXIMUM_BYTES:
            return buffer.getvalue()
    raise ValueError("The picture does not fit into a thumbnail.")


if __name__ == "__main__":
    load_pack()
    for api in sorted((WORKFLOWS / "api").glob("*.json")):
        with tempfile.TemporaryDirectory() as folder:
            (WORKFLOWS / f"{api.stem}.jpg").write_bytes(jpeg(strip(shown_pictures(api, folder))))
            print(f"workflows/{api.stem}.jpg")
