"""The published weights the pack can load: where they are, how to know them, what they may be used for."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Published:
    """One published weight file.

    `files`: names it is known under; the first is the one `models fetch` writes. `url` or `hub`
    ("owner/repository/path") say where it is, `digest` ("md5:..." or "sha256:...") that it is the right one;
    `size` in bytes, 0 = unknown. `status`: "embedded" comes with the pack, "dead" links no longer answer.
    """

    name: str
    title: str
    system: str
    role: str
    files: tuple[str, ...]
    licence: str
    commercial: Literal["yes", "no", "unknown"]
    status: Literal["embedded", "alive", "dead"]
    url: str = ""
    hub: str = ""
    digest: str = ""
    size: int = 0
    note: str = ""


_TRIAGAN_LINKS = "https://api.loke.aws.unit.no/dlr-gui-backend-resources-content/v2/contents/links/"
_FDH_LICENCE = "as its training data (FDH: CC BY, BY-SA, BY-NC, BY-NC-SA)"
_FDF_LICENCE = "as its training data (FDF: CC BY-NC-SA and others)"


def _triagan(name: str, title: str, link: str, md5: str, licence: str, note: str) -> Published:
    """The original files; they were cached under the last part of their link, without a suffix."""
    return Published(
        name, title, "triagan", "inpainter", (f"{name}.ckpt", link), licence, "no", "dead",
        url=_TRIAGAN_LINKS + link, digest=f"md5:{md5}", note=note)


CATALOG: tuple[Published, ...] = (
    Published(
        "triagan-person", "TriA-GAN person inpainter, trained on procedural people", "triagan", "inpainter",
        ("triagan-person.safetensors",), "Apache-2.0", "yes", "embedded",
        note="See weights/triagan-person.md."),
    Published(
        "detect-person", "Person detector, trained on procedural people", "detect", "detector",
        ("detect-person.safetensors",), "Apache-2.0", "yes", "embedded",
        note="See weights/detect-person.md."),
    _triagan(
        "triagan-body", "TriA-GAN body, 288x160 (arXiv 2304.03164)",
        "e62a306a-5295-47dd-8a0e-4f7c05b9ecd44c9fbc76-5ce2-4dd0-9454-04776bef2745659fbec7-fa0a-485b-8501-c94a2439b601",
        "b649410e831b45f7800a89c738b411ce", _FDH_LICENCE, "The model of the paper."),
    _triagan(
        "triagan-body-72", "TriA-GAN body, training stage 72x40",
        "57f4101a-e1b7-414d-b616-ce4d71586fc7379379b4-c16e-41ba-aa3f-cd0f5af1ae94ecbce694-137f-4c80-8f7c-0b7ed6ace39f",
        "291b9374a8f004fb9a2cfce59249be58", _FDH_LICENCE, "A stage of the progressive training."),
    _triagan(
        "triagan-face", "TriA-GAN face, 128x128",
        "88e98c73-e890-489d-a3eb-cf6fbf1728f531b0047f-ddf3-4188-8028-2b55c580ac6da54d9760-e395-4f2a-8890-743f3562e1b3",
        "7b94366d9d2e1e9a6491e065491fda87", _FDF_LICENCE, "Paints the rectangle of a face, not a person."),
)


def entry(name: str, catalog: Sequence[Published] = CATALOG) -> Published:
    """The row of that name. ValueError listing the names when there is none."""
    for row in catalog:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in catalog)
    raise ValueError(f"The catalog has no weights named {name}; it has {names}.")
