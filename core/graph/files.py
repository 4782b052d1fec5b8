"""Files that workflows name: read and written only inside the input, output and temp folders."""
from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..files import atomic_write
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


def open_picture(path: Path) -> Image.Image:
    """Opens a picture; errors say which file and what is wrong with it."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        picture = Image.open(path)
        picture.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"{path.name} cannot be read as a picture: it is another kind of file.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} cannot be read as a picture: {error}") from error
    return picture


def save_pictures(images: Tensor, prefix: str, runtime: Runtime, kind: str,
                  metadata: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """Writes `[B,H,W,C]` 0..1 as `<prefix>_00001_.png`, counting on from what is there; returns file dicts.

    `prefix` may name a subfolder and hold `%width% %height% %year% %month% %day% %hour% %minute% %second%
    %batch_num%`. `metadata`: stored as JSON in the PNG's text fields.
    """
    target = _target(prefix, images.shape[2], images.shape[1], runtime, kind)
    counter = _next_counter(target)
    saved = []
    for index, image in enumerate(images):
        name = f"{target.name.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
        with atomic_write(target.parent / name) as path:
            _write_png(image, path, metadata or {})
        saved.append(file_dict(target.parent / name, runtime, kind))
    return saved


def save_text(text: str, prefix: str, suffix: str, runtime: Runtime, kind: str) -> dict[str, str]:
    """Writes `<prefix>_00001_<suffix>`, counting on like `save_pictures`; returns its file dict."""
    return save_file(lambda path: path.write_text(text, encoding="utf-8"), prefix, suffix, runtime, kind)


def save_file(write: Callable[[Path], Any], prefix: str, suffix: str, runtime: Runtime,
              kind: str) -> dict[str, str]:
    """The same for any file: `write` makes it under the path it is given."""
    target = _target(prefix, 0, 0, runtime, kind)
    path = target.with_name(f"{target.name}_{_next_counter(target):05}_{suffix}")
    with atomic_write(path) as partial:
        write(partial)
    return file_dict(path, runtime, kind)


def save_folder(fill: Callable[[Path], Any], prefix: str, runtime: Runtime, kind: str) -> Path:
    """Makes a folder `<prefix>_00001`, counting on like `save_pictures`, and returns its path.

    `fill` writes into the folder it is given, which gets its name only when that ends well.
    """
    target = _target(prefix, 0, 0, runtime, kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        partial = Path(temporary, "folder")                # unlike the temporary one, readable by everybody
        partial.mkdir()
        fill(partial)
        folder = target.with_name(f"{target.name}_{_next_counter(target):05}")
        partial.rename(folder)
    return folder


def file_dict(path: Path, runtime: Runtime, kind: str) -> dict[str, str]:
    """How the host names a file to its clients."""
    subfolder = path.parent.relative_to(Path(runtime.folder(kind)).resolve()).as_posix()
    return {"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": kind}


def _target(prefix: str, width: int, height: int, runtime: Runtime, kind: str) -> Path:
    """The path a counter is added to."""
    folder = Path(runtime.folder(kind)).resolve()
    target = inside(folder, _expand(prefix, width, height))
    if target == folder:
        raise ValueError(f"filename_prefix '{prefix}' holds no file name; give one such as 'result'.")
    return target


def _expand(prefix: str, width: int, height: int) -> str:
    now = time.localtime()
    values = {"width": width, "height": height, "year": now.tm_year, "month": f"{now.tm_mon:02}",
              "day": f"{now.tm_mday:02}", "hour": f"{now.tm_hour:02}", "minute": f"{now.tm_min:02}",
              "second": f"{now.tm_sec:02}"}
    return re.sub(r"%(\w+)%", lambda match: str(values.get(match[1], match[0])), prefix)


def _next_counter(target: Path) -> int:
    taken = re.compile(re.escape(target.name).replace("%batch_num%", r"\d+") + r"_(\d+)(_?\..*)?")
    names = os.listdir(target.parent) if target.parent.is_dir() else []
    return 1 + max((int(match[1]) for name in names if (match := taken.fullmatch(name))), default=0)


def _write_png(image: Tensor, path: Path, metadata: Mapping[str, Any]) -> None:
    """`[H,W,C]` 0..1 -> an 8-bit PNG, rounding down as the host does."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for key, value in metadata.items():
        texts.add_text(key, json.dumps(value))
    pixels = (image.float() * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()  # [H,W,C]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.save(path, format="PNG", pnginfo=texts, compress_level=4)
