"""The graph side of Anyone: what ComfyUI shows in its Add Node menu."""
from __future__ import annotations

from . import host
from .drag import AnyoneDrag, AnyoneDragInpainted, AnyoneDrawPoints, AnyonePointsFromPose
from .inpaint import AnyoneInpaintPerson
from .invert import (
    AnyoneAlignPerson,
    AnyoneInvertImage,
    AnyoneLoadTuning,
    AnyoneSaveTuning,
    AnyoneTuneGenerator,
)
from .latents import (
    AnyoneInterpolateLatents,
    AnyoneLatentDirections,
    AnyoneLoadLatent,
    AnyoneMixLatents,
    AnyoneRenderLatent,
    AnyoneSampleLatent,
    AnyoneSaveLatent,
)
from .load import (
    AnyoneLoadDetector,
    AnyoneLoadGenerator,
    AnyoneLoadInpainter,
    AnyoneLoadStyler,
    AnyoneLoadTransfer,
)
from .metrics import AnyoneCompareImages
from .people import AnyoneCropPerson, AnyoneDetectPeople, AnyonePastePerson, AnyoneSyntheticPeople
from .pose import (
    AnyoneComparePoses,
    AnyoneDrawPose,
    AnyoneLoadPose,
    AnyonePoseFromJSON,
    AnyonePoseMaps,
    AnyonePoseMask,
    AnyonePoseToJSON,
    AnyoneSavePose,
)
from .posing import (
    AnyoneInterpolatePoses,
    AnyoneRetargetPose,
    AnyoneSelectPerson,
    AnyoneSmoothPoses,
    AnyoneTransformPose,
)
from .regions import (
    AnyoneDrawRegions,
    AnyoneEditRegions,
    AnyoneParseRegions,
    AnyoneRegionMask,
    AnyoneRegionsFromMasks,
)
from .styles import (
    AnyoneCrossoverStyles,
    AnyoneEncodeStyles,
    AnyoneInterpolateStyles,
    AnyoneLoadStyleCodes,
    AnyoneMixStyles,
    AnyoneRenderRegions,
    AnyoneSaveStyleCodes,
)
from .transfer import AnyoneTransferPose

NODES = [
    AnyoneLoadInpainter, AnyoneLoadDetector, AnyoneLoadStyler, AnyoneLoadTransfer, AnyoneLoadGenerator,
    AnyoneSyntheticPeople, AnyoneDetectPeople, AnyoneCropPerson, AnyonePastePerson,
    AnyonePoseFromJSON, AnyonePoseToJSON, AnyoneDrawPose, AnyoneLoadPose, AnyoneSavePose, AnyonePoseMaps,
    AnyonePoseMask, AnyoneComparePoses,
    AnyoneSelectPerson, AnyoneTransformPose, AnyoneRetargetPose, AnyoneInterpolatePoses, AnyoneSmoothPoses,
    AnyoneParseRegions, AnyoneRegionsFromMasks, AnyoneRegionMask, AnyoneDrawRegions,
    AnyoneEditRegions,
    AnyoneEncodeStyles, AnyoneMixStyles, AnyoneInterpolateStyles, AnyoneCrossoverStyles, AnyoneRenderRegions,
    AnyoneLoadStyleCodes, AnyoneSaveStyleCodes,
    AnyoneInpaintPerson,
    AnyoneTransferPose,
    AnyoneSampleLatent, AnyoneRenderLatent, AnyoneMixLatents, AnyoneInterpolateLatents,
    AnyoneLatentDirections, AnyoneLoadLatent, AnyoneSaveLatent,
    AnyoneAlignPerson, AnyoneInvertImage, AnyoneTuneGenerator, AnyoneLoadTuning, AnyoneSaveTuning,
    AnyoneDrag, AnyoneDragInpainted, AnyonePointsFromPose, AnyoneDrawPoints,
    AnyoneCompareImages,
]


class Anyone(host.ComfyExtension):
    async def get_node_list(self):
        return NODES


async def comfy_entrypoint() -> Anyone:
    host.register_model_folder()
    return Anyone()
