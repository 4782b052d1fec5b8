"""Files are whole or not there."""
from __future__ import annotations

import hashlib

import pytest
from anyone.core.files import atomic_write, file_digest


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "new folder" / "x.json"
    for text in ("one", "two"):
        with atomic_write(path) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".json"
            temporary.write_text(text)
        assert path.read_text() == text
    assert [item.name for item in path.parent.iterdir()] == ["x.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_atomic_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["x.txt"]


def test_file_digest(tmp_path):
    data = b"ab" * 1_500_000
    (tmp_path / "x").write_bytes(data)
    assert file_digest(tmp_path / "x", "md5") == hashlib.md5(data).hexdigest()
    assert file_digest(tmp_path / "x", "sha256") == hashlib.sha256(data).hexdigest()
