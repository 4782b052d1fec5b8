"""Anyone/transfer: a person of a picture in other poses."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checkpoints import LoadedNet
from ..core.image import bchw_to_image, image_to_bchw
from ..core.people import Detection, split_mask
from ..core.people.frame import GREY
from ..core.pose import Pose, PoseFrame, fit_pose, retarget_movement, write_poses
from ..core.transfers import BACKGROUNDS, Transferred, TransferSettings, refusal, transfer_people
from . import host
from .host import Schema, io
from .subjects import Subjects, find_subjects, read_masks
from .wires import DETECTOR, POSE, TRANSFER, cycled, expect_net, expect_option, read_frames, send, spans

RETARGETS = ("movement", "each", "off")


class AnyoneTransferPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneTransferPose",
            display_name="Transfer Pose",
            category="Anyone/transfer",
            description="Draws the person of a picture in other poses: one pose gives a picture, a sequence "
                        "of poses an animation.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size; the first person of each is drawn."),
                TRANSFER.Input("transfer", tooltip="From Load Pose Transfer."),
                POSE.Input("target_pose",
                           tooltip="How the person shall stand; the first person of every frame counts. Many "
                                   "frames for one picture are an animation."),
                POSE.Input("source_pose", optional=True,
                           tooltip="How the person of the picture stands. Without it: as the detector finds "
                                   "them."),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = the person of the picture. Without it: from the detector, or made "
                                      "from source_pose."),
                DETECTOR.Input("detector", optional=True,
                               tooltip="Asked when there is no source_pose. Without it: the embedded "
                                       "detector."),
                io.Image.Input("background_image", optional=True,
                               tooltip="What the person is drawn on, instead of the picture they come from."),
                io.Combo.Input("background", options=list(BACKGROUNDS), default="fill", optional=True,
                               tooltip="What is behind the new person when there is no background_image: "
                                       "keep = the picture as it is, the old person too; fill = the "
                                       "picture without the old person; plain = grey."),
                io.Combo.Input("retarget", options=list(RETARGETS), default="movement", optional=True,
                               tooltip="Poses take the person's size and proportions. movement = all frames "
                                       "are one movement, which starts where the person stands; each = every "
                                       "frame for itself stands there; off = drawn just as target_pose has "
                                       "it."),
                io.Float.Input("detail", default=1.0, min=0.0, max=1.0, step=0.05, optional=True,
                               tooltip="How much of the picture's own fine detail, moved along with the "
                                       "body, is added to what the network drew."),
                io.Float.Input("feather", default=0.0, min=0.0, max=256.0, step=0.5, optional=True,
                               tooltip="Softens the outline by so many pixels."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The person in every pose."),
                io.Mask.Output(display_name="mask", tooltip="The person in the new pose."),
                io.Image.Output(display_name="warp", tooltip="What the picture's own pixels give, moved part "
                                                             "by part: for looking at the geometry."),
                io.Mask.Output(display_name="source_mask", tooltip="The person in the old pose."),
                POSE.Output(display_name="pose", tooltip="The poses as they were drawn, on the picture."),
                io.String.Output(display_name="note", tooltip="What was done, in words."),
            ],
            search_aliases=["repose", "animate person", "pose guided", "deformable gan", "pg2",
                            "person image generation", "motion transfer"],
        )

    @classmethod
    def execute(cls, image, transfer, target_pose, source_pose=None, mask=None, detector=None,
                background_image=None, background="fill", retarget="movement", detail=1.0, feather=0.0):
        expect_option(retarget, RETARGETS, "retarget")
        settings = TransferSettings(detail, background, feather)
        net = expect_net(transfer, "transfer", "Load Pose Transfer")
        frames = read_frames(target_pose, "target_pose")
        behind = None if background_image is None else image_to_bchw(background_image, "background_image")
        subjects = find_subjects(image, mask, source_pose, detector, "source_pose")
        rest = subjects.pictures if behind is None else behind
        plan = make_plan(net, find_sources(subjects, mask), [first_person(frame) for frame in frames], rest,
                         retarget)
        made = draw(net, subjects.pictures, plan, behind, settings)
        height, width = rest.shape[2:]
        grey, nobody = torch.full((1, height, width, 3), GREY), torch.zeros(1, height, width)
        unseen = torch.zeros(1, *subjects.pictures.shape[2:])
        note = plan.note([*subjects.frames, *frames])
        return io.NodeOutput(
            send(plan.spread(made.pictures, bchw_to_image(rest))), send(plan.spread(made.mask, nobody)),
            send(plan.spread(made.previews, grey)), send(plan.spread(made.source_masks, unseen)),
            write_poses(plan.frames(height, width)), note, ui={"text": [note]})


@dataclass(frozen=True, eq=False)
class Source:
    """The person of a picture: how they stand, and their mask [H,W] bool, where it is known."""

    pose: Pose
    mask: Tensor | None


@dataclass(frozen=True, eq=False)
class Plan:
    """`count` results. `shots`: who is drawn how, by the result's number, poses on the result's canvas.
    `problems`: why others cannot be drawn; the rest has nobody. `animation`: they are one movement."""

    count: int
    shots: dict[int, tuple[Source, Pose]]
    problems: dict[int, str]
    animation: bool

    @property
    def shown(self) -> list[int | None]:
        """Per result the place in `shots` of what it shows; None = the picture as it is.

        What cannot be drawn in an animation repeats the drawing before, or the first one.
        """
        places = {number: place for place, number in enumerate(self.shots)}
        shown: list[int | None] = []
        last = 0
        for number in range(self.count):
            last = places.get(number, last)
            held = self.animation and number in self.problems
            shown.append(last if number in places or held else None)
        return shown

    def spread(self, made: Tensor, rest: Tensor) -> Tensor:
        """One of `made`, which has a drawing per shot, or of `rest` for every result."""
        shown = self.shown
        if shown == list(range(len(made))):
            return made
        return torch.stack([rest[number % len(rest)] if place is None else made[place]
                            for number, place in enumerate(shown)])

    def frames(self, height: int, width: int) -> list[PoseFrame]:
        """The poses that the results show."""
        poses = [pose for _, pose in self.shots.values()]
        return [PoseFrame(width, height, () if place is None else (poses[place],)) for place in self.shown]

    def note(self, frames: Sequence[PoseFrame]) -> str:
        """What was done, in words; `frames` may say why they have nobody."""
        drawn = len(self.shots)
        words = [f"{drawn or 'No'} {'picture' if drawn < 2 else 'pictures'} drawn."]
        nobody = [number + 1 for number in range(self.count)
                  if number not in self.shots and number not in self.problems]
        if nobody:
            words.append(f"Result {spans(nobody)} as it was: nobody to draw.")
        if self.problems:
            refused = spans([number + 1 for number in self.problems])
            words.append(f"Result {refused} as {'the one before' if self.animation else 'it was'}: "
                         f"{next(iter(self.problems.values()))}")
        return " ".join([*words, *sorted({frame.note for frame in frames if frame.note})])


def first_person(frame: PoseFrame) -> Pose | None:
    """Somebody who is not seen for a while keeps their place: nobody else steps in."""
    return frame.people[0] if frame.people and frame.people[0].present.any() else None


def find_sources(subjects: Subjects, mask: Tensor | None) -> list[Source | None]:
    """The first person of each picture of whom the mask shows a part."""
    count = len(subjects.pictures)
    masks = cycled(read_masks(mask, *subjects.pictures.shape[2:]), count)
    found: Sequence[Detection | None] = subjects.found or [None] * count
    return [find_source(*one) for one in zip(subjects.frames, masks, found, strict=True)]


def find_source(frame: PoseFrame, mask: Tensor | None, found: Detection | None) -> Source | None:
    if mask is not None:
        masks = split_mask(mask, frame.people)
    elif found is not None:
        masks = list(found.masks)
    else:
        person = first_person(frame)
        return None if person is None else Source(person, None)
    return next((Source(*one) for one in zip(frame.people, masks, strict=False) if one[1].any()), None)


def make_plan(net: LoadedNet, sources: Sequence[Source | None], targets: Sequence[Pose | None], rest: Tensor,
              retarget: str) -> Plan:
    """`rest`: [R,3,H,W], as large as the results. `retarget`: one of RETARGETS. Raises ValueError when no
    pose can be drawn, though there are some."""
    frames, pictures, (height, width) = len(targets), len(sources), rest.shape[2:]
    plan = Plan(max(frames, pictures, len(rest)), {}, {}, animation=pictures == 1 and retarget != "each")
    if retarget == "movement" and plan.animation:
        targets, retarget = perform(targets, sources[0]), "off"
    for number in range(plan.count):
        source, target = sources[number % pictures], targets[number % frames]
        if source is None or target is None:
            continue
        if retarget != "off":
            (target,) = retarget_movement([target], source.pose)
        pose = fit_pose(target, width, height)
        problem = refusal(net, source.pose, pose)
        if problem:
            plan.problems[number] = problem
        else:
            plan.shots[number] = source, pose
    if plan.problems and not plan.shots:
        number, problem = next(iter(plan.problems.items()))
        raise ValueError(f"Frame {number % frames + 1} of target_pose cannot be drawn for picture "
                         f"{number % pictures + 1} of image: {problem}")
    return plan


def perform(targets: Sequence[Pose | None], source: Source | None) -> Sequence[Pose | None]:
    """A movement as the person of a picture makes it where they stand."""
    some = [target for target in targets if target is not None]
    if source is None or not some:
        return targets
    moved = iter(retarget_movement(some, source.pose))
    return [None if target is None else next(moved) for target in targets]


def draw(net: LoadedNet, pictures: Tensor, plan: Plan, behind: Tensor | None,
         settings: TransferSettings) -> Transferred:
    """`pictures`: [P,3,H,W]; `behind`: [B,3,H,W]. One drawing for each of the plan's shots."""
    if not plan.shots:
        return Transferred(*[torch.empty(0)] * 4)
    chosen = choose(len(pictures), plan.shots)
    people = [source for source, _ in plan.shots.values()][:len(chosen)]
    masks = [one.mask.float() for one in people if one.mask is not None]
    return transfer_people(
        net, bchw_to_image(pictures[chosen]), [one.pose for one in people],
        [pose for _, pose in plan.shots.values()], masks=torch.stack(masks) if masks else None,
        background=None if behind is None else bchw_to_image(behind[choose(len(behind), plan.shots)]),
        settings=settings, runtime=host.runtime())


def choose(length: int, numbers: Iterable[int]) -> list[int]:
    """Which items of a batch these results take; a single one serves all."""
    return [0] if length == 1 else [number % length for number in numbers]
