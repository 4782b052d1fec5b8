"""Anyone/latents: what a generator draws: sampled, drawn, mixed, interpolated, moved, saved and loaded."""
from __future__ import annotations

from functools import reduce
from pathlib import Path

import torch

from ..core.pose import EASINGS
from ..core.stylegan.directions import Directions, apply, ganspace, sefa
from ..core.stylegan.infer import (
    GeneratorNet,
    check_latent,
    interpolate_z,
    render,
    sample_latents,
    truncate,
)
from ..core.stylegan.latent_files import load_latent, save_latent
from ..core.stylegan.latents import Latent, interpolate, join, layer_rows, mix, walk, walk_to
from ..core.stylegan.network import NOISES
from . import host
from .host import Schema, io
from .wires import (
    GENERATOR,
    LATENT,
    expect_generator,
    expect_latent,
    expect_option,
    file_stamp,
    find_path,
    save_output,
    send,
)

SPACES = ("w", "z")
METHODS = ("SeFa", "GANSpace")
SLIDERS = 6
LAYERS = "all, coarse (pose, shape), middle, fine (colours), or numbers such as 0-3, 7"
CUTOFF = "Only so many layers, the coarse ones first, take truncation_psi; -1 = all."
FILES = (".safetensors", ".npz", ".pt")                   # of a folder


class AnyoneSampleLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSampleLatent",
            display_name="Sample Latent",
            category="Anyone/latents",
            description="Makes up people, or whatever else the generator draws: one latent per seed.",
            inputs=[
                GENERATOR.Input("generator", tooltip="From Load Generator."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                             optional=True, tooltip="Who appears, the same as in NVIDIA's scripts."),
                io.Int.Input("count", default=1, min=1, max=1024, optional=True,
                             tooltip="How many latents, with the seeds seed, seed + 1, and so on."),
                io.Float.Input("truncation_psi", default=0.7, min=-1.0, max=2.0, step=0.05, optional=True,
                               tooltip="1 = as drawn, varied; 0 = the average, safest; below 0 = the "
                                       "opposite."),
                io.Int.Input("truncation_cutoff", default=-1, min=-1, max=100, optional=True,
                             tooltip=CUTOFF),
                io.Int.Input("label", default=-1, min=-1, max=100000, optional=True,
                             tooltip="Number of the class, for generators with classes; -1 = none."),
            ],
            outputs=[LATENT.Output(display_name="latent", tooltip="For Render Latent and every edit.")],
            search_aliases=["stylegan2", "random person", "gan seed", "w plus", "truncation"],
        )

    @classmethod
    def execute(cls, generator, seed=0, count=1, truncation_psi=0.7, truncation_cutoff=-1, label=-1):
        return io.NodeOutput(sample_latents(
            expect_generator(generator), range(seed, seed + count), psi=truncation_psi,
            cutoff=known(truncation_cutoff), label=known(label), runtime=host.runtime()))


class AnyoneRenderLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneRenderLatent",
            display_name="Render Latent",
            category="Anyone/latents",
            description="Draws latents. Truncation takes them nearer to the generator's average first.",
            inputs=[
                GENERATOR.Input("generator", tooltip="The one the latents belong to, or a tuned one."),
                LATENT.Input("latent", tooltip="One picture for each."),
                io.Combo.Input("noise_mode", options=list(NOISES), default="const", optional=True,
                               tooltip="Fine detail such as single hairs: const = the generator's own, the "
                                       "same in every picture; random = another in every picture; none."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, optional=True,
                             tooltip="Chooses the random noise."),
                io.Float.Input("truncation_psi", default=1.0, min=-1.0, max=2.0, step=0.05, optional=True,
                               tooltip="1 = the latents as they are; 0 = the average; above 1 = further away "
                                       "from it."),
                io.Int.Input("truncation_cutoff", default=-1, min=-1, max=100, optional=True,
                             tooltip=CUTOFF),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="In the generator's size."),
                LATENT.Output(display_name="latent", tooltip="What was drawn, truncated."),
            ],
            search_aliases=["stylegan2", "synthesis", "generate person", "truncation", "noise"],
        )

    @classmethod
    def execute(cls, generator, latent, noise_mode="const", seed=0, truncation_psi=1.0, truncation_cutoff=-1):
        expect_option(noise_mode, NOISES, "noise_mode")
        net, drawn, runtime = expect_generator(generator), expect_latent(latent), host.runtime()
        if truncation_psi != 1:
            drawn = truncate(net, drawn, truncation_psi, known(truncation_cutoff), runtime=runtime)
        return io.NodeOutput(send(render(net, drawn, noise_mode, seed, runtime=runtime)), drawn)


class AnyoneMixLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneMixLatents",
            display_name="Mix Latents",
            category="Anyone/latents",
            description="Style mixing: some layers from one latent, the others from another, such as the "
                        "pose of one person in the colours of the other.",
            inputs=[
                LATENT.Input("latent_a", tooltip="Where all the other layers come from."),
                LATENT.Input("latent_b", tooltip="Where these layers come from."),
                io.String.Input("layers", default="coarse", dynamic_prompts=False, optional=True,
                                tooltip=f"Layers to take from b: {LAYERS}."),
            ],
            outputs=[LATENT.Output(display_name="latent", tooltip="As many as the longer input.")],
            search_aliases=["style mixing", "stylegan2", "crossover", "combine people"],
        )

    @classmethod
    def execute(cls, latent_a, latent_b, layers="coarse"):
        a, b = expect_latent(latent_a, "latent_a"), expect_latent(latent_b, "latent_b")
        return io.NodeOutput(mix(a, b, rows_of(a, layers)))


class AnyoneInterpolateLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneInterpolateLatents",
            display_name="Interpolate Latents",
            category="Anyone/latents",
            description="The way from latent to latent: one place on it, or all of it as an animation.",
            inputs=[
                LATENT.Input("latent_a", tooltip="Where the way begins; it goes through all of a batch."),
                LATENT.Input("latent_b", optional=True,
                             tooltip="How it goes on, through all of these, too."),
                GENERATOR.Input("generator", optional=True,
                                tooltip="Needed for space z: the one that sampled the latents."),
                io.Float.Input("t", default=0.5, min=0.0, max=1.0, step=0.01, optional=True,
                               tooltip="Which place: 0 = the first latent, 1 = the last, 0.5 = half way. "
                                       "Counts where frames is 0."),
                io.Int.Input("frames", default=0, min=0, max=1000, optional=True,
                             tooltip="Steps from each latent to the next: the whole way, both ends counted. "
                                     "0 = only the place t."),
                io.Boolean.Input("loop", default=False, optional=True,
                                 tooltip="The way also goes from the last latent back to the first, which "
                                         "does not come twice."),
                io.Combo.Input("space", options=list(SPACES), default="w", optional=True,
                               tooltip="w = straight on, for every latent; z = on the sphere that seeds "
                                       "lie on, for latents as they were sampled."),
                io.Combo.Input("easing", options=list(EASINGS), default="linear", optional=True,
                               tooltip="Pace from each latent to the next: even, starting slowly, ending "
                                       "slowly, or both."),
            ],
            outputs=[LATENT.Output(display_name="latent", tooltip="One for every place.")],
            search_aliases=["latent walk", "morph", "slerp", "lerp", "gan animation", "join latents"],
        )

    @classmethod
    def execute(cls, latent_a, latent_b=None, generator=None, t=0.5, frames=0, loop=False, space="w",
                easing="linear"):
        expect_option(space, SPACES, "space")
        expect_option(easing, tuple(EASINGS), "easing")
        way = expect_latent(latent_a, "latent_a")
        if latent_b is not None:
            way = join(way, expect_latent(latent_b, "latent_b"))
        start, end, share = walk(way, frames, loop) if frames else walk_to(way, t, loop)
        share = torch.from_numpy(EASINGS[easing](share.numpy()))
        if space == "w":
            return io.NodeOutput(interpolate(start, end, share))
        if generator is None:
            raise ValueError("space z needs generator, the one that sampled the latents; connect it.")
        return io.NodeOutput(interpolate_z(expect_generator(generator), start, end, share,
                                           runtime=host.runtime()))


