"""The only module of the pack that opens a connection, and only when the user asks for it.

`download` and `download_from_hub` fetch published weights (`run.py models fetch`).
"""
from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import file_digest, publish
from .runtime import Runtime

if TYPE_CHECKING:
    from urllib.request import OpenerDirector, Request

CHUNK = 1 << 20                                           # bytes per read, and per step of the progress bar
PATIENCE = 60                                             # seconds without an answer
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def download(url: str, target: Path, digest: str, runtime: Runtime) -> None:
    """Fetches a file into `target`, going on where an earlier try stopped.

    What arrives is kept as `target` + ".part" until it is whole and fits `digest` ("md5:..." or "sha256:...").
    Uses the system's proxies. Raises ConnectionError, or ValueError for another address than https or another file.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _disk_errors(part):
        _receive(url, part, runtime)
    _accept(part, target, digest)


def download_from_hub(hub: str, target: Path, digest: str) -> None:
    """The same from the Hugging Face hub: `hub` is "owner/repository/path/of/file"."""
    from huggingface_hub import hf_hub_download

    owner, repository, file = hub.split("/", 2)
    folder = target.with_name(target.name + ".part")      # the hub's client resumes from its cache in there
    with _disk_errors(folder):
        part = hf_hub_download(f"{owner}/{repository}", file, local_dir=folder)
        _accept(Path(part), target, digest)
    shutil.rmtree(folder)


def _receive(url: str, part: Path, runtime: Runtime) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request

    _check_address(url)
    done = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-", "User-Agent": "anyone-nodes"})
    try:
        with _opener().open(request, timeout=PATIENCE) as response:
            _store(response, part, done, runtime)
    except HTTPError as error:
        if error.code != 416 or not done:                 # 416: there is nothing after what we have
            raise ConnectionError(f"{url} answers {error.code} {error.reason}; the link may be dead.") from error
    except HTTPException as error:
        raise _broken(part) from error


def _store(response: Any, part: Path, done: int, runtime: Runtime) -> None:
    resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    done = done if resumed else 0
    size = done + int(response.headers.get("Content-Length") or 0)
    bar = runtime.progress(-(-size // CHUNK), part.stem)
    bar.update(done // CHUNK)
    with open(part, "ab" if resumed else "wb") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            bar.update()
    if part.stat().st_size < size:
        raise _broken(part)


def _broken(part: Path) -> ConnectionError:
    return ConnectionError(f"The connection broke; run the same command again to go on with {part.name}.")


def _accept(part: Path, target: Path, digest: str) -> None:
    algorithm, _, expected = digest.partition(":")
    found = file_digest(part, algorithm)
    if found != expected:
        part.unlink()
        raise ValueError(f"{target.name} arrived with {algorithm} {found} instead of {expected}; it was thrown away.")
    publish(part, target)


@contextlib.contextmanager
def _disk_errors(part: Path) -> Iterator[None]:
    from urllib.error import URLError

    try:
        yield
    except URLError as error:
        raise ConnectionError(f"There is no connection: {error.reason}; check the network and its proxy.") from error
    except TimeoutError as error:
        raise _broken(part) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}; free some and run the same command again") from error


def _check_address(url: str) -> None:
    from urllib.parse import urlsplit

    address = urlsplit(url)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        raise ValueError(f"{url} is no https address; nothing is fetched over an open line.")


def _opener() -> OpenerDirector:
    """urllib's own, with its proxies; redirects are held to https as well."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class SafeRedirects(HTTPRedirectHandler):
        def redirect_request(self, request: Request, fp: Any, code: int, msg: str, headers: Any,
                             newurl: str) -> Request | None:
            _check_address(newurl)
            return super().redirect_request(request, fp, code, msg, headers, newurl)

    return build_opener(SafeRedirects)
