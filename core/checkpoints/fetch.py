"""Published weights onto this machine, when the user asks for them and never otherwise."""
from __future__ import annotations

from pathlib import Path

from ..files import file_digest
from ..net import download, download_from_hub
from ..runtime import Runtime
from .catalog import Published
from .find import how_to_get, resolve


def fetch(row: Published, runtime: Runtime) -> Path:
    """Downloads a row of the catalog into the first model folder, unless it is there already.

    Raises ValueError for weights nobody can download, with what to do instead.
    """
    if row.status == "embedded":
        return resolve(row.name, row.role, runtime)
    target = runtime.model_folders()[0] / row.files[0]
    algorithm, _, digest = row.digest.partition(":")
    if target.is_file() and digest in ("", file_digest(target, algorithm or "sha256")):
        return target
    if row.status in ("dead", "manual"):
        raise ValueError(how_to_get(row, runtime))
    if row.hub:
        for name in row.beside:
            download_from_hub(f"{row.hub.rpartition('/')[0]}/{name}", target.with_name(name), "", runtime)
        download_from_hub(row.hub, target, row.digest, runtime)
    else:
        download(row.url, target, row.digest, runtime)
    return target
