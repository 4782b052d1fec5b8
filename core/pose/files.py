"""Poses in JSON files: one file for all frames, or a folder with a file per frame."""
from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..files import atomic_write
from .openpose_json import read_poses, write_poses
from .pose import PoseFrame


def save_pose_file(frames: Sequence[PoseFrame], path: str | Path) -> None:
    """A list of frames, see `write_poses`. Replaces an existing file as a whole."""
    _write(write_poses(frames), Path(path))


def save_pose_folder(frames: Sequence[PoseFrame], folder: str | Path, name: str = "pose") -> list[Path]:
    """NAME_00000.json, NAME_00001.json … of one frame each, as OpenPose writes them; returns the paths.

    Raises FileExistsError when the folder has files of that name: a longer sequence would shine through.
    """
    folder = Path(folder)
    if any(path.name.startswith(f"{name}_") for path in folder.glob("*.json")):
        raise FileExistsError(f"{folder} already holds {name}_….json; choose another folder or name.")
    paths = [folder / f"{name}_{number:05}.json" for number in range(len(frames))]
    for path, frame in zip(paths, write_poses(frames), strict=True):
        _write(frame, path)
    return paths


def load_poses(path: str | Path, *, canvas: tuple[int, int] | None = None,
               padded_to_64: bool = True) -> list[PoseFrame]:
    """The frames of a file, or of all .json files of a folder in the order of their names and numbers.

    `canvas`, `padded_to_64`: see `read_poses`. Raises FileNotFoundError, or ValueError naming the file that
    is no pose.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no pose file or folder {path}; check the name.")
    files = sorted(path.glob("*.json"), key=_natural) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"The folder {path} holds no .json files; expected one per frame.")
    frames = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
            frames += read_poses(text, padded_to_64=padded_to_64, canvas=canvas)
        except ValueError as error:                        # also of bytes that are no text
            raise ValueError(f"{file.name} is no pose file: {error}") from None
    return frames


def _natural(path: Path) -> list[int | str]:
    """frame_9 before frame_10: text and numbers take turns."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", path.name))]


def _write(value: object, path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")
