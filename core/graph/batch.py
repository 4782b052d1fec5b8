"""One workflow, many pictures: the prompt is pointed at each picture of a folder and the files beside it."""
from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .files import list_pictures
from .workflow import Prompt, is_link

SIDECARS = ("_mask", "_pose", "_regions")  # endings of files that belong to the picture of the same name


def loaded_pictures(prompt: Prompt) -> list[str]:
    """The pictures the workflow loads, those beside another one (its mask, say) left out."""
    names = list(dict.fromkeys(
        node["inputs"]["image"] for node in prompt.values()
        if node.get("class_type") == "LoadImage" and isinstance(node["inputs"].get("image"), str)))
    return [name for name in names if not any(_ending(name, other) for other in names)]


def prompts_for(prompt: Prompt, folder: Path, every: bool) -> dict[str, Prompt]:
    """Picture -> prompt to run.

    As it is when the folder holds the picture the workflow loads; pointed at each picture of the folder in
    turn when it does not, or when `every` is set.
    """
    names = loaded_pictures(prompt)
    if not every and all((folder / name).is_file() for name in names):
        return {", ".join(names): prompt}
    return {name: pointed_at(prompt, name) for name in own_pictures(prompt, folder)}


def pointed_at(prompt: Prompt, picture: str) -> Prompt:
    """The prompt with another picture, the files beside that picture, and its name in what is saved."""
    old = _only_picture(prompt)
    changed = copy.deepcopy(prompt)
    for _, inputs, name in _texts(changed):
        ending = _ending(inputs[name], old)
        if inputs[name] == old:
            inputs[name] = picture
        elif ending:
            inputs[name] = str(PurePosixPath(picture).with_suffix("")) + ending
        elif name == "filename_prefix":
            inputs[name] += f"_{PurePosixPath(picture).stem}"
    return changed


def own_pictures(prompt: Prompt, folder: Path) -> list[str]:
    """The pictures of a folder that are not the mask or other companion of another one."""
    old = _only_picture(prompt)
    endings = {ending for _, inputs, name in _texts(prompt) if (ending := _ending(inputs[name], old))}
    companions = {PurePosixPath(ending).stem for ending in endings} | set(SIDECARS)
    names = list_pictures(folder)
    stems = {PurePosixPath(name).stem for name in names}
    found = [name for name in names
             if not any(PurePosixPath(name).stem == stem + ending for stem in stems for ending in companions)]
    if not found:
        raise ValueError(f"There are no pictures in {folder}.")
    return found


def _only_picture(prompt: Prompt) -> str:
    names = loaded_pictures(prompt)
    if len(names) != 1:
        listing = " and ".join(names) or "none"
        raise ValueError("Running over pictures needs a workflow that loads exactly one with LoadImage; "
                         f"this one loads {listing}.")
    return names[0]


def _texts(prompt: Prompt) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(node id, its inputs, input name) of every text in the prompt."""
    for key, node in prompt.items():
        for name, value in list(node["inputs"].items()):
            if isinstance(value, str) and not is_link(value):
                yield key, node["inputs"], name


def _ending(name: str, picture: str) -> str | None:
    """`_mask.png` for `a_mask.png` beside `a.png`; None when the file does not belong to the picture."""
    stem = re.escape(str(PurePosixPath(picture).with_suffix("")))
    match = re.fullmatch(stem + r"([_.-][\w.-]*\.\w+)", name)
    return match[1] if match else None
