"""The published weights the pack can load: where they are, how to know them, what they may be used for."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Published:
    """One published weight file.

    `files`: names it is known under; the first is the one `models fetch` writes. `url` or `hub`
    ("owner/repository/path") say where it is, `digest` ("md5:..." or "sha256:...") that it is the right one
    ("" leaves that to the hub, or none was published); `size` in bytes, 0 = unknown. `beside`: texts fetched
    into the same folder.
    `status`: "embedded" comes with the pack, "manual" is fetched in a browser from `url`, where it has the
    last of its names, "dead" links no longer answer. `parses`: what a parser knows.

    Nodes offer the names of the living: stored workflows hold them, so rows stay, and new ones come last.
    """

    name: str
    title: str
    system: str
    role: str
    files: tuple[str, ...]
    licence: str
    commercial: Literal["yes", "no", "unknown"]
    status: Literal["embedded", "alive", "manual", "dead"]
    url: str = ""
    hub: str = ""
    digest: str = ""
    size: int = 0
    note: str = ""
    beside: tuple[str, ...] = ()
    parses: Literal["", "clothes", "faces"] = ""

    @property
    def megabytes(self) -> str:
        """"126 MB", "" when the size is unknown."""
        return f"{self.size >> 20} MB" if self.size else ""


_TRIAGAN_LINKS = "https://api.loke.aws.unit.no/dlr-gui-backend-resources-content/v2/contents/links/"
_FDH_LICENCE = "as its training data (FDH: CC BY, BY-SA, BY-NC, BY-NC-SA)"
_FDF_LICENCE = "as its training data (FDF: CC BY-NC-SA and others)"


def _triagan(name: str, title: str, link: str, md5: str, licence: str, note: str) -> Published:
    """The original files; they were cached under the last part of their link, without a suffix."""
    return Published(
        name, title, "triagan", "inpainter", (f"{name}.ckpt", link), licence, "no", "dead",
        url=_TRIAGAN_LINKS + link, digest=f"md5:{md5}", note=note)


def _hub(name: str, title: str, system: str, role: str, repository: str, licence: str = "Apache-2.0",
         commercial: Literal["yes", "no"] = "yes", digest: str = "", size: int = 0,
         parses: Literal["", "clothes", "faces"] = "") -> Published:
    """A model folder of the hub, for the transformers package."""
    return Published(
        name, title, system, role, (f"detection/{name}/model.safetensors",), licence, commercial, "alive",
        hub=f"{repository}/model.safetensors", digest=digest, size=size, parses=parses,
        note="The authors' licence; the training pictures have their own terms.",
        beside=("config.json", "preprocessor_config.json"))


_PHOTOGRAPHS: tuple[Published, ...] = (
    *(_hub(f"rf-detr-seg-{size}", f"RF-DETR-Seg {size}: boxes and masks of people, {score} mask AP", "detr",
           "detector", f"Roboflow/rf-detr-seg-{size}")
      for size, score in (("nano", 40.3), ("small", 43.1), ("medium", 45.3), ("large", 47.1))),
    *(_hub(f"rt-detr-{size}", f"RT-DETR {size.upper()}: boxes of people, {score} box AP", "detr", "detector",
           f"PekingU/rtdetr_{size}vd") for size, score in (("r18", 46.5), ("r50", 53.1), ("r101", 54.3))),
    _hub("vitpose-plus-small", "ViTPose+ small: 17 joints", "vitpose", "estimator",
         "usyd-community/vitpose-plus-small", size=132619932,
         digest="sha256:f7bad8ed09eeeb2a7de6b38faaa8a88d07838e23e9c06a2a782099bca7467cb9"),
    *(_hub(f"vitpose-plus-{size}", f"ViTPose+ {size}: 17 joints", "vitpose", "estimator",
           f"usyd-community/vitpose-plus-{size}") for size in ("base", "large", "huge")),
    *(_hub(f"sam2.1-hiera-{size}", f"SAM 2.1 {size}: masks with exact edges", "sam", "refiner",
           f"facebook/sam2.1-hiera-{size}") for size in ("tiny", "small", "base-plus", "large")),
    _hub("segformer-b2-clothes", "SegFormer B2: 18 ATR labels of clothes", "segformer", "parser",
         "mattmdjaga/segformer_b2_clothes", "MIT says the card; NVIDIA's MiT-B2 is non-commercial", "no",
         parses="clothes"),
    _hub("face-parsing", "SegFormer B5: 19 face regions", "segformer", "parser", "jonathandinu/face-parsing",
         "MIT says the card; CelebAMask-HQ and NVIDIA's MiT-B5 are non-commercial", "no", parses="faces"),
    Published(
        "face-bisenet", "BiSeNet: 19 face regions", "bisenet", "parser",
        ("parsing_bisenet.pth", "79999_iter.pth"), "MIT code; CelebAMask-HQ is non-commercial", "no", "alive",
        url="https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth",
        digest="sha256:468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567", size=53289463,
        parses="faces"),
    Published(
        "openpose-body", "OpenPose body, COCO's 18 joints (CVPR 2017)", "openpose", "detector",
        ("body_pose_model.pth",), "CMU OpenPose, non-commercial", "no", "alive",
        hub="lllyasviel/Annotators/body_pose_model.pth", size=209267595,
        digest="sha256:25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746",
        note="What the data of the published pose-transfer systems was made with."),
)


_POSE_GAN = "https://yadi.sk/d/dxVvYxBw3QuUT9"
_PG2 = "http://homes.esat.kuleuven.be/~liqianma/NIPS17_PG2/models/"


def _deformable(name: str, title: str, file: str, note: str) -> Published:
    """`file`: what it is called in the authors' folders."""
    return Published(
        name, title, "deformable", "transfer", (f"{name}.h5", file),
        "none was given; the training pictures are for research", "no", "manual", url=_POSE_GAN,
        note=f"{note} No digests were published.")


