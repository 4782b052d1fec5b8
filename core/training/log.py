"""The run's log: one JSON object per line, and the losses as a picture."""
from __future__ import annotations

import json
from pathlib import Path

from ..files import atomic_write


class Log:
    """Appends to `path`. Lines beyond `step`, newer than the checkpoint a resumed run starts from, are
    dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.lines: list[dict[str, float]] = [line for line in read_log(path) if line["step"] <= step]
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")

    def write(self, line: dict[str, float]) -> None:
        """`line` holds "step", "images", "seconds" and the losses."""
        self.lines.append(line)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[dict[str, float]]:
    """All lines of a log; none when there is no file. A last line cut off by a crash is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]
