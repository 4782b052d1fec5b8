"""Anyone/invert: own pictures for a generator: people aligned, their latents found, the generator tuned."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core.checkpoints import model_files, resolve
from ..core.people import Person
from ..core.people.frame import GREY
from ..core.perceptual import DETECTOR as EMBEDDED
from ..core.perceptual import Lpips
from ..core.pose import Pose, PoseFrame, from_coco, write_poses
from ..core.stylegan.align import Aligned, align_nobody, align_person
from ..core.stylegan.infer import generator_of, render
from ..core.stylegan.project import PERSON, SPACES, ProjectionSettings, project
from ..core.stylegan.regress import guess_latents
from ..core.stylegan.tune import TuningSettings, tune
from ..core.stylegan.tuned import TunedNet, load_delta, save_delta
from . import host
from .host import Schema, io, opt
from .load import stamp
from .subjects import Subjects, find_subjects
from .wires import (
    CROP,
    DETECTOR,
    GENERATOR,
    LATENT,
    POSE,
    CropBatch,
    expect_generator,
    expect_latent,
    expect_net,
    expect_option,
    file_stamp,
    find_path,
    save_output,
    send,
    send_picture,
)

BACKGROUNDS = {"keep": None, "white": 1.0, "grey": GREY}
PRESETS = {"published": ProjectionSettings(), "person": PERSON}
REGRESSION = "regression"
STARTS = (REGRESSION, "mean")
FEATURES = "perceptual network"                           # what errors call a file of features
LOADER = "Load Generator"


def features_input() -> io.Combo.Input:
    return opt(io.Combo.Input(
        "features", options=[EMBEDDED, *model_files(host.runtime())], default=EMBEDDED, optional=True,
        tooltip="What pictures are compared by: detect-person = what the embedded detector sees in them; or "
                "a file in models/anyone with LPIPS for VGG or torchvision's VGG-16."), advanced=True)


class AnyoneAlignPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneAlignPerson",
            display_name="Align Person",
            category="Anyone/invert",
            description="Cuts one person out of each picture as generators of people were trained on them: "
                        "the trunk in the middle, the whole person as high as the frame.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures of any size."),
                GENERATOR.Input("generator", tooltip="Its size is that of the frame."),
                io.Mask.Input("mask", optional=True, tooltip="1 = the people. Without it: from the pose."),
                POSE.Input("pose", optional=True, tooltip="Without it: the detector is asked."),
                DETECTOR.Input("detector", optional=True, tooltip="Without it: the embedded detector."),
                io.Int.Input("index", default=0, min=0, max=99, optional=True,
                             tooltip="Which of the people found, in the order of the pose; 0 = the first."),
                io.Combo.Input("background", options=list(BACKGROUNDS), default="keep", optional=True,
                               tooltip="What is behind the person: keep = the picture; white = as "
                                       "StyleGAN-Human was trained; grey."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The people in the frame."),
                io.Mask.Output(display_name="mask", tooltip="Where they are in the frame."),
                POSE.Output(display_name="pose", tooltip="Their poses in the frame."),
                CROP.Output(display_name="crop", tooltip="For Paste Person: where the frames lie."),
                io.String.Output(display_name="note", tooltip="Who was found and who could not be aligned."),
            ],
            search_aliases=["stylegan-human alignment", "crop for stylegan", "center person"],
        )

    @classmethod
    def execute(cls, image, generator, mask=None, pose=None, detector=None, index=0, background="keep"):
        expect_option(background, tuple(BACKGROUNDS), "background")
        size = generator_of(expect_generator(generator)).config.size(-1)
        subjects = find_subjects(image, mask, pose, detector)
        people, frames, problems = align_people(subjects, index, size, BACKGROUNDS[background])
        note = " ".join([subjects.note("cut to its middle"), *problems])
        return io.NodeOutput(
            send_picture(torch.stack([one.picture for one in people])),
            send(torch.stack([one.opacity for one in people])), write_poses(frames),
            CropBatch(tuple(people), *subjects.pictures.shape[-2:]), note, ui={"text": [note]})


class AnyoneInvertImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneInvertImage",
            display_name="Invert Image",
            category="Anyone/invert",
            description="Finds the latent whose picture comes nearest to a given one (projection), so that "
                        "own pictures can be edited as generated ones.",
            inputs=[
                GENERATOR.Input("generator", tooltip="From Load Generator, or a tuned one."),
                io.Image.Input("image", tooltip="People from Align Person; of others the middle part with "
                                                "the generator's aspect counts. Each for itself."),
                io.Combo.Input("space", options=list(SPACES), default="w+", optional=True,
                               tooltip="w+ = every layer has a latent of its own, comes nearest; w = one for "
                                       "all, is easier to edit."),
                io.Combo.Input("preset", options=list(PRESETS), default="published", optional=True,
                               tooltip="published = 1000 large steps, as for StyleGAN2-ADA; person = 450 "
                                       "small ones, as for StyleGAN-Human."),
                io.Int.Input("steps", default=0, min=0, max=100000, optional=True,
                             tooltip="0 = as many as the preset has."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                             optional=True, tooltip="Of the noise that the search is shaken with."),
                io.Combo.Input("start_from", options=list(STARTS), default=REGRESSION, optional=True,
                               tooltip="Where the search begins: regression = a latent guessed from the "
                                       "picture's colours; mean = the generator's average, as published."),
                LATENT.Input("latent", optional=True,
                             tooltip="Begins here instead: one for all pictures or one each, such as the "
                                     "result of an earlier inversion."),
                features_input(),
            ],
            outputs=[
                LATENT.Output(display_name="latent", tooltip="One per picture."),
                io.Image.Output(display_name="image", tooltip="What the generator makes of it."),
                io.String.Output(display_name="note", tooltip="How near it comes, and in what measure."),
            ],
            search_aliases=["projector", "gan inversion", "image to latent", "encode image", "w plus"],
        )

    @classmethod
    def fingerprint_inputs(cls, features=EMBEDDED, **others):
        return features and stamp(features, FEATURES, host.runtime())

    @classmethod
    def execute(cls, generator, image, space="w+", preset="published", steps=0, seed=0, start_from=REGRESSION,
                latent=None, features=EMBEDDED):
        expect_option(space, SPACES, "space")
        expect_option(preset, tuple(PRESETS), "preset")
        expect_option(start_from, STARTS, "start_from")
        net, runtime, network = expect_generator(generator), host.runtime(), read_features(features)
        settings = replace(PRESETS[preset], space=space, steps=steps or PRESETS[preset].steps)
        start = None if latent is None else expect_latent(latent)
        if start is None and start_from == REGRESSION:
            start = guess_latents(net, image, runtime=runtime)
        found = project(net, image, network, settings, seed=seed, start=start, runtime=runtime)
        note = "\n".join(
            f"Picture {number}: {distance:.3g} away, from {before:.3g} at the start ({network.title})."
            for number, (distance, before) in enumerate(zip(found.distances, found.starts, strict=True), 1))
        return io.NodeOutput(found.latent, send(render(net, found.latent, runtime=runtime)), note,
                             ui={"text": [note]})


class AnyoneTuneGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneTuneGenerator",
            display_name="Tune Generator",
            category="Anyone/invert",
            description="Teaches the generator the last details of a picture around its latent (pivotal "
                        "tuning). The loaded generator stays as it is.",
            inputs=[
                GENERATOR.Input("generator", tooltip="From Load Generator, not tuned yet."),
                io.Image.Input("image", tooltip="The picture that was inverted; several are learned "
                                                "together."),
                LATENT.Input("latent", tooltip="From Invert Image."),
                io.Int.Input("steps", default=350, min=1, max=100000, optional=True,
                             tooltip="At most so many."),
                io.Float.Input("learning_rate", default=0.0005, min=0.00001, max=0.1, step=0.0001,
                               round=False, optional=True, tooltip="How far a step goes; higher = faster and "
                                                                   "rougher."),
                opt(io.Float.Input("enough", default=0.04, min=0.0, max=100.0, step=0.01, round=False,
                                   optional=True, tooltip="Ends sooner where the picture is this near; 0 = "
                                                          "never."), advanced=True),
                features_input(),
            ],
            outputs=[
                GENERATOR.Output(display_name="generator", tooltip="The tuned one: draws and drags this "
                                                                   "latent as the picture."),
                io.Image.Output(display_name="image", tooltip="What it makes of the latent."),
                io.String.Output(display_name="note", tooltip="How near it comes, and in what measure."),
            ],
            search_aliases=["pivotal tuning", "pti", "gan inversion", "finetune"],
        )

    @classmethod
    def fingerprint_inputs(cls, features=EMBEDDED, **others):
        return features and stamp(features, FEATURES, host.runtime())

    @classmethod
    def execute(cls, generator, image, latent, steps=350, learning_rate=0.0005, enough=0.04,
                features=EMBEDDED):
        net, pivot, runtime = expect_generator(generator), expect_latent(latent), host.runtime()
        network = read_features(features)
        learned = tune(net, image, pivot, network, TuningSettings(steps, learning_rate, enough),
                       runtime=runtime)
        tuned = TunedNet(expect_net(net, "generator", LOADER), learned.delta)
        distances = learned.distances
        note = (f"Tuned in {len(distances) - 1} steps: {distances[-1]:.3g} away, from {distances[0]:.3g} at "
                f"the start ({network.title}).")
        return io.NodeOutput(tuned, send(render(tuned, pivot, runtime=runtime)), note, ui={"text": [note]})


class AnyoneLoadTuning(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadTuning",
            display_name="Load Tuning",
            category="Anyone/invert",
            description="Tunes a generator as Save Tuning wrote it down.",
            inputs=[
                GENERATOR.Input("generator", tooltip="The one that was tuned, as it was loaded."),
                io.String.Input("path", default="", dynamic_prompts=False,
                                tooltip="A file in the input folder; \"name [output]\" is looked for in the "
                                        "output folder."),
            ],
            outputs=[
                GENERATOR.Output(display_name="generator", tooltip="The tuned one, for the latent it was "
                                                                   "tuned around."),
                io.String.Output(display_name="note", tooltip="Whose tuning it is, and how large."),
            ],
            search_aliases=["pivotal tuning", "pti", "load delta", "stylegan lora"],
        )

    @classmethod
    def fingerprint_inputs(cls, path="", **others):
        return path and file_stamp(find_path(path, "tuning"))

    @classmethod
    def execute(cls, generator, path):
        net, delta = expect_net(generator, "generator", LOADER), load_delta(find_path(path, "tuning"))
        note = f"{net.name} with a tuning of {delta.generator}, {len(delta.changes)} tensors."
        return io.NodeOutput(TunedNet(net, delta), note, ui={"text": [note]})


class AnyoneSaveTuning(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSaveTuning",
            display_name="Save Tuning",
            category="Anyone/invert",
            description="Saves what tuning changed about a generator in the output folder, never over an "
                        "older file.",
            inputs=[
                GENERATOR.Input("generator", tooltip="From Tune Generator."),
                io.String.Input("filename_prefix", default="tunings/anyone", dynamic_prompts=False,
                                optional=True, tooltip="Saves PREFIX_00001_.safetensors."),
            ],
            outputs=[
                GENERATOR.Output(display_name="generator", tooltip="The tuned one, to go on with."),
                io.String.Output(display_name="path", tooltip="For the path of Load Tuning."),
            ],
            is_output_node=True,
            search_aliases=["export tuning", "pti", "save delta", "safetensors"],
        )

    @classmethod
    def execute(cls, generator, filename_prefix="tunings/anyone"):
        net = expect_generator(generator)
        if not isinstance(net, TunedNet):
            raise ValueError(f"generator is {net.name} as it was loaded; connect one from Tune Generator.")
        path, file = save_output(lambda place: save_delta(net.delta, place), filename_prefix)
        return io.NodeOutput(net, path, ui={"text": [path], "files": [file]})


def read_features(name: str) -> Lpips:
    """Made outside inference mode, for gradients go through it."""
    with torch.inference_mode(False), torch.no_grad():
        if name == EMBEDDED:
            return Lpips.detector()
        return Lpips.vgg16(resolve(name, FEATURES, host.runtime()))


def align_people(subjects: Subjects, index: int, size: tuple[int, int],
                 behind: float | None) -> tuple[list[Aligned], list[PoseFrame], list[str]]:
    """Person `index` of every picture in a frame of this size, their poses there, and sentences about those
    who cannot be aligned. Raises ValueError when nobody can be, though there are people."""
    made, problems = [], []
    for number, (picture, people) in enumerate(zip(subjects.pictures, subjects.people, strict=True), 1):
        one = align_nobody(picture, *size), PoseFrame(size[1], size[0])
        try:
            one = align_one(picture, people, index, size, behind) if people else one
        except ValueError as error:
            problems.append(f"Picture {number} is not aligned: {error}")
        made.append(one)
    aligned, frames = map(list, zip(*made, strict=True))
    if problems and not any(frame.people for frame in frames):
        raise ValueError(problems[0])
    return aligned, frames, problems


def align_one(picture: Tensor, people: Sequence[Person], index: int, size: tuple[int, int],
              behind: float | None) -> tuple[Aligned, PoseFrame]:
    """Raises ValueError for people who cannot be aligned, and when there are too few."""
    if index >= len(people):
        raise ValueError(f"index is {index}, but it shows {len(people)}, counted from 0.")
    (height, width), person = size, people[index]
    pose = from_coco(person.keypoints, picture.shape[2], picture.shape[1])
    aligned = align_person(picture, pose, person.mask.float(), height, width, behind)
    joints = aligned.frame.inwards(pose.keypoints) + 0.5
    return aligned, PoseFrame(width, height, (Pose(joints, pose.scores, width, height),))