def _pg2(name: str, title: str, archive: str, megabytes: str) -> Published:
    return Published(
        name, title, "pg2", "transfer", (f"{name}/model.ckpt-0.index",),
        "MIT code; the training pictures are for research", "no", "dead", url=_PG2 + archive,
        note=f"The data file belongs beside the index; both stages have {megabytes} MB. No digests were "
             "published.")


_TRANSFERS: tuple[Published, ...] = (
    _deformable("deformable-market", "Deformable GAN, Market-1501, 128x64 (arXiv 1801.00055)",
                "market/generator-warp-mask-nn3-cl12.h5", "The full model; 245 MB."),
    _deformable("deformable-fashion", "Deformable GAN, DeepFashion, 256x256 (arXiv 1801.00055)",
                "generator-warp-mask-nn5-cl12.h5", "The full model; 328 MB."),
    _deformable("deformable-prw", "Deformable GAN, PRW, draws on a background",
                "prw/generator-warp-mask-nn3-cl12.h5", "Has the same name as the model of Market-1501."),
    _deformable("deformable-l1", "Deformable GAN trained with L1 instead of nearest neighbours",
                "generator-warp-mask.h5", "Called DSC in the paper; one for each data set."),
    _deformable("deformable-baseline", "Deformable GAN's baseline without deformable skips",
                "generator-no-warp.h5", "One for each data set."),
    _pg2("pg2-market", "PG2, Market-1501, 128x64 (arXiv 1705.09368)", "Market1501_model.zip", "307"),
    _pg2("pg2-fashion", "PG2, DeepFashion, 256x256 (arXiv 1705.09368)", "DF_model.zip", "539"),
)


_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_CONFIG_F = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/"
_SELF_DISTILLED = "https://storage.googleapis.com/self-distilled-stylegan/"
_DRIVE = "https://drive.google.com/file/d/"
_NVIDIA = "NVIDIA source code licence, non-commercial"
_SHHQ = "for research; the training pictures come under an agreement"


def _generator(name: str, title: str, link: str, licence: str, sha256: str = "", *, file: str = "",
               note: str = "") -> Published:
    """`file`: where the link does not end in it, which then leads to a page. Without a digest nothing could
    check what a program downloads, so that is left to the user, too."""
    return Published(
        name, title, "stylegan", "generator", (file or link.rpartition("/")[2],), licence,
        "unknown" if licence == "unknown" else "no", "manual" if file or not sha256 else "alive", url=link,
        digest=sha256 and f"sha256:{sha256}", note=note)


