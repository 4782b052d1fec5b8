"""Anyone/drag: people pulled by handles to targets, and the points for it."""
from __future__ import annotations

import torch
from torch import Tensor

from ..core.drag import DragSettings
from ..core.drag.draw import draw_drag
from ..core.drag.loop import SPACES
from ..core.drag.points import read_drag, read_ways, write_drag
from ..core.image import bchw_to_image, image_to_bchw
from ..core.people.silhouette import HEIGHT, Silhouette
from ..core.pose import JOINTS, Pose, PoseFrame, fit_pose, write_poses
from ..core.stylegan.infer import generator_of
from ..core.stylegan.journey import FRAMES, drag_latent
from ..core.stylegan.journey import SETTINGS as MADE_UP
from ..core.stylegan.latents import Latent
from ..core.triagan.drag import SETTINGS as PAINTED
from ..core.triagan.drag import drag_inpainted
from ..core.triagan.infer import MODES
from ..core.triagan.limbs import RADIUS
from . import host
from .host import Schema, io, opt
from .latents import known
from .posing import counterpart, first_people
from .subjects import find_subjects, read_masks
from .wires import (
    DETECTOR,
    GENERATOR,
    INPAINTER,
    LATENT,
    POSE,
    expect_generator,
    expect_latent,
    expect_net,
    expect_option,
    send,
)

WHEN_STOPPED = ("keep", "cancel")


def point_inputs() -> list[io.Input]:
    return [
        io.String.Input("handles", default="", multiline=True, dynamic_prompts=False,
                        tooltip="What to pull, as JSON in pixels: a list of x and y, and of tx and ty where "
                                "it shall go, if that is not in targets. Points editors fit."),
        io.String.Input("targets", default="", multiline=True, dynamic_prompts=False, optional=True,
                        tooltip="Where each handle shall go, in the same order: a list of x and y. Counts "
                                "more than tx and ty."),
    ]


def loop_inputs(settings: DragSettings) -> list[io.Input]:
    return [
        io.Int.Input("steps", default=settings.steps, min=1, max=10000, optional=True,
                     tooltip="At most so many; dragging ends where all handles arrive."),
        io.Float.Input("learning_rate", default=settings.learning_rate, min=0.0001, max=10.0,
                       step=0.0001, optional=True,
                       tooltip="How far a step goes; higher = faster and rougher."),
        io.Combo.Input("space", options=list(SPACES), default="w+", optional=True,
                       tooltip="w+ = every layer changes by itself, goes furthest; w = all in the same way, "
                               "stays more like a person."),
        opt(io.Float.Input("motion_radius", default=3.0, min=0.0, max=512.0, step=0.5, optional=True,
                           tooltip="How much around a handle is pulled, in pixels of a picture of 512."),
            advanced=True),
        opt(io.Float.Input("tracking_radius", default=12.0, min=0.0, max=512.0, step=0.5, optional=True,
                           tooltip="How far from its last place a handle is looked for after each step, in "
                                   "pixels of a picture of 512."), advanced=True),
    ]


def journey_inputs() -> list[io.Input]:
    return [
        io.Int.Input("frames", default=FRAMES, min=2, max=10001, optional=True,
                     tooltip="How many pictures of the journey to return, at most."),
        io.Combo.Input("when_stopped", options=list(WHEN_STOPPED), default="keep", optional=True,
                       tooltip="What ComfyUI's stop button does while dragging: keep = the journey ends "
                               "there and the workflow goes on with it; cancel = everything stops."),
    ]


def told_outputs() -> list[io.Output]:
    return [
        io.String.Output(display_name="points",
                         tooltip="Where the handles are now, and their targets: the handles of a next drag."),
        io.String.Output(display_name="report", tooltip="How far it got, in words."),
    ]


