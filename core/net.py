"""The only module of the pack that opens a connection, and only when the user asks for it.

`download` and `download_from_hub` fetch published weights (`run.py models fetch`, a loader's `download`);
`exchange` and `WebSocket` talk to a ComfyUI server (`run.py run --server`).
"""
from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import file_digest, publish
from .runtime import Runtime

if TYPE_CHECKING:
    from socket import socket
    from urllib.request import OpenerDirector, Request

CHUNK = 1 << 20                                           # bytes per read, and per step of the progress bar
PATIENCE = 60                                             # seconds without an answer
_SHA256 = 64                                              # digits; the hub names small files otherwise
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def download(url: str, target: Path, digest: str, runtime: Runtime) -> None:
    """Fetches a file into `target`, going on where an earlier try stopped.

    What arrives is kept as `target` + ".part" until it is whole and has the right `digest` ("md5:..." or
    "sha256:..."). Uses the system's proxies. Raises ConnectionError, or ValueError for an address that is not
    https and for a file that is not the expected one.
    """
    with _plain_errors():
        _accept(_receive(url, target, runtime), target, digest)


def download_from_hub(hub: str, target: Path, digest: str, runtime: Runtime) -> None:
    """The same from the Hugging Face hub: `hub` is "owner/repository/path/of/file".

    Without a `digest`, that the hub has of its large files; small ones are taken as they come. The hub's own
    client only tells where: it could be neither watched nor interrupted.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    owner, repository, file = hub.split("/", 2)
    url = hf_hub_url(f"{owner}/{repository}", file)
    with _plain_errors():
        part = _receive(url, target, runtime)
        own = "" if digest else get_hf_file_metadata(url).etag or ""
        _accept(part, target, digest or (f"sha256:{own}" if len(own) == _SHA256 else ""))


def _receive(url: str, target: Path, runtime: Runtime) -> Path:
    """The whole of a file, as `target` + ".part"."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request

    _check_address(url)
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-", "User-Agent": "anyone-nodes"})
    try:
        with _opener().open(request, timeout=PATIENCE) as response:
            _store(response, part, done, runtime)
    except HTTPError as error:
        if error.code != 416 or not done:                 # 416: there is nothing after what we have
            raise ConnectionError(f"{url} answers {error.code} {error.reason}; it may be dead.") from error
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise _broken(part) from error
    return part


def _store(response: Any, part: Path, done: int, runtime: Runtime) -> None:
    content_range = response.headers.get("Content-Range", "")
    resumed = response.status == 206 and content_range.startswith(f"bytes {done}-")
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
    return ConnectionError(f"The connection broke; try again to go on with {part.name}.")


def _accept(part: Path, target: Path, digest: str) -> None:
    algorithm, _, expected = digest.partition(":")
    found = file_digest(part, algorithm) if digest else ""
    if found != expected:
        part.unlink()
        raise ValueError(f"{target.name} came with {algorithm} {found} instead of {expected}; removed.")
    publish(part, target)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    from urllib.error import URLError

    try:
        yield
    except URLError as error:
        raise ConnectionError(f"No connection: {error.reason}; check the network and its proxy.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}; free some and run this again") from error


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


# A ComfyUI server (`run.py run --server`): plain requests, and a listening websocket.

def exchange(url: str, body: bytes | None = None, content_type: str = "application/json",
             query: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """One HTTP exchange with a server the user named -> (status, body), whatever the status. POST if `body`.

    Proxies are left out: such servers are on this machine or beside it. ConnectionError when nobody answers.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlencode
    from urllib.request import ProxyHandler, Request, build_opener

    url = f"{url}?{urlencode(query)}" if query else url
    headers = {"Content-Type": content_type} if body is not None else {}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, body, headers), timeout=PATIENCE) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"No answer from {url}: {reason}; is the server running?") from error


def multipart(fields: Mapping[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    """A form with text fields and one file in the field `image` -> (body, content type)."""
    boundary = os.urandom(16).hex()
    quoted = name.replace("\\", "%5C").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
             for key, value in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
                 "Content-Type: application/octet-stream\r\n\r\n")
    body = "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class WebSocket:
    """The listening end of a websocket (RFC 6455): text and binary messages in, pongs out."""

    def __init__(self, url: str) -> None:
        """`url`: http or https address of the socket. ConnectionError when the server does not take part."""
        from urllib.parse import urlsplit

        address = urlsplit(url)
        self._buffer = bytearray()
        self._message = bytearray()                       # fragments of an unfinished message
        self._text = False                                # whether they are text
        try:
            self._socket = _connect(address.scheme, address.hostname or "", address.port)
            self._shake_hands(address.netloc, f"{address.path}?{address.query}")
        except OSError as error:
            raise ConnectionError(f"No websocket at {url}: {error}") from error

    def receive(self, seconds: float) -> str | bytes | None:
        """The next message; None when none came in time. ConnectionError when the server hung up."""
        self._socket.settimeout(seconds)
        try:
            while True:
                final, opcode, payload = self._frame()
                if opcode == 8:
                    raise ConnectionError("The server closed the websocket.")
                if opcode == 9:
                    self._send(10, payload)
                elif opcode in (0, 1, 2):
                    self._text = opcode == 1 if opcode else self._text
                    self._message += payload
                    if final:
                        data, self._message = bytes(self._message), bytearray()
                        return data.decode() if self._text else data
        except TimeoutError:
            return None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._send(8, b"")
        self._socket.close()

    def _shake_hands(self, host: str, path: str) -> None:
        import base64
        import hashlib

        key = base64.b64encode(os.urandom(16)).decode()
        lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "")
        self._socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._fill(len(self._buffer) + 1)
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        proof = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False)
        if b" 101 " not in head.split(b"\r\n")[0] or base64.b64encode(proof.digest()) not in head:
            raise ConnectionError("the server refused the handshake")

    def _frame(self) -> tuple[bool, int, bytes]:
        """One frame (final, opcode, payload). Nothing is taken from the buffer before the frame is whole."""
        self._fill(2)
        start, length = 2, self._buffer[1] & 127
        if length > 125:
            start = 4 if length == 126 else 10
            self._fill(start)
            length = int.from_bytes(self._buffer[2:start], "big")
        self._fill(start + length)
        first, payload = self._buffer[0], bytes(self._buffer[start:start + length])
        del self._buffer[:start + length]
        return bool(first & 128), first & 15, payload

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise ConnectionError("the server hung up")
            self._buffer += chunk

    def _send(self, opcode: int, payload: bytes) -> None:
        """A short control frame, masked as clients must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(bytes([128 | opcode, 128 | len(payload)]) + mask + masked)


def _connect(scheme: str, host: str, port: int | None) -> socket:
    import socket
    import ssl

    plain = socket.create_connection((host, port or (443 if scheme == "https" else 80)), PATIENCE)
    if scheme != "https":
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