_GENERATORS: tuple[Published, ...] = (
    _generator(
        "stylegan-human-512", "StyleGAN-Human v2, people, 512x256 (arXiv 2204.11823)",
        _DRIVE + "1dlFEHbu-WzQWJl7nBBZYcTyo000H9hVm", _SHHQ,
        "7af33f638e3b3aba7bf99456eec3e9d4a022d8a7dd67683a3605a7dd37665a3b",
        file="stylegan_human_v2_512.pkl", note="Draws aligned people as Align Person makes them; 353 MB."),
    _generator(
        "stylegan-human-1024", "StyleGAN-Human v2, people, 1024x512 (arXiv 2204.11823)",
        _DRIVE + "1FlAb1rYa0r_--Zj_ML8e6shmaF28hQb5", _SHHQ, file="stylegan_human_v2_1024.pkl",
        note="Draws aligned people as Align Person makes them; 362 MB."),
    _generator(
        "stylegan2-ffhq-512", "StyleGAN2, faces, 512x512", _NGC + "stylegan2-ffhq-512x512.pkl", _NVIDIA,
        "d2b1c92f41ce8a64c55f7a75ef06c4c0eef9e17b1eb29aae8c10fb37b3e60478"),
    *(_generator(f"stylegan2-{data}-{size}", f"StyleGAN2, {what}, {size}x{size}",
                 f"{_NGC}stylegan2-{data}-{size}x{size}.pkl", _NVIDIA)
      for data, size, what in (
          ("ffhq", 256, "faces"), ("ffhq", 1024, "faces"), ("celebahq", 256, "faces"),
          ("metfaces", 1024, "painted faces"), ("afhqcat", 512, "faces of cats"),
          ("afhqdog", 512, "faces of dogs"), ("afhqwild", 512, "faces of wild animals"),
          ("afhqv2", 512, "faces of animals"), ("lsundog", 256, "dogs"))),
    _generator(
        "stylegan2-cat-256", "StyleGAN2 config F, cats, 256x256", _CONFIG_F + "stylegan2-cat-config-f.pkl",
        _NVIDIA, "08940fd616cfaf6bc7b0286b5d1a0b3f70febb26e136d64716c8d3f5e9bd3883"),
    _generator(
        "stylegan2-car-512", "StyleGAN2 config F, cars, 512x512", _CONFIG_F + "stylegan2-car-config-f.pkl",
        _NVIDIA, note="Pictures are 512x384 between black bars."),
    _generator(
        "stylegan2-lhq-256", "StyleGAN2, landscapes, 256x256", _DRIVE + "16twEf0T9QINAEoMsWefoWiyhcTd-aiWc",
        "unknown", "ae2c33d456ff3f274d472da9849c9bb515b7f0032af0d713d0d2d7f42b7942dc",
        file="stylegan2-lhq-256x256.pkl"),
    *(_generator(f"stylegan2-{what}-{size}", f"Self-Distilled StyleGAN2, {what}, {size}x{size}",
                 f"{_SELF_DISTILLED}{what}_{size}_pytorch.pkl", "unknown", sha256)
      for what, size, sha256 in (
          ("lions", 512, "0a01ff8344521171b1a2eff1e9a51c1acbc48221bdc2594919187f66a3942bcc"),
          ("horses", 256, "f100dc32e2731a293f3b31a9038416f72aa5cc30555b3315a82e19c065f81b0c"),
          ("elephants", 512, ""), ("dogs", 1024, ""))),
)


CATALOG: tuple[Published, ...] = (
    Published(
        "triagan-person", "TriA-GAN person inpainter, trained on procedural people", "triagan", "inpainter",
        ("triagan-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:bebf954efb5f6a43c96757bc9fba7e91850df52596cc29a8a068cc46b67ab479",
        size=3_962_622, note="See weights/triagan-person.md."),
    Published(
        "detect-person", "Person detector, trained on procedural people", "detect", "detector",
        ("detect-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:31cc840a17d9703860aedaf011d59ebef854ff424ddf748e40141d86ac5afdf0",
        size=3_039_682, note="See weights/detect-person.md."),
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
    *_PHOTOGRAPHS,
    Published(
        "sean-person", "SEAN region styler of people, trained on procedural people", "sean", "styler",
        ("sean-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:021a21e690774f6bded6e00038a5f90dfaed627f11917fe2afd07840b02ae834",
        size=4_218_638, note="See weights/sean-person.md."),
    Published(
        "sean-celebahq", "SEAN faces, CelebAMask-HQ, 256x256 (arXiv 1911.12861)", "sean", "styler",
        ("sean-celebahq.pth", "CelebA-HQ_pretrained/latest_net_G.pth"), "CC BY-NC-SA 4.0", "no", "manual",
        url="https://drive.google.com/file/d/1UMgKGdVqlulfgOBV4Z0ajEwPdgt3_EDK",
        note="The archive CelebA-HQ_pretrained.tar.gz holds it; 1.07 GB. No digest was published."),
    Published(
        "deformable-person", "Deformable GAN pose transfer, trained on procedural people", "deformable",
        "transfer",
        ("deformable-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:dc4f6497dcb044be093cd75bf5ae6112e843e2a5e4dbf3962dd77b48f46781c8",
        size=14_060_916, note="See weights/deformable-person.md."),
    Published(
        "pg2-person", "PG2 pose transfer, trained on procedural people", "pg2", "transfer",
        ("pg2-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:cbf7667feec4e5163ed85f5a31b1a93d0f23418b7c844a2470982b17005bf098",
        size=5_912_632, note="See weights/pg2-person.md."),
    *_TRANSFERS,
    Published(
        "stylegan-person", "StyleGAN2 people, trained on procedural people", "stylegan", "generator",
        ("stylegan-person.safetensors",), "Apache-2.0", "yes", "embedded",
        digest="sha256:2c8f649aea29f79ab616e8c0ef8146e82c592f6d830ad03a07fc237fd0b1ef26",
        size=2_936_890, note="See weights/stylegan-person.md."),
    *_GENERATORS,
)


def entry(name: str, catalog: Sequence[Published] = CATALOG) -> Published:
    """The row of that name. ValueError listing the names when there is none."""
    for row in catalog:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in catalog)
    raise ValueError(f"The catalog has no weights named {name}; it has {names}.")


def offered(role: str, parses: str = "") -> list[Published]:
    """The rows of a role that anybody can have; `parses`: only the parsers of "clothes" or of "faces"."""
    return [row for row in CATALOG
            if row.role == role and row.status != "dead" and parses in ("", row.parses)]
