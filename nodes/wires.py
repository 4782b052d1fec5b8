"""What travels between nodes, and the conversions every node shares."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.checkpoints import LoadedNet
from ..core.graph.files import resolve_file, save_file
from ..core.image import bchw_to_image
from ..core.people import PersonCrop
from ..core.pose import PoseFrame, read_poses
from ..core.regions import RegionMap
from ..core.sean.codes import StyleCodes
from ..core.stylegan.align import Aligned
from ..core.stylegan.infer import GeneratorNet
from ..core.stylegan.latents import Latent
from ..core.stylegan.tuned import TunedNet
from . import host
from .host import io

INPAINTER = io.Custom("ANYONE_INPAINTER")
DETECTOR = io.Custom("ANYONE_DETECTOR")
STYLER = io.Custom("ANYONE_STYLER")
TRANSFER = io.Custom("ANYONE_TRANSFER")
GENERATOR = io.Custom("ANYONE_GENERATOR")
LATENT = io.Custom("ANYONE_LATENT")
REGIONS = io.Custom("ANYONE_REGIONS")
STYLES = io.Custom("ANYONE_STYLES")
CROP = io.Custom("ANYONE_CROP")
POSE = io.Custom("POSE_KEYPOINT")
BOUNDING_BOX = io.Custom("BOUNDING_BOX")                   # core's, dictionaries with x, y, width, height
BOXES = io.Custom("BBOX,BOUNDING_BOX")                     # either kind of box, for inputs
SEGS = io.Custom("SEGS")


@dataclass(frozen=True, eq=False, repr=False)
class CropBatch:
    """`ANYONE_CROP`: where each crop of a batch came from."""

    crops: tuple[PersonCrop | Aligned, ...]
    height: int                                            # of the pictures they were cut from
    width: int

    def __repr__(self) -> str:
        return f"<{len(self.crops)} crops from {self.width}x{self.height}>"


def send(values: Tensor) -> Tensor:
    """IMAGE or MASK on the host's device and in its type."""
    runtime = host.runtime()
    return values.to(runtime.output_device, runtime.output_dtype)


def send_picture(picture: Tensor) -> Tensor:
    """[B,3,H,W] -> IMAGE [B,H,W,3]."""
    return send(bchw_to_image(picture))


def read_frames(pose: Any, name: str = "pose") -> list[PoseFrame]:
    """POSE_KEYPOINT of any producer -> at least one frame. `name`: the input it came by."""
    try:
        frames = read_poses(pose)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not frames:
        raise ValueError(f"{name} is an empty list; it needs one frame per picture, "
                         "if only one without people.")
    return frames


def people_note(frames: list[PoseFrame]) -> str:
    """How many people there are, where nobody is, and why nobody could be read there."""
    total = sum(len(frame.people) for frame in frames)
    empty = [number for number, frame in enumerate(frames, 1) if not frame.people]
    words = [f"{total} {'person' if total == 1 else 'people'} in {len(frames)} "
             f"{'frame' if len(frames) == 1 else 'frames'}."]
    if empty:
        words.append(f"Nobody in frame {spans(empty)}.")
    return " ".join([*words, *sorted({frame.note for frame in frames if frame.note})])


def spans(numbers: list[int]) -> str:
    """[1, 2, 3, 7] -> "1-3, 7"."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda i: i[1] - i[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def cycled(items: list, count: int) -> list:
    """A list repeated cyclically (or cut) to `count` items, as batches are."""
    return [items[index % len(items)] for index in range(count)]


def find_path(name: str, what: str) -> Path:
    """A file or a folder that a workflow names, such as "name [output]". `what` it holds, for the error."""
    if not name.strip():
        raise ValueError(f"path is empty; give the name of a {what} file, or of a folder of them.")
    path = resolve_file(name.strip(), host.runtime())
    if path.exists():
        return path
    raise FileNotFoundError(f"path: there is no {name.strip()} in the folder {path.parent}.")


def save_output(write: Callable[[Path], Any], prefix: str) -> tuple[str, dict[str, str]]:
    """Saves a safetensors file in the output folder: its name, as `find_path` takes it, and its file dict."""
    file = save_file(write, prefix.strip(), ".safetensors", host.runtime(), "output")
    return "/".join(filter(None, [file["subfolder"], file["filename"]])) + " [output]", file


def file_stamp(path: Path) -> str:
    """Changes when the file does; what `fingerprint_inputs` of nodes that read files return."""
    stat = path.stat()
    return f"{path} {stat.st_mtime_ns} {stat.st_size}"


def expect_net(net: Any, role: str, loader: str) -> LoadedNet:
    """API users can put anything on a wire."""
    if isinstance(net, LoadedNet) and net.system.role == role:
        return net
    raise ValueError(f"{role} should come from {loader}; got {str(net)[:60]}.")


def expect_generator(generator: Any) -> GeneratorNet:
    """A generator as it was loaded, or tuned."""
    return generator if isinstance(generator, TunedNet) else expect_net(generator, "generator",
                                                                        "Load Generator")


def expect_latent(latent: Any, name: str = "latent") -> Latent:
    if isinstance(latent, Latent):
        return latent
    raise ValueError(f"{name} should come from a node that makes people's latents, such as Sample Latent; "
                     f"got {str(latent)[:60]}.")


def expect_regions(regions: Any) -> RegionMap:
    if isinstance(regions, RegionMap):
        return regions
    raise ValueError(f"regions should come from a node that makes regions, such as Parse Regions; "
                     f"got {str(regions)[:60]}.")


def expect_styles(styles: Any, name: str = "styles") -> StyleCodes:
    if isinstance(styles, StyleCodes):
        return styles
    raise ValueError(f"{name} should come from a node that makes styles, such as Encode Styles; "
                     f"got {str(styles)[:60]}.")


def read_names(text: str, known: Sequence[str]) -> list[str]:
    """Names of regions with commas between, in any case, spelled as in `known` where they are there."""
    spelled = {name.lower(): name for name in known}
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    return [spelled.get(name.lower(), name) for name in wanted]


def expect_option(value: str, options: tuple[str, ...], name: str) -> None:
    """Hosts before 0.8 let any text through."""
    if value not in options:
        raise ValueError(f"{name} should be one of {', '.join(options)}; got {value!r}.")