class AnyoneDrag(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDrag",
            display_name="Drag Person",
            category="Anyone/drag",
            description="Takes a generated person by the hand: what is at the handles moves to the targets, "
                        "and the rest of the picture follows as the generator has learned it (DragGAN).",
            inputs=[
                GENERATOR.Input("generator", tooltip="From Load Generator, or a tuned one."),
                LATENT.Input("latent", tooltip="The person to start from."),
                *point_inputs(),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = may change; the rest is held where it is. Without it everything "
                                      "may change."),
                io.Int.Input("index", default=0, min=-100000, max=100000, optional=True,
                             tooltip="Which latent, if there are several: 0 = the first, -1 = the last."),
                *loop_inputs(MADE_UP),
                io.Float.Input("mask_weight", default=20.0, min=0.0, max=10000.0, step=1.0, optional=True,
                               tooltip="How firmly the rest is held."),
                opt(io.Int.Input("block", default=-1, min=-1, max=8, optional=True,
                                 tooltip="Of the generator, 0 = the coarsest: whose features are followed. "
                                         "-1 = 5 as published, the last one of smaller generators."),
                    advanced=True),
                *journey_inputs(),
            ],
            outputs=[
                LATENT.Output(display_name="latent", tooltip="The dragged person."),
                io.Image.Output(display_name="image", tooltip="The dragged person."),
                io.Image.Output(display_name="frames", tooltip="The journey, from the start to the end."),
                LATENT.Output(display_name="history",
                              tooltip="The latents of frames: any of them can be dragged on, by its index."),
                *told_outputs(),
            ],
            search_aliases=["draggan", "drag your gan", "point dragging", "move arm", "stylegan2 edit"],
        )

    @classmethod
    def execute(cls, generator, latent, handles, targets="", mask=None, index=0, steps=MADE_UP.steps,
                learning_rate=MADE_UP.learning_rate, space="w+", motion_radius=3.0, tracking_radius=12.0,
                mask_weight=20.0, block=-1, frames=FRAMES, when_stopped="keep"):
        expect_option(space, SPACES, "space")
        expect_option(when_stopped, WHEN_STOPPED, "when_stopped")
        net, start = expect_generator(generator), pick(expect_latent(latent), index)
        height, width = generator_of(net).config.size(-1)
        (free,) = read_masks(mask, height, width)[:1]
        dragged = drag_latent(
            net, start, *read_drag(handles, targets, width, height),
            mask=None if free is None else free.float(), block=known(block),
            settings=DragSettings(steps, learning_rate, space, motion_radius, tracking_radius, mask_weight),
            frames=frames, keep=when_stopped == "keep", runtime=host.runtime())
        seen, journey = send(dragged.frames), dragged.journey
        report = journey.report()
        return io.NodeOutput(dragged.history.taken([-1]), seen[-1:], seen, dragged.history,
                             write_drag(journey.steps[-1].handles, journey.targets, width, height), report,
                             ui={"text": [report]})


