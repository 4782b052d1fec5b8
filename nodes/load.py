"""Anyone/load: networks from the embedded weights or from models/anyone."""
from __future__ import annotations

from ..core.checkpoints import available, load_as, resolve
from . import host
from .host import Schema, io
from .wires import DETECTOR, INPAINTER, file_stamp

INPAINTER_WEIGHTS = "triagan-person"
DETECTOR_WEIGHTS = "detect-person"


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
                    "name", options=choices(INPAINTER_WEIGHTS, "inpainter"), default=INPAINTER_WEIGHTS,
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
        return Schema(
            node_id="AnyoneLoadDetector",
            display_name="Load Person Detector",
            category="Anyone/load",
            description="Loads a network that finds people: 18 joints, a mask, regions of body and clothing.",
            inputs=[
                io.Combo.Input(
                    "name", options=choices(DETECTOR_WEIGHTS, "detector"), default=DETECTOR_WEIGHTS,
                    optional=True, tooltip="The embedded weights first, then the files in models/anyone."),
            ],
            outputs=[DETECTOR.Output(display_name="detector", tooltip="For every node that finds people.")],
            search_aliases=["openpose", "pose estimator", "person segmentation"],
        )

    @classmethod
    def fingerprint_inputs(cls, name=DETECTOR_WEIGHTS):
        return name and file_stamp(resolve(name, "detector", host.runtime()))

    @classmethod
    def execute(cls, name=DETECTOR_WEIGHTS):
        return io.NodeOutput(load_as(name, "detector", host.runtime()))


def choices(embedded: str, role: str) -> list[str]:
    """`embedded` always first: the default never moves and the list is never empty."""
    return list(dict.fromkeys([embedded, *available(role, host.runtime())]))
