"""Anyone/inpaint: a new person in the place of the old one."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.image import bchw_to_image
from ..core.people import Person
from ..core.pose import write_poses
from ..core.triagan.infer import MODES, inpaint
from . import host
from .host import Schema, io, opt
from .subjects import find_subjects
from .wires import DETECTOR, INPAINTER, POSE, expect_net, expect_option, send


class AnyoneInpaintPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneInpaintPerson",
            display_name="Inpaint Person",
            category="Anyone/inpaint",
            description="Paints new people into a picture in the place and pose of the old ones. With only a "
                        "picture, everybody is found by the embedded detector and replaced.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size."),
                INPAINTER.Input("inpainter", tooltip="From Load Person Inpainter."),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = the people to replace. Without it: made from the pose."),
                POSE.Input("pose", optional=True,
                           tooltip="How the new people stand. Without it: as the detector finds them."),
                DETECTOR.Input("detector", optional=True,
                               tooltip="Asked when there is no pose. Without it: the embedded detector."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                             optional=True, tooltip="Who appears. Equal inputs give equal pictures."),
                io.Combo.Input("truncation_mode", options=list(MODES), default="truncated",
                               optional=True,
                               tooltip="truncated = pulled towards the average person; multimodal = towards "
                                       "one of several typical people, if the weights have them; "
                                       "plain = as drawn."),
                io.Float.Input("truncation_psi", default=1.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="0 = the average or typical person, safest; 1 = no pull, varied."),
                io.Float.Input("feather", default=0.0, min=0.0, max=256.0, step=0.5, optional=True,
                               tooltip="Softens the seam by so many pixels; 0 = a hard edge."),
                opt(io.Boolean.Input("half_precision", default=False, optional=True,
                                     tooltip="bfloat16: less memory, faster on many graphics cards, "
                                             "slightly other pixels."), advanced=True),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="Outside the mask every pixel is as it was."),
                io.Mask.Output(display_name="mask", tooltip="1 = painted."),
                POSE.Output(display_name="pose", tooltip="The poses that were used."),
                io.String.Output(display_name="note", tooltip="What was done, in words."),
            ],
            search_aliases=["anonymize", "anonymise", "triagan", "replace person", "deidentify", "privacy"],
        )

    @classmethod
    def execute(cls, image, inpainter, mask=None, pose=None, detector=None, seed=0,
                truncation_mode="truncated", truncation_psi=1.0, feather=0.0, half_precision=False):
        expect_option(truncation_mode, MODES, "truncation_mode")
        net = expect_net(inpainter, "inpainter", "Load Person Inpainter")
        subjects = find_subjects(image, mask, pose, detector)
        pictures, painted = inpaint(
            net, bchw_to_image(subjects.pictures), subjects.people, seed=seed, truncation=truncation_mode,
            strength=truncation_psi, feather=feather, half=half_precision, runtime=host.runtime())
        note = " ".join([subjects.note(), *skipped_note(subjects.people, painted)])
        return io.NodeOutput(send(pictures), send(painted), write_poses(subjects.frames), note,
                             ui={"text": [note]})


def skipped_note(people: Sequence[Sequence[Person]], painted: Tensor) -> list[str]:
    """Says how many people are still in the pictures, none of whose pixels are in `painted` [B,H,W]."""
    skipped = sum(not mask[person.mask].any()
                  for everybody, mask in zip(people, painted, strict=True) for person in everybody)
    return [f"{skipped} too small to paint, left unchanged."] if skipped else []
