"""What a file that is not a weight file seems to be, for the error message."""
from __future__ import annotations

_MAGIC = (
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull` or download the real file"),
    (b"GGUF", "a GGUF file of a language or diffusion model"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\x93NUMPY", "a NumPy array"),
)


def describe(head: bytes) -> str:
    """`head`: the first few hundred bytes. Ends a sentence that begins "it seems to be"."""
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if not any(head):
        return "an unfinished download (it is filled with zeros)"
    return _describe_text(head) if _is_text(head) else "data of an unknown format"


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _describe_text(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page; the download link probably failed"
    if start.startswith(b"<"):
        return "an XML text; the download link probably failed"
    if start.startswith((b"{", b"[")):
        return "a JSON text; the download link probably failed"
    return "a text file"
