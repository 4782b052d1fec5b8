"""The graph side of Anyone: what ComfyUI shows in its Add Node menu."""
from __future__ import annotations

from . import host
from .inpaint import AnyoneInpaintPerson
from .load import AnyoneLoadDetector, AnyoneLoadInpainter
from .people import AnyoneCropPerson, AnyoneDetectPeople, AnyonePastePerson, AnyoneSyntheticPeople
from .pose import AnyoneDrawPose, AnyonePoseFromJSON, AnyonePoseToJSON

NODES = [
    AnyoneLoadInpainter, AnyoneLoadDetector,
    AnyoneSyntheticPeople, AnyoneDetectPeople, AnyoneCropPerson, AnyonePastePerson,
    AnyonePoseFromJSON, AnyonePoseToJSON, AnyoneDrawPose,
    AnyoneInpaintPerson,
]


class Anyone(host.ComfyExtension):
    async def get_node_list(self):
        return NODES


async def comfy_entrypoint() -> Anyone:
    host.register_model_folder()
    return Anyone()