class AnyoneDragInpainted(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDragInpainted",
            display_name="Drag Inpainted Person",
            category="Anyone/drag",
            description="Paints a new person into a picture, as Inpaint Person does, and moves them: handles "
                        "near a joint take the limb along. The rest of the picture stays as it is.",
            inputs=[
                io.Image.Input("image", tooltip="One picture of any size."),
                INPAINTER.Input("inpainter", tooltip="From Load Person Inpainter."),
                *point_inputs(),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = the people who may be replaced. Without it: made from the pose."),
                POSE.Input("pose", optional=True,
                           tooltip="How people stand at first. Without it: as the detector finds them."),
                DETECTOR.Input("detector", optional=True,
                               tooltip="Asked when there is no pose. Without it: the embedded detector."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                             optional=True, tooltip="Who appears, the same as in Inpaint Person."),
                io.Combo.Input("truncation_mode", options=list(MODES), default="truncated", optional=True,
                               tooltip="As in Inpaint Person: truncated = towards the average person; "
                                       "multimodal = towards one of several typical people, if the weights "
                                       "have them; plain = as drawn."),
                io.Float.Input("truncation_psi", default=1.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="0 = the average or typical person, safest; 1 = no pull, varied."),
                io.Float.Input("feather", default=0.0, min=0.0, max=256.0, step=0.5, optional=True,
                               tooltip="Softens the seam by so many pixels; 0 = a hard edge."),
                io.Float.Input("joint_radius", default=RADIUS, min=0.0, max=1.0, step=0.01, optional=True,
                               tooltip="How near to a joint a handle takes it along, in heights of the "
                                       "person. 0 = no joints: all handles are dragged through the latent."),
                *journey_inputs(),
                *loop_inputs(PAINTED),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The picture with the dragged person."),
                io.Mask.Output(display_name="mask",
                               tooltip="1 = painted in any frame; all else is as it was."),
                io.Image.Output(display_name="frames", tooltip="The journey, from the start to the end."),
                POSE.Output(display_name="pose", tooltip="How the dragged person stands at the end."),
                *told_outputs(),
            ],
            search_aliases=["draggan", "move arm", "raise arm", "inverse kinematics", "triagan"],
        )

    @classmethod
    def execute(cls, image, inpainter, handles, targets="", mask=None, pose=None, detector=None, seed=0,
                truncation_mode="truncated", truncation_psi=1.0, feather=0.0, joint_radius=RADIUS,
                frames=FRAMES, when_stopped="keep", steps=PAINTED.steps,
                learning_rate=PAINTED.learning_rate, space="w+", motion_radius=3.0, tracking_radius=12.0):
        expect_option(truncation_mode, MODES, "truncation_mode")
        expect_option(space, SPACES, "space")
        expect_option(when_stopped, WHEN_STOPPED, "when_stopped")
        net = expect_net(inpainter, "inpainter", "Load Person Inpainter")
        subjects = find_subjects(image, mask, pose, detector)
        height, width = subjects.pictures.shape[2:]
        dragged = drag_inpainted(
            net, bchw_to_image(subjects.pictures), subjects.people[0],
            *read_drag(handles, targets, width, height), seed=seed, truncation=truncation_mode,
            strength=truncation_psi, feather=feather, joint_radius=joint_radius, frames=frames,
            settings=DragSettings(steps, learning_rate, space, motion_radius, tracking_radius),
            keep=when_stopped == "keep", runtime=host.runtime())
        report = dragged.report()
        return io.NodeOutput(
            send(dragged.picture), send(dragged.mask), send(dragged.frames),
            write_poses([PoseFrame(width, height, (dragged.pose,))]),
            write_drag(dragged.found, dragged.targets, width, height), report, ui={"text": [report]})


class AnyonePointsFromPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyonePointsFromPose",
            display_name="Points from Pose",
            category="Anyone/drag",
            description="Makes handles at the joints of a person, and targets some way off or at the same "
                        "joints of another pose, for Drag Person and Drag Inpainted Person.",
            inputs=[
                POSE.Input("pose", tooltip="The person to drag, on a canvas as large as the picture to drag "
                                           "in. Only its first frame is used."),
                io.String.Input("joints", default="right_wrist", dynamic_prompts=False, optional=True,
                                tooltip="Where to put handles, with commas between: " + ", ".join(JOINTS)
                                        + ". Right is the person's right."),
                io.Float.Input("dx", default=0.0, min=-10.0, max=10.0, step=0.01, optional=True,
                               tooltip="How far to move to the right in the picture, in heights of the "
                                       "person, who counts as standing upright; below 0 = to the left."),
                io.Float.Input("dy", default=0.0, min=-10.0, max=10.0, step=0.01, optional=True,
                               tooltip="How far to move down, in heights of the person; -0.3 = up by about "
                                       "the length of an arm."),
                POSE.Input("target_pose", optional=True,
                           tooltip="The same joints there are the targets, moved by dx and dy. Fitted to the "
                                   "canvas of pose without distortion. Only its first frame is used."),
                io.Int.Input("index", default=0, min=0, max=1000, optional=True,
                             tooltip="Which person, as numbered in the poses; 0 = the first. A single person "
                                     "is taken whatever the number."),
            ],
            outputs=[
                io.String.Output(display_name="handles",
                                 tooltip="Where the joints are and where they shall go: the handles of a "
                                         "drag, which needs no targets besides."),
                io.String.Output(display_name="note", tooltip="Which joints have a handle, and which were "
                                                              "left out."),
            ],
            search_aliases=["drag joints", "keypoints to points", "pose to points", "move arm"],
        )

    @classmethod
    def execute(cls, pose, joints="right_wrist", dx=0.0, dy=0.0, target_pose=None, index=0):
        wanted = read_joints(joints)
        person = numbered(pose, "pose", index)
        aim = person if target_pose is None else fit_pose(numbered(target_pose, "target_pose", index),
                                                          person.width, person.height)
        canvas = torch.tensor([person.width, person.height])
        inside = ((person.keypoints >= 0) & (person.keypoints < canvas)).all(1)
        usable = inside & person.present & aim.present                                              # [18]
        taken = [joint for joint in wanted if usable[joint]]
        if not taken:
            raise ValueError(f"joints: {in_words(wanted)} cannot be dragged; at least one of them has to be "
                             "seen inside the picture, and in target_pose, if there is one.")
        note = f"Handles: {in_words(taken)}."
        if left := [joint for joint in wanted if joint not in taken]:
            note += f" Left out, not seen or outside the picture: {in_words(left)}."
        handles, targets = person.keypoints - 0.5, aim.keypoints - 0.5          # whole numbers are centres
        text = write_drag(handles[taken], targets[taken] + way(person, dx, dy), person.width, person.height)
        return io.NodeOutput(text, note, ui={"text": [note]})