class AnyoneLatentDirections(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        sliders = [io.Float.Input(
            f"strength_{number}", default=0.0, min=-10.0, max=10.0, step=0.1,
            display_mode=io.NumberDisplay.slider, optional=True,
            tooltip=f"How far along direction first + {number}, in standard deviations of random latents; "
                    f"about -3 to 3 look natural.") for number in range(SLIDERS)]
        return Schema(
            node_id="AnyoneLatentDirections",
            display_name="Latent Directions",
            category="Anyone/latents",
            description="Moves latents along directions in which the generator's pictures change most. They "
                        "are found on the spot; try what each does.",
            inputs=[
                GENERATOR.Input("generator", tooltip="Whose directions: the one the latents belong to."),
                LATENT.Input("latent", tooltip="What is moved, each in the same way."),
                io.Combo.Input("method", options=list(METHODS), default="SeFa", optional=True,
                               tooltip="SeFa = what the weights of the layers answer to most; GANSpace = in "
                                       "what random latents differ most."),
                io.String.Input("layers", default="all", dynamic_prompts=False, optional=True,
                                tooltip=f"Layers that are moved, and for SeFa asked: {LAYERS}."),
                io.Int.Input("first", default=0, min=0, max=10000, optional=True,
                             tooltip="Which direction strength_0 moves along; 0 = the strongest. Higher "
                                     "numbers reach weaker ones."),
                *sliders,
                io.Int.Input("frames", default=1, min=1, max=1000, optional=True,
                             tooltip="1 = only the moved latents; more = a series in even steps from the "
                                     "opposite of the strengths to the strengths."),
            ],
            outputs=[LATENT.Output(display_name="latent", tooltip="For a series of several latents: all of "
                                                                  "the first step, then all of the second.")],
            search_aliases=["sefa", "ganspace", "pca", "semantic edit", "sliders", "stylegan2"],
        )

    @classmethod
    def execute(cls, generator, latent, method="SeFa", layers="all", first=0, strength_0=0.0, strength_1=0.0,
                strength_2=0.0, strength_3=0.0, strength_4=0.0, strength_5=0.0, frames=1):
        expect_option(method, METHODS, "method")
        net, latent = expect_generator(generator), expect_latent(latent)
        check_latent(net, latent)
        rows = rows_of(latent, layers)
        directions = find_directions(net, method, rows)
        strengths = torch.tensor([0.0] * first + [strength_0, strength_1, strength_2, strength_3, strength_4,
                                                  strength_5])
        moved = [apply(latent, directions, (amount * strengths).tolist(), rows).w_plus
                 for amount in torch.linspace(1 if frames == 1 else -1, 1, frames)]
        return io.NodeOutput(latent.edited(torch.cat(moved)))


class AnyoneLoadLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadLatent",
            display_name="Load Latent",
            category="Anyone/latents",
            description="Loads latents of Save Latent, of NVIDIA's projector, or of dragging programs.",
            inputs=[
                io.String.Input("path", default="", dynamic_prompts=False,
                                tooltip="A file in the input folder, or a folder of them; \"name [output]\" "
                                        "is looked for in the output folder."),
            ],
            outputs=[
                LATENT.Output(display_name="latent", tooltip="All latents of the file, or of the folder's "
                                                             "files by name."),
                io.String.Output(display_name="note", tooltip="How many there are, and whose."),
            ],
            search_aliases=["projected_w.npz", "import latent", "w plus", "draggan"],
        )

    @classmethod
    def fingerprint_inputs(cls, path=""):
        return path and [file_stamp(file) for file in latent_paths(path)]

    @classmethod
    def execute(cls, path):
        latent = reduce(join, map(load_latent, latent_paths(path)))
        note = latent_note(latent)
        return io.NodeOutput(latent, note, ui={"text": [note]})


class AnyoneSaveLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSaveLatent",
            display_name="Save Latent",
            category="Anyone/latents",
            description="Saves latents in the output folder, never over an older file.",
            inputs=[
                LATENT.Input("latent", tooltip="From any node that makes latents."),
                io.String.Input("filename_prefix", default="latents/anyone", dynamic_prompts=False,
                                optional=True, tooltip="Saves PREFIX_00001_.safetensors."),
            ],
            outputs=[
                LATENT.Output(display_name="latent", tooltip="What was saved."),
                io.String.Output(display_name="path", tooltip="For the path of Load Latent."),
            ],
            is_output_node=True,
            search_aliases=["export latent", "safetensors", "w plus"],
        )

    @classmethod
    def execute(cls, latent, filename_prefix="latents/anyone"):
        latent = expect_latent(latent)
        path, file = save_output(lambda place: save_latent(latent, place), filename_prefix)
        return io.NodeOutput(latent, path, ui={"text": [path], "files": [file]})


def known(number: int) -> int | None:
    """Inputs say -1 where there is no number."""
    return None if number < 0 else number


def rows_of(latent: Latent, layers: str) -> list[int]:
    """The rows of w+ that `layers` means. Raises ValueError for none, such as the fine ones of 16x16."""
    rows = layer_rows(layers, latent.w_plus.shape[1])
    if not rows:
        raise ValueError(f"layers means none of the {latent.w_plus.shape[1]} that there are; got {layers!r}.")
    return rows


def find_directions(net: GeneratorNet, method: str, rows: list[int]) -> Directions:
    """`method`: one of METHODS; `rows` of w+ that are to be moved."""
    if method == "SeFa":
        return sefa(net, rows, runtime=host.runtime())
    return ganspace(net, runtime=host.runtime())


def latent_paths(path: str) -> list[Path]:
    """The file that a workflow names, or those of a folder, in the order of their names."""
    place = find_path(path, "latent")
    if not place.is_dir():
        return [place]
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in FILES)
    if not files:
        raise ValueError(f"path: the folder {place.name} has no files of latents; it should have "
                         f"{', '.join(FILES)}.")
    return files


def latent_note(latent: Latent) -> str:
    """How many there are, whose, and whether there is a way through z."""
    count, layers, width = latent.w_plus.shape
    return (f"{count} {'latent' if count == 1 else 'latents'} of {latent.generator}, {layers} layers of "
            f"{width} numbers{'' if latent.origin is None else ', with z'}.")
