"""Files that workflows name: read and written only inside the input, output and temp folders."""
from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..runtime import Runtime

if TYPE_CHECKING:
    from PIL import Image

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def inside(folder: str | Path, name: str) -> Path:
    """The path of `name` in `folder`; ValueError when it would leave the folder, links resolved."""
    root = Path(folder).resolve()
    path = (root / name.replace("\\", "/")).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"'{name}' lies outside the folder {root}; only files inside it may be used.")
    return path


def resolve_file(name: str, runtime: Runtime) -> Path:
    """A file as workflows name it (`a.png`, `sub/a.png`, `a.png [output]`) -> its path; it may be missing."""
    match = re.fullmatch(r"(.*?) ?\[(input|output|temp)\]", name)
    plain, kind = match.groups() if match else (name, "input")
    return inside(runtime.folder(kind), plain)


def list_pictures(folder: Path) -> list[str]:
    """Names of the pictures directly in a folder, sorted; none when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir()
                  if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def write_atomically(path: Path, data: bytes) -> None:
    """Writes beside the target and renames, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def open_picture(path: Path) -> Image.Image:
    """Opens a picture; errors say which file and what is wrong with it."""
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} cannot be read as a picture: {error}") from error
    return picture


def save_pictures(images: Tensor, prefix: str, runtime: Runtime, kind: str,
                  metadata: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """Writes `[B,H,W,C]` 0..1 as `<prefix>_00001_.png`, counting on from what is there; returns file dicts.

    `prefix` may name a subfolder and hold `%width% %height% %year% %month% %day% %hour% %minute% %second%
    %batch_num%`. `metadata`: stored as JSON in the PNG's text fields.
    """
    filled = _expand(prefix, images.shape[2], images.shape[1])
    target = inside(runtime.folder(kind), filled)
    counter = _next_counter(target)
    subfolder = target.parent.relative_to(Path(runtime.folder(kind)).resolve()).as_posix()
    saved = []
    for index, image in enumerate(images):
        name = f"{target.name.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
        write_atomically(target.parent / name, _png(image, metadata or {}))
        saved.append({"filename": name, "subfolder": "" if subfolder == "." else subfolder, "type": kind})
    return saved


def _expand(prefix: str, width: int, height: int) -> str:
    now = time.localtime()
    values = {"width": width, "height": height, "year": now.tm_year, "month": f"{now.tm_mon:02}",
              "day": f"{now.tm_mday:02}", "hour": f"{now.tm_hour:02}", "minute": f"{now.tm_min:02}",
              "second": f"{now.tm_sec:02}"}
    return re.sub(r"%(\w+)%", lambda match: str(values.get(match[1], match[0])), prefix)


def _next_counter(target: Path) -> int:
    taken = re.compile(re.escape(target.name) + r"_(\d+)_?\..*")
    names = os.listdir(target.parent) if target.parent.is_dir() else []
    return 1 + max((int(match[1]) for name in names if (match := taken.fullmatch(name))), default=0)


def _png(image: Tensor, metadata: Mapping[str, Any]) -> bytes:
    """`[H,W,C]` 0..1 -> the bytes of an 8-bit PNG, rounding down as the host does."""
    import io
    import json

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for key, value in metadata.items():
        texts.add_text(key, json.dumps(value))
    pixels = (image.float() * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()  # [H,W,C]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=texts, compress_level=4)
    return buffer.getvalue()
