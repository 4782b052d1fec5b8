"""Downloads from a server of our own: resumed, verified, whole or not there."""
from __future__ import annotations

import hashlib
import socket
import threading
import types
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from anyone.core import net
from anyone.core.checkpoints import fetch
from anyone.core.checkpoints.catalog import CATALOG, Published, entry
from anyone.core.checkpoints.find import available, published_file, resolve
from anyone.core.runtime import Interrupted, Progress, Runtime

DATA = bytes(range(256)) * 12_000                         # about 3 MiB


class Handler(BaseHTTPRequestHandler):
    """Files with ranges, `/plain` without, `/short` stops half way, `/away` leads to another host."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers["Range"]))
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if self.path == "/away":
            return self.answer(302, b"", Location="http://example.invalid/file")
        if self.path == "/gone":
            return self.answer(404, b"")
        if self.path == "/plain":
            return self.answer(200, DATA)
        if self.path.endswith(".json"):
            return self.answer(200, b"{}")
        if start >= len(DATA):
            return self.answer(416, b"")
        body = DATA[start:len(DATA) // 2] if self.path == "/short" else DATA[start:]
        place = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        return self.answer(206, body, len(DATA) - start, **{"Content-Range": place})

    def answer(self, code, body, length=None, **headers):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen, server.url = [], f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def row(url, digest=""):
    return Published("toy", "Toy", "toy", "inpainter", ("toy.ckpt",), "MIT", "yes", "alive", url=url,
                     digest=digest or f"sha256:{hashlib.sha256(DATA).hexdigest()}")


def files(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("digest", ["", f"md5:{hashlib.md5(DATA).hexdigest()}"], ids=["sha256", "md5"])
def test_fetch_once(tmp_path, server, digest):
    runtime = Runtime(root=tmp_path)
    path = fetch(row(server.url + "/file", digest), runtime)
    assert path == tmp_path / "models" / "anyone" / "toy.ckpt" and path.read_bytes() == DATA
    assert fetch(row(server.url + "/file", digest), runtime) == path
    assert server.seen == [("/file", "bytes=0-")] and files(tmp_path) == ["toy.ckpt"]


def test_fetch_goes_on_after_a_broken_connection(tmp_path, server):
    runtime = Runtime(root=tmp_path)
    with pytest.raises(ConnectionError, match="try again to go on with toy.ckpt.part"):
        fetch(row(server.url + "/short"), runtime)
    half = len(DATA) // 2
    assert files(tmp_path) == ["toy.ckpt.part"]
    assert fetch(row(server.url + "/file"), runtime).read_bytes() == DATA
    assert server.seen[1] == ("/file", f"bytes={half}-") and files(tmp_path) == ["toy.ckpt"]


def test_fetch_with_everything_there_already(tmp_path, server):
    part = tmp_path / "models" / "anyone" / "toy.ckpt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA)
    assert fetch(row(server.url + "/file"), Runtime(root=tmp_path)).read_bytes() == DATA


def test_a_server_without_ranges_starts_afresh(tmp_path, server):
    part = tmp_path / "models" / "anyone" / "toy.ckpt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old bytes")
    assert fetch(row(server.url + "/plain"), Runtime(root=tmp_path)).read_bytes() == DATA


def test_another_file_is_thrown_away(tmp_path, server):
    with pytest.raises(ValueError, match="toy.ckpt came with md5 .* instead of 0000; removed"):
        fetch(row(server.url + "/file", "md5:0000"), Runtime(root=tmp_path))
    assert files(tmp_path) == []


def test_an_interrupt_leaves_only_the_part(tmp_path, server):
    class Stops(Progress):
        def show(self, preview):
            if self.done == 2:
                raise Interrupted

    with pytest.raises(Interrupted):
        fetch(row(server.url + "/file"), Runtime(root=tmp_path, progress_class=Stops))
    assert files(tmp_path) == ["toy.ckpt.part"]


def test_a_full_disk(tmp_path):
    """Linux has a device that is always full."""
    full = tmp_path / "toy.ckpt.part"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device; free some and run this"), net._plain_errors():
        full.write_bytes(b"x" * 9999)


@pytest.mark.parametrize("path, error, words", [
    ("/gone", ConnectionError, "answers 404"),
    ("/away", ValueError, "http://example.invalid/file is no https address")])
def test_bad_answers(tmp_path, server, path, error, words):
    with pytest.raises(error, match=words):
        fetch(row(server.url + path), Runtime(root=tmp_path))
    assert files(tmp_path) == []


@pytest.mark.parametrize("url", ["http://example.org/x", "file:///etc/hostname", "ftp://example.org/x"])
def test_only_https(tmp_path, url):
    with pytest.raises(ValueError, match="no https address"):
        fetch(row(url), Runtime(root=tmp_path))


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as bound:                        # a port where nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/file"
        with pytest.raises(ConnectionError, match="No connection: .*; check the network"):
            fetch(row(url), Runtime(root=tmp_path))


@pytest.fixture
def hub(server, monkeypatch):
    """Our server as a hub of two files, the large one with a digest; `server.digest` may be changed."""
    import huggingface_hub

    def metadata(url):
        small = url.endswith(".json")                                # as git names it
        return types.SimpleNamespace(etag="0" * 40 if small else server.digest)

    server.digest = hashlib.sha256(DATA).hexdigest()
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda name, file: f"{server.url}/{name}/{file}")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    return server


FOLDER = Published("toy", "Toy", "toy", "inpainter", ("detection/toy/model.safetensors",), "MIT", "yes",
                   "alive", hub="owner/name/model.safetensors", beside=("config.json",))


def test_fetch_a_model_folder_once(tmp_path, hub):
    path = fetch(FOLDER, Runtime(root=tmp_path))
    assert path == tmp_path / "models" / "anyone" / "detection" / "toy" / "model.safetensors"
    assert path.read_bytes() == DATA and files(tmp_path) == ["config.json", "model.safetensors"]
    assert fetch(FOLDER, Runtime(root=tmp_path)) == path
    assert [path for path, _ in hub.seen] == ["/owner/name/config.json", "/owner/name/model.safetensors"]


def test_a_fetch_from_the_hub_can_be_watched_and_interrupted(tmp_path, hub):
    class Stops(Progress):
        def show(self, preview):
            if self.label.startswith("model") and self.done == 2:
                raise Interrupted

    with pytest.raises(Interrupted):
        fetch(FOLDER, Runtime(root=tmp_path, progress_class=Stops))
    assert files(tmp_path) == ["config.json", "model.safetensors.part"]
    assert fetch(FOLDER, Runtime(root=tmp_path)).read_bytes() == DATA
    assert hub.seen[-1] == ("/owner/name/model.safetensors", f"bytes={2 << 20}-")
    assert files(tmp_path) == ["config.json", "model.safetensors"]


def test_the_hubs_own_digest_counts(tmp_path, hub):
    hub.digest = "f" * 64
    with pytest.raises(ValueError, match="model.safetensors came with sha256 .* instead of ffff.*; removed"):
        fetch(FOLDER, Runtime(root=tmp_path))
    assert not list(tmp_path.rglob("model.safetensors"))


def test_a_digest_of_our_own_comes_first(tmp_path, hub):
    hub.digest = "f" * 64
    ours = replace(FOLDER, digest=f"md5:{hashlib.md5(DATA).hexdigest()}")
    assert fetch(ours, Runtime(root=tmp_path)).read_bytes() == DATA


def test_dead_rows_say_what_to_do(tmp_path):
    with pytest.raises(ValueError) as caught:
        fetch(entry("triagan-body"), Runtime(root=tmp_path))
    assert str(caught.value).endswith(
        "its link is dead; if you have the file (md5 b649410e831b45f7800a89c738b411ce), "
        f"put it into {tmp_path}/models/anyone as triagan-body.ckpt.")


def test_manual_rows_say_where_to_look(tmp_path):
    row = entry("sean-celebahq")
    words = (r"fetch CelebA-HQ_pretrained/latest_net_G.pth from https://drive.google.com/\S+ in a browser "
             r"and put it into .*/models/anyone as sean-celebahq.pth .*CC BY-NC")
    with pytest.raises(ValueError, match=words):
        fetch(row, Runtime(root=tmp_path))
    file = tmp_path / "models" / "anyone" / "CelebA-HQ_pretrained" / "latest_net_G.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert published_file(row, Runtime(root=tmp_path)) == file


def test_generators_are_offered_under_their_own_names(tmp_path):
    """What the dragging programs and NVIDIA call their files is found wherever it lies in the folder."""
    runtime, names = Runtime(root=tmp_path), available("generator", Runtime(root=tmp_path))
    assert {"stylegan-human-512", "stylegan2-ffhq-1024", "stylegan2-lions-512"} <= set(names)
    folder = tmp_path / "models" / "anyone" / "stylegan"
    folder.mkdir(parents=True)
    for name, file in (("stylegan-human-512", "stylegan_human_v2_512.pkl"),
                       ("stylegan2-lions-512", "lions_512_pytorch.pkl"),
                       ("stylegan2-afhqcat-512", "stylegan2-afhqcat-512x512.pkl")):
        assert published_file(entry(name), runtime) is None
        (folder / file).touch()
        assert published_file(entry(name), runtime) == folder / file == resolve(name, "generator", runtime)


@pytest.mark.parametrize("name, status, words", [
    ("stylegan2-lions-512", "alive", "run: python run.py models fetch stylegan2-lions-512 "),
    ("stylegan-human-512", "manual", r"fetch stylegan_human_v2_512.pkl from https://drive.google.com/\S+ in"),
    ("stylegan2-ffhq-256", "manual", r"from https://api.ngc.nvidia.com/\S+/stylegan2-ffhq-256x256.pkl in")])
def test_how_to_get_generators(tmp_path, name, status, words):
    assert entry(name).status == status
    with pytest.raises(FileNotFoundError, match=words):
        resolve(name, "generator", Runtime(root=tmp_path))


def test_the_catalog_is_sound():
    names = [name for item in CATALOG for name in {item.name, *item.files}]
    assert len(names) == len(set(names))
    for item in CATALOG:
        algorithm, _, digits = item.digest.partition(":")
        if item.status != "embedded":
            assert bool(item.url) != bool(item.hub), item.name
            assert len(digits) == {"md5": 32, "sha256": 64, "": 0}[algorithm], item.name
            assert algorithm or item.hub or item.status != "alive", item.name      # the hub has its own
        assert item.licence and item.files and item.system and item.role
    with pytest.raises(ValueError, match="no weights named nothing; it has triagan-person, "):
        entry("nothing")
