"""Files that are either whole or not there."""
from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Lends a temporary path beside `path`; write there. It replaces `path` when the block ends well.

    An error (a full disk, an interrupt) removes the temporary file and leaves an existing `path` as it was.
    The folder is made when missing. The temporary name keeps the suffix, which some writers ask for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def publish(temporary: Path, path: Path) -> None:
    """Gives a finished temporary file its final name, its bytes on the disk first, and usual permissions."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    temporary.chmod(path.stat().st_mode if path.exists() else 0o644)
    os.replace(temporary, path)


def file_digest(path: str | Path, algorithm: str) -> str:
    """The file's "md5" or "sha256" in hexadecimal digits."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
