"""Anyone/load: networks from the embedded weights or from models/anyone."""
from __future__ import annotations

from collections.abc import Mapping

from ..core.checkpoints import (
    LoadedNet,
    available,
    fetch,
    load_as,
    model_files,
    offered,
    published,
    published_file,
    resolve,
)
from ..core.detectors import ROLES, Detector
from ..core.runtime import Runtime
from ..core.sean.infer import generator_of, net_regions
from ..core.sean.styles import block_names
from ..core.stylegan import infer as stylegan
from ..core.stylegan.latents import GROUPS, layer_rows
from ..core.transfers import frame_size
from . import host
from .host import Schema, io
from .wires import DETECTOR, GENERATOR, INPAINTER, STYLER, TRANSFER, file_stamp, spans

INPAINTER_WEIGHTS = "triagan-person"
DETECTOR_WEIGHTS = "detect-person"
STYLER_WEIGHTS = "sean-person"
TRANSFER_WEIGHTS = "deformable-person"
PG2_WEIGHTS = "pg2-person"
GENERATOR_WEIGHTS = "stylegan-person"
AUTO, NONE = "auto", "none"
NO_JOINTS = "Nothing sees joints: choose one of poses, or tick download to let auto fetch one."


class AnyoneLoadInpainter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadInpainter",
            display_name="Load Person Inpainter",
            category="Anyone/load",
            description="Loads a network that paints a person into a hole.",
            inputs=[
                io.Combo.Input(
                    "name", options=choices("inpainter", INPAINTER_WEIGHTS), default=INPAINTER_WEIGHTS,
                    optional=True, tooltip="The embedded weights first, then the files in models/anyone."),
            ],
            outputs=[INPAINTER.Output(display_name="inpainter", tooltip="For Inpaint Person.")],
            search_aliases=["triagan", "anonymize", "load gan"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=INPAINTER_WEIGHTS):
        return name and file_stamp(resolve(name, "inpainter", host.runtime()))

    @classmethod
    def execute(cls, name=INPAINTER_WEIGHTS):
        return io.NodeOutput(load_as(name, "inpainter", host.runtime()))


