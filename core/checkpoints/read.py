"""Any weight file -> a tree of tensors. Formats are told by their bytes, never by the file's name."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import keras_h5, tf_bundle, torch_file
from .foreign import describe
from .mapped import shown
from .nvidia_pickle import networks
from .pickle_machine import DamagedPickle, Record, UnsafePickle

NVIDIA = "NVIDIA pickle"
_HEAD = 512                                               # bytes that tell a format
_LONGEST_HEADER = 100 << 20                               # of safetensors, by its own rules
_LONGEST_TEXT = 1 << 20                                   # of the texts beside a model
# Texts the hub keeps beside a model's weights -> their key in the metadata.
_BESIDE = {"config.json": "config", "preprocessor_config.json": "preprocessor"}


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds. Tensors are views of the mapped file: copy what is to outlive it.

    `tree`: names -> tensors, nested dicts, numbers, and inert `Record`s for everything else. `metadata`: the
    text pairs of a safetensors header, with the "config" and the "preprocessor" that lie beside a hub model.
    `format`: "safetensors", "torch zip", "torch legacy", "pickle", `NVIDIA`, "Keras" or "TensorFlow". See
    `nvidia_pickle.networks` for the pickles of NVIDIA's StyleGANs.
    """

    tree: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    format: str = ""


def read(path: str | Path) -> Contents:
    """Reads a weight file without running anything in it.

    Raises FileNotFoundError when there is none, and ValueError with one sentence that names the file and says
    what it seems to be when it is damaged, foreign, or would run code.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no weight file {path}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; choose a weight file.")
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise ValueError(f"{path.name} is empty (0 bytes); download or copy it again.")
    try:
        return _read_format(path, head)
    except UnsafePickle as error:
        raise ValueError(
            f"{path.name} would run code when opened the usual way (it asks for {error}); it is refused, and "
            "if you trust its maker, open it elsewhere, with the program it was made with, and save the "
            "network's state_dict() as safetensors, which holds no code.") from error
    except ValueError as error:
        raise ValueError(f"{path.name} is no readable weight file: {error}.") from error


def files_of(path: Path) -> list[Path]:
    """The files a weight file consists of: itself, and the data files of a TensorFlow checkpoint's index."""
    return [path, *(tf_bundle.data_files(path) if tf_bundle.is_bundle(path) else ())]


def _read_format(path: Path, head: bytes) -> Contents:
    for matches, reader in _READERS:
        if matches(path, head):
            return reader(path)
    raise ValueError(f"it seems to be {describe(head)}")


def _is_safetensors(path: Path, head: bytes) -> bool:
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def _is_pickle(path: Path, head: bytes) -> bool:
    """By the protocol byte, or, before protocol 2, by how it begins and ends."""
    if head[:1] == b"\x80":
        return 2 <= int.from_bytes(head[1:2], "little") <= 5
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return head[:1] in (b"(", b"c", b"]", b"}") and file.read(1) == b"."


def _read_safetensors(path: Path) -> Contents:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tree = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return Contents(tree, _texts_beside(path) | (file.metadata() or {}), "safetensors")
    except SafetensorError as error:
        raise ValueError("it seems to be a truncated or damaged safetensors file; copy it again") from error


def _texts_beside(path: Path) -> dict[str, str]:
    found = {key: path.with_name(name) for name, key in _BESIDE.items()}
    return {key: text.read_text(encoding="utf-8", errors="replace") for key, text in found.items()
            if text.is_file() and text.stat().st_size <= _LONGEST_TEXT}


def _pickle_reader(read_tree: Callable[[Path], Any], name: str) -> Callable[[Path], Contents]:
    def reader(path: Path) -> Contents:
        try:
            tree = read_tree(path)
        except DamagedPickle as error:
            raise ValueError(f"it seems to be a truncated or damaged {name} file ({error})") from error
        found = networks(tree, path.stat().st_size)
        if found is not None:
            return Contents(*found, NVIDIA)
        if not isinstance(tree, dict):
            kind = shown(tree.path) if isinstance(tree, Record) else type(tree).__name__
            raise ValueError(f"it holds one {kind} where a dictionary of tensors was expected")
        return Contents({key: value for key, value in tree.items() if isinstance(key, str)}, {}, name)
    return reader


_READERS: tuple[tuple[Callable[[Path, bytes], bool], Callable[[Path], Contents]], ...] = (
    (_is_safetensors, _read_safetensors),
    (lambda path, head: head.startswith(b"PK\x03\x04"), _pickle_reader(torch_file.read_zip, "torch zip")),
    (lambda path, head: torch_file.is_legacy(head), _pickle_reader(torch_file.read_legacy, "torch legacy")),
    (_is_pickle, _pickle_reader(torch_file.read_plain, "pickle")),
    (lambda path, head: head.startswith(keras_h5.MAGIC),
     lambda path: Contents(keras_h5.read_keras(path), format="Keras")),
    (lambda path, head: tf_bundle.is_bundle(path),
     lambda path: Contents(tf_bundle.read_bundle(path), format="TensorFlow")),
)
