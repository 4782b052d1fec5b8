"""Anyone/posing: poses chosen, changed and filled in between."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..core.pose import (
    ANCHORS,
    EASINGS,
    FITS,
    ORDERS,
    OneEuro,
    Pose,
    PoseFrame,
    anchor_point,
    fill_gaps,
    filter_joints,
    filter_people,
    fit_frame,
    follow_people,
    interpolate_frames,
    merge_frames,
    mirror_pose,
    retarget_pose,
    select_person,
    smooth_frames,
    sort_people,
    track_people,
    transform_pose,
    write_poses,
)
from .host import Schema, io, opt
from .wires import POSE, cycled, expect_option, people_note, read_frames

KEEP = ("one", "all")
ROOTS = ("neck", "mid_hip", "feet", "box")


class AnyoneSelectPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSelectPerson",
            display_name="Select Person",
            category="Anyone/posing",
            description="Keeps one person of each frame, or everybody sorted. Drops people and joints that "
                        "are too faint or too small, and puts two poses together.",
            inputs=[
                POSE.Input("pose", tooltip="Whom to choose from."),
                POSE.Input("other", optional=True,
                           tooltip="More people for the same frames; who is in both poses is kept once."),
                io.Combo.Input("order", options=list(ORDERS), default="left_to_right", optional=True,
                               tooltip="How people are counted: left_to_right in the picture, by size or by "
                                       "confidence (largest first), or index = as numbered in the pose."),
                io.Int.Input("index", default=0, min=-1000, max=1000, optional=True,
                             tooltip="Which person in that order: 0 = the first, -1 = the last."),
                io.Combo.Input("keep", options=list(KEEP), default="one", optional=True,
                               tooltip="one = only that person; all = everybody, in that order."),
                io.Float.Input("minimum_score", default=0.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="Drops people whose joints have a lower mean score."),
                io.Float.Input("minimum_joint_score", default=0.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="Drops joints with a lower score."),
                io.Int.Input("minimum_joints", default=1, min=0, max=18, optional=True,
                             tooltip="Drops people with fewer joints; 0 keeps places without anybody, too."),
                io.Float.Input("minimum_size", default=0.0, min=0.0, max=65536.0, step=1.0, optional=True,
                               tooltip="Drops people whose joints span fewer pixels corner to corner."),
            ],
            outputs=[
                POSE.Output(display_name="pose", tooltip="As many frames as before, some perhaps empty."),
                io.String.Output(display_name="note", tooltip="How many stay, and where nobody is."),
            ],
            search_aliases=["filter people", "sort people", "merge poses", "pick person", "choose person"],
        )

    @classmethod
    def execute(cls, pose, other=None, order="left_to_right", index=0, keep="one", minimum_score=0.0,
                minimum_joint_score=0.0, minimum_joints=1, minimum_size=0.0):
        expect_option(order, ORDERS, "order")
        expect_option(keep, KEEP, "keep")
        frames = merged(read_frames(pose), [] if other is None else read_frames(other, "other"))

        def sieve(frame: PoseFrame) -> PoseFrame:
            joints = tuple(filter_joints(person, minimum_joint_score) for person in frame.people)
            return filter_people(replace(frame, people=joints), minimum_joints=minimum_joints,
                                 minimum_score=minimum_score, minimum_size=minimum_size)

        chosen = [choose(frame, order, index if keep == "one" else None, sieve) for frame in frames]
        note = people_note(chosen)
        return io.NodeOutput(write_poses(chosen), note, ui={"text": [note]})


class AnyoneTransformPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneTransformPose",
            display_name="Transform Pose",
            category="Anyone/posing",
            description="Mirrors, scales, turns and shifts people, then puts them on a new canvas.",
            inputs=[
                POSE.Input("pose", tooltip="The pose to change."),
                io.Float.Input("scale", default=1.0, min=0.01, max=100.0, step=0.05, optional=True,
                               tooltip="2 = twice as large."),
                io.Float.Input("rotation", default=0.0, min=-360.0, max=360.0, step=1.0, optional=True,
                               tooltip="Degrees, clockwise."),
                io.Float.Input("x", default=0.0, min=-65536.0, max=65536.0, step=1.0, optional=True,
                               tooltip="Shift to the right, in pixels of the old canvas."),
                io.Float.Input("y", default=0.0, min=-65536.0, max=65536.0, step=1.0, optional=True,
                               tooltip="Shift downwards, in pixels of the old canvas."),
                io.Combo.Input("anchor", options=list(ANCHORS), default="canvas", optional=True,
                               tooltip="What stays in place while scaling, turning and mirroring: the middle "
                                       "of the canvas, or of each person the middle, neck, hips or feet."),
                io.Boolean.Input("mirror", default=False, optional=True,
                                 tooltip="As in a mirrored photograph: a raised right arm becomes a raised "
                                         "left one."),
                io.Int.Input("index", default=-1, min=-1, max=1000, optional=True,
                             tooltip="Which person to change, as numbered in the pose; -1 = everybody."),
                io.Int.Input("width", default=0, min=0, max=16384, optional=True,
                             tooltip="Of the new canvas; 0 = as it is."),
                io.Int.Input("height", default=0, min=0, max=16384, optional=True,
                             tooltip="Of the new canvas; 0 = as it is."),
                io.Combo.Input("fit", options=list(FITS), default="fit", optional=True,
                               tooltip="How the old canvas goes into the new one: fit = all of it, in the "
                                       "middle; fill = without a margin; stretch = each side by itself."),
            ],
            outputs=[POSE.Output(display_name="pose", tooltip="The changed pose; joints may lie outside.")],
            search_aliases=["scale pose", "rotate pose", "move pose", "flip pose", "resize pose"],
        )

    @classmethod
    def execute(cls, pose, scale=1.0, rotation=0.0, x=0.0, y=0.0, anchor="canvas", mirror=False, index=-1,
                width=0, height=0, fit="fit"):
        expect_option(anchor, ANCHORS, "anchor")
        expect_option(fit, FITS, "fit")

        def change(person: Pose) -> Pose:
            centre = anchor_point(person, anchor)
            person = mirror_pose(person, float(centre[0])) if mirror else person
            return transform_pose(person, centre, scale=scale, rotation=rotation, dx=x, dy=y)

        changed = [replace(frame, people=tuple(change(person) if index in (-1, number) else person
                                               for number, person in enumerate(frame.people)))
                   for frame in read_frames(pose)]
        return io.NodeOutput(write_poses([fit_frame(frame, width or frame.width, height or frame.height, fit)
                                          for frame in changed]))


class AnyoneRetargetPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneRetargetPose",
            display_name="Retarget Pose",
            category="Anyone/posing",
            description="Gives the people of a pose the proportions of somebody else: "
                        "every bone keeps its direction and gets the other one's length.",
            inputs=[
                POSE.Input("pose", tooltip="The movement."),
                POSE.Input("reference", tooltip="Whose proportions to take; only its first frame is used. "
                                                "One person serves everybody, else people go by number."),
                POSE.Input("template", optional=True,
                           tooltip="The people of pose, standing like the reference, for example its first "
                                   "frame. Bones are then scaled, not set, so that limbs pointing at the "
                                   "camera stay short. Only its first frame is used."),
                io.Combo.Input("root", options=list(ROOTS), default="neck", optional=True,
                               tooltip="What stays in place; feet = people keep standing where they stood, "
                                       "box = the middle of the joints."),
                io.Float.Input("limit", default=2.0, min=1.0, max=10.0, step=0.1, optional=True,
                               tooltip="No bone may change more than so many times as much as the whole "
                                       "person."),
                io.Boolean.Input("keep_size", default=False, optional=True,
                                 tooltip="Only proportions change; people stay as large as they are."),
            ],
            outputs=[POSE.Output(display_name="pose", tooltip="The movement with the new proportions.")],
            search_aliases=["bone length", "pose align", "rescale skeleton", "body proportions"],
        )

    @classmethod
    def execute(cls, pose, reference, template=None, root="neck", limit=2.0, keep_size=False):
        expect_option(root, ROOTS, "root")
        references = first_people(reference, "reference")
        templates = () if template is None else first_people(template, "template")

        def change(person: Pose, number: int) -> Pose:
            model = counterpart(references, number)
            return person if model is None else retarget_pose(
                person, model, root=root, template=counterpart(templates, number), limit=limit,
                keep_size=keep_size)

        return io.NodeOutput(write_poses([
            replace(frame, people=tuple(change(person, i) for i, person in enumerate(frame.people)))
            for frame in read_frames(pose)]))


class AnyoneInterpolatePoses(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneInterpolatePoses",
            display_name="Interpolate Poses",
            category="Anyone/posing",
            description="Makes the frames between poses. Limbs swing about their joints, "
                        "so that nobody shrinks on the way.",
            inputs=[
                POSE.Input("pose", tooltip="The key frames, or only the first one."),
                POSE.Input("end", optional=True, tooltip="More key frames, after those of pose."),
                io.Int.Input("between", default=7, min=0, max=10000, optional=True,
                             tooltip="New frames between two key frames."),
                io.Combo.Input("easing", options=list(EASINGS), default="linear", optional=True,
                               tooltip="linear = even; ease_in starts slowly, ease_out ends slowly, "
                                       "ease_in_out both."),
                io.Boolean.Input("match_people", default=True, optional=True,
                                 tooltip="Everybody moves to the nearest person of the next key frame, "
                                         "whatever the numbers. Off: people belong together by number."),
                io.Boolean.Input("loop", default=False, optional=True,
                                 tooltip="Also makes the frames from the last key frame back to the first."),
            ],
            outputs=[
                POSE.Output(display_name="pose", tooltip="All frames, the key frames included."),
                io.Int.Output(display_name="count", tooltip="How many frames these are."),
            ],
            search_aliases=["tween", "pose animation", "inbetween", "keyframes"],
        )

    @classmethod
    def execute(cls, pose, end=None, between=7, easing="linear", match_people=True, loop=False):
        expect_option(easing, tuple(EASINGS), "easing")
        keyframes = [*read_frames(pose), *([] if end is None else read_frames(end, "end"))]
        if len(keyframes) < 2:
            raise ValueError("pose holds a single frame; connect another pose to end, "
                             "or a pose of several frames, to have something to move to.")
        stops = [*keyframes, *keyframes[:loop]]
        frames = interpolate_frames(follow_people(stops) if match_people else stops, between, easing=easing)
        frames = frames[:-1] if loop else frames           # the first frame comes again by itself
        return io.NodeOutput(write_poses(frames), len(frames))


class AnyoneSmoothPoses(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSmoothPoses",
            display_name="Smooth Poses",
            category="Anyone/posing",
            description="Steadies the poses of a video: numbers people so that each keeps their place, "
                        "fills short gaps, and takes out the jitter (One-Euro filter).",
            inputs=[
                POSE.Input("pose", tooltip="One frame per picture of the video, in order."),
                io.Float.Input("fps", default=30.0, min=0.1, max=1000.0, step=0.1, optional=True,
                               tooltip="Frames per second of the video."),
                io.Float.Input("min_cutoff", default=1.0, min=0.01, max=1000.0, step=0.1, optional=True,
                               tooltip="Hz. How steady resting joints are held: lower = steadier."),
                io.Float.Input("beta", default=8.0, min=0.0, max=1000.0, step=0.5, optional=True,
                               tooltip="How closely fast joints are followed: higher = less lag, more "
                                       "jitter."),
                opt(io.Float.Input("d_cutoff", default=3.0, min=0.01, max=1000.0, step=0.1, optional=True,
                                   tooltip="Hz. How steady the measured speed of joints is held."),
                    advanced=True),
                io.Boolean.Input("both_ways", default=True, optional=True,
                                 tooltip="Filters forwards and backwards, which does not lag. Off: as in "
                                         "live use, a frame knows nothing of those after it."),
                io.Int.Input("longest_gap", default=5, min=0, max=1000, optional=True,
                             tooltip="Fills in joints that are missing for at most so many frames; "
                                     "0 = none."),
                io.Boolean.Input("track", default=True, optional=True,
                                 tooltip="Finds out who is who, so that a person has the same number in all "
                                         "frames; who is seen in fewer than three is dropped. Off: people "
                                         "are taken by their number."),
            ],
            outputs=[POSE.Output(display_name="pose",
                                 tooltip="As many frames, with people in a fixed order.")],
            search_aliases=["one euro", "stabilize pose", "jitter", "track people", "temporal smoothing"],
        )

    @classmethod
    def execute(cls, pose, fps=30.0, min_cutoff=1.0, beta=8.0, d_cutoff=3.0, both_ways=True,
                longest_gap=5, track=True):
        frames = read_frames(pose)
        frames = track_people(frames) if track else frames
        settings = OneEuro(fps, min_cutoff, beta, d_cutoff, both_ways)
        return io.NodeOutput(write_poses(smooth_frames(fill_gaps(frames, longest_gap), settings)))


def merged(frames: list[PoseFrame], others: list[PoseFrame]) -> list[PoseFrame]:
    """Both batches frame by frame, the shorter one repeating; `others` may be empty."""
    if not others:
        return frames
    count = max(len(frames), len(others))
    return [merge_frames(pair) for pair in zip(cycled(frames, count), cycled(others, count), strict=True)]


def choose(frame: PoseFrame, order: str, index: int | None,
           sieve: Callable[[PoseFrame], PoseFrame]) -> PoseFrame:
    """Person `index` of those the sieve lets through, or, for None, all of them in order."""
    if index is None:
        return sort_people(sieve(frame), order)
    if order == "index":                                   # a number means one person, whoever else is faint
        return sieve(alone(frame, select_person(frame, index, order)))
    return alone(frame, select_person(sieve(frame), index, order))


def alone(frame: PoseFrame, person: Pose | None) -> PoseFrame:
    return replace(frame, people=() if person is None else (person,))


def first_people(value: object, name: str) -> tuple[Pose, ...]:
    """Everybody in the first frame of the input `name`."""
    people = read_frames(value, name)[0].people
    if not any(person.present.any() for person in people):
        raise ValueError(f"{name} shows nobody in its first frame; it needs a person to measure.")
    return people


def counterpart(people: tuple[Pose, ...], number: int) -> Pose | None:
    """Who belongs to person `number`: a single person to everybody, else the one of that number."""
    if len(people) == 1:
        return people[0]
    return people[number] if number < len(people) else None