class AnyoneLoadDetector(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        files = model_files(host.runtime())
        return Schema(
            node_id="AnyoneLoadDetector",
            display_name="Load Person Detector",
            category="Anyone/load",
            description="Loads what finds people: 18 joints, a mask, regions of body and clothing. For "
                        "photographs take rf-detr-seg-small, and vitpose-plus-small for the poses.",
            inputs=[
                io.Combo.Input(
                    "name", options=names("detector") + files, default=DETECTOR_WEIGHTS, optional=True,
                    tooltip="What finds the people. The embedded weights first, then published ones, then "
                            "the files in models/anyone."),
                io.Combo.Input(
                    "poses", options=[AUTO, NONE, *names("estimator"), *files], default=AUTO, optional=True,
                    tooltip="What sees their joints; auto = a ViTPose that lies here for finders of boxes "
                            "and masks, none for finders that see joints themselves."),
                io.Combo.Input(
                    "masks", options=[NONE, *names("refiner"), *files], default=NONE, optional=True,
                    tooltip="What draws their masks with exact edges; none = the finder's own masks."),
                io.Combo.Input(
                    "clothes", options=[NONE, *names("parser", "clothes"), *files], default=NONE,
                    optional=True, tooltip="What tells the regions of body and clothing; none = the "
                                           "finder's own, if it knows any."),
                io.Combo.Input(
                    "faces", options=[NONE, *names("parser", "faces"), *files], default=NONE, optional=True,
                    tooltip="What tells the regions of faces, for Parse Regions."),
                io.Boolean.Input(
                    "download", default=False, optional=True,
                    tooltip="Fetches the chosen published weights that are not on this machine yet; the note "
                            "tells their licences. Off = nothing is ever fetched."),
            ],
            outputs=[
                DETECTOR.Output(display_name="detector", tooltip="For every node that finds people."),
                io.String.Output(display_name="note", tooltip="What was loaded, with its licences."),
            ],
            search_aliases=["openpose", "pose estimator", "person segmentation", "vitpose", "rf-detr", "sam",
                            "face parsing"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=DETECTOR_WEIGHTS, poses=AUTO, masks=NONE, clothes=NONE, faces=NONE,
                           download=False):
        runtime = host.runtime()
        poses = usual_estimator(download, runtime) if poses == AUTO else poses
        return [stamp(chosen, role, runtime) for chosen, role in zip(
            (name, poses, masks, clothes, faces), ROLES.values(), strict=True) if chosen not in (None, NONE)]

    @classmethod
    def execute(cls, name=DETECTOR_WEIGHTS, poses=AUTO, masks=NONE, clothes=NONE, faces=NONE, download=False):
        runtime = host.runtime()
        finder = obtain(name, "detector", download, runtime)
        if poses == AUTO:
            poses = usual_estimator(download, runtime) if finder.system.name == "detr" else NONE
        chosen = dict(zip(ROLES, (name, poses, masks, clothes, faces), strict=True))
        chosen = {part: choice for part, choice in chosen.items() if choice != NONE}
        detector = Detector(**{part: obtain(choice, ROLES[part], download, runtime)
                               for part, choice in chosen.items()})
        note = loaded_note(chosen)
        if finder.system.name == "detr" and detector.poses is None:
            note += " " + NO_JOINTS
        return io.NodeOutput(detector, note, ui={"text": [note]})


class AnyoneLoadStyler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadStyler",
            display_name="Load Region Styler",
            category="Anyone/load",
            description="Loads a network that draws region maps, every region in a style of its own (SEAN).",
            inputs=[
                io.Combo.Input(
                    "name", options=choices("styler", STYLER_WEIGHTS), default=STYLER_WEIGHTS, optional=True,
                    tooltip="The embedded weights first, then published ones, then the files in "
                            "models/anyone."),
            ],
            outputs=[
                STYLER.Output(display_name="styler", tooltip="For Encode Styles and Render Regions."),
                io.String.Output(display_name="note", tooltip="The regions it knows, its size and blocks."),
            ],
            search_aliases=["sean", "spade", "style transfer", "load gan"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=STYLER_WEIGHTS):
        return name and stamp(name, "styler", host.runtime())

    @classmethod
    def execute(cls, name=STYLER_WEIGHTS):
        net = load_as(name, "styler", host.runtime())
        note = styler_note(net)
        return io.NodeOutput(net, note, ui={"text": [note]})


class AnyoneLoadTransfer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadTransfer",
            display_name="Load Pose Transfer",
            category="Anyone/load",
            description="Loads a network that draws the person of a picture in another pose (Deformable GAN, "
                        "PG2).",
            inputs=[
                io.Combo.Input(
                    "name", options=choices("transfer", TRANSFER_WEIGHTS, PG2_WEIGHTS),
                    default=TRANSFER_WEIGHTS, optional=True,
                    tooltip="The embedded weights first, then published ones, then the files in "
                            "models/anyone."),
            ],
            outputs=[
                TRANSFER.Output(display_name="transfer", tooltip="For Transfer Pose."),
                io.String.Output(display_name="note", tooltip="Its licence, its system and its size."),
            ],
            search_aliases=["deformable gan", "pg2", "pose transfer", "load gan"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=TRANSFER_WEIGHTS):
        return name and stamp(name, "transfer", host.runtime())

    @classmethod
    def execute(cls, name=TRANSFER_WEIGHTS):
        net = load_as(name, "transfer", host.runtime())
        note = transfer_note(net)
        return io.NodeOutput(net, note, ui={"text": [note]})


class AnyoneLoadGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadGenerator",
            display_name="Load Generator",
            category="Anyone/load",
            description="Loads a network that makes up pictures, of people or of whatever it was trained on "
                        "(StyleGAN2).",
            inputs=[
                io.Combo.Input(
                    "name", options=choices("generator", GENERATOR_WEIGHTS), default=GENERATOR_WEIGHTS,
                    optional=True, tooltip="The embedded weights first, then published ones, then the files "
                                           "in models/anyone: any StyleGAN2, also as .pkl or .pt."),
                io.Boolean.Input(
                    "download", default=False, optional=True,
                    tooltip="Fetches the chosen published weights that are not on this machine yet; the note "
                            "tells their licence. Off = nothing is ever fetched."),
            ],
            outputs=[
                GENERATOR.Output(display_name="generator", tooltip="For Sample Latent, Render Latent, and "
                                                                   "everything that edits latents."),
                io.String.Output(display_name="note", tooltip="Its licence, its size, its classes, and which "
                                                              "of its layers are coarse, middle and fine."),
            ],
            search_aliases=["stylegan2", "stylegan", "draggan", "load gan", "load pkl"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=GENERATOR_WEIGHTS, download=False):
        return name and stamp(name, "generator", host.runtime())

    @classmethod
    def execute(cls, name=GENERATOR_WEIGHTS, download=False):
        net = obtain(name, "generator", download, host.runtime())
        note = generator_note(net)
        return io.NodeOutput(net, note, ui={"text": [note]})


def choices(role: str, *embedded: str) -> list[str]:
    """`embedded` always first: the default never moves and the list is never empty."""
    return list(dict.fromkeys([*embedded, *available(role, host.runtime())]))


def names(role: str, parses: str = "") -> list[str]:
    """The names of the catalog, always all of them: hosts check a stored choice against this list."""
    return [row.name for row in offered(role, parses)]


def usual_estimator(download: bool, runtime: Runtime) -> str:
    """The first of the published estimators that lies here; with `download`, else, the first of all."""
    rows = offered("estimator")
    here = [row.name for row in rows if published_file(row, runtime)]
    return next(iter(here), rows[0].name if download else NONE)


def obtain(name: str, role: str, download: bool, runtime: Runtime) -> LoadedNet:
    """Loads a network by the name a user chose; only with `download` a published one may be fetched first."""
    row = published(name, role)
    if download and row is not None and published_file(row, runtime) is None:
        fetch(row, runtime)
    return load_as(name, role, runtime)


def stamp(name: str, role: str, runtime: Runtime) -> str:
    try:
        return file_stamp(resolve(name, role, runtime))
    except FileNotFoundError:
        return f"{name} is not here"


def loaded_note(chosen: Mapping[str, str]) -> str:
    """Part of the detector -> name, in words, with the licence of what is published."""
    return "; ".join(f"{part}: {licensed(name, ROLES[part])}" for part, name in chosen.items()) + "."


def licensed(name: str, role: str) -> str:
    """A name, with the licence of what is published."""
    row = published(name, role)
    return f"{name} ({row.licence})" if row else name


def styler_note(net: LoadedNet) -> str:
    """What users need to know to choose regions and blocks."""
    height, width = generator_of(net).config.size
    return (f"{licensed(net.name, 'styler')} draws {width}x{height}. Regions: {', '.join(net_regions(net))}. "
            f"Blocks with styles: {', '.join(block_names(net)) or 'none'}.")


def transfer_note(net: LoadedNet) -> str:
    height, width = frame_size(net)
    return f"{licensed(net.name, 'transfer')}, {net.system.title}, draws {height}x{width}."


def generator_note(net: LoadedNet) -> str:
    """What users need to know to choose a class and layers."""
    config = stylegan.generator_of(net).config
    height, width = config.size(-1)
    classes = f"Classes: 0-{config.labels - 1}." if config.labels else "No classes."
    rows = {group: layer_rows(group, config.num_ws) for group in GROUPS}
    layers = ", ".join(f"{group} {spans(numbers)}" for group, numbers in rows.items() if numbers)
    return (f"{licensed(net.name, 'generator')} draws pictures {width} wide and {height} high. {classes} "
            f"Layers of w+: {layers}.")