class AnyoneDrawPoints(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneDrawPoints",
            display_name="Draw Points",
            category="Anyone/drag",
            description="Shows where points are: handles red, targets blue, and arrows from one to the "
                        "other. Small pictures are enlarged to about 512 pixels.",
            inputs=[
                io.Image.Input("image", tooltip="The picture the points belong to; with several, each shows "
                                                "the same points."),
                *point_inputs(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="As many pictures, with the points.")],
            search_aliases=["show points", "visualize points", "point overlay", "draw arrows"],
        )

    @classmethod
    def execute(cls, image, handles, targets=""):
        pictures = bchw_to_image(image_to_bchw(image))
        height, width = pictures.shape[1:3]
        starts, ends = read_ways(handles, targets, width, height)
        if len(ends) > len(starts):
            raise ValueError(f"There are {len(ends)} targets but {len(starts)} handles; "
                             "give every target its handle.")
        ends = torch.cat([ends, starts[len(ends):]])       # without a target: only the handle is seen
        return io.NodeOutput(send(torch.stack([draw_drag(picture, starts, ends) for picture in pictures])))


def pick(latent: Latent, index: int) -> Latent:
    """One latent of a batch."""
    if not -len(latent) <= index < len(latent):
        raise ValueError(f"index is {index}, but there {'is' if len(latent) == 1 else 'are'} {len(latent)} "
                         f"{'latent' if len(latent) == 1 else 'latents'}, counted from 0.")
    return latent.taken([index])


def read_joints(text: str) -> list[int]:
    """Numbers of joints, each once, from names with commas between, in any case."""
    names = ["_".join(name.lower().replace("_", " ").split()) for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in JOINTS]
    if unknown or not names:
        what = f"there is no {', '.join(unknown)}" if unknown else "it is empty"
        raise ValueError(f"joints: {what}; known are {', '.join(JOINTS)}.")
    return [JOINTS.index(name) for name in dict.fromkeys(names)]


def in_words(joints: list[int]) -> str:
    return ", ".join(JOINTS[joint].replace("_", " ") for joint in joints)


def numbered(value: object, name: str, index: int) -> Pose:
    """A person in the first frame of the input `name`."""
    people = first_people(value, name)
    person = counterpart(people, index)
    if person is None:
        raise ValueError(f"index is {index}, but {name} shows {len(people)} people in its first frame, "
                         "counted from 0.")
    return person


def way(person: Pose, dx: float, dy: float) -> Tensor:
    """[2] pixels, from heights of the person."""
    height = HEIGHT * Silhouette(person).scale
    if not height and (dx or dy):
        raise ValueError("pose shows too little of the person to tell their height, which dx and dy are "
                         "measured in; set both to 0 or give more joints.")
    return torch.tensor([dx, dy]) * height
