"""Anyone/styles: what each region looks like: read from pictures, mixed, crossed over, and drawn."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core.checkpoints import LoadedNet
from ..core.image import cycle_to, image_to_bchw, lay_over
from ..core.regions import FACE_REGIONS, RegionMap
from ..core.sean.codes import FILE, StyleCodes, load_codes, read_code_folder, save_codes
from ..core.sean.infer import encode_styles, fit_labels, net_regions, network_labels, render
from ..core.sean.styles import (
    PARTS,
    block_index,
    block_names,
    crossover_styles,
    fill_missing,
    interpolate_styles,
    mean_styles,
    mix_styles,
    own_means,
)
from . import host
from .host import Schema, io
from .subjects import read_masks
from .wires import (
    REGIONS,
    STYLER,
    STYLES,
    expect_net,
    expect_option,
    expect_regions,
    expect_styles,
    file_stamp,
    find_path,
    read_names,
    save_output,
    send,
    send_picture,
)

BLOCKS = (*PARTS, "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
PUBLISHED_FACES = "sean-celebahq"
LOADER = "Load Region Styler"


class AnyoneEncodeStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneEncodeStyles",
            display_name="Encode Styles",
            category="Anyone/styles",
            description="Reads from pictures what each of their regions looks like: one style code per "
                        "region.",
            inputs=[
                STYLER.Input("styler", tooltip="From Load Region Styler; it also has to draw the styles."),
                io.Image.Input("image", tooltip="Pictures of any size; one person each."),
                REGIONS.Input("regions", tooltip="The regions of the same pictures."),
                STYLES.Input("means", optional=True,
                             tooltip="Styles for regions a picture does not have, such as the published mean "
                                     "codes. Without it these stay missing."),
            ],
            outputs=[
                STYLES.Output(display_name="styles", tooltip="A code for each region of each picture."),
                io.String.Output(display_name="note", tooltip="Which regions each picture has."),
            ],
            search_aliases=["sean", "style encoder", "extract style", "style codes"],
        )

    @classmethod
    def execute(cls, styler, image, regions, means=None):
        net, regions = expect_net(styler, "styler", LOADER), expect_regions(regions)
        found = encode_styles(net, image, regions, host.runtime())
        styles = found if means is None else fill_missing(found, expect_styles(means, "means"))
        note = encoded_note(shown_regions(net, regions), found, styles)
        return io.NodeOutput(styles, note, ui={"text": [note]})


class AnyoneMixStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        sources = [item for name in "abc" for item in (
            STYLES.Input(name, optional=True, tooltip="Styles to take some regions from; a later source "
                                                      "comes on top of the earlier ones."),
            io.String.Input(f"{name}_names", default="", dynamic_prompts=False, optional=True,
                            tooltip=f"Regions to take from {name}, with commas between, such as hair, "
                                    f"headwear. Empty: all."),
            io.Float.Input(f"{name}_strength", default=1.0, min=0.0, max=1.0, step=0.05, optional=True,
                           tooltip=f"1 = the style of {name}; 0 = as before; 0.5 = half way."))]
        return Schema(
            node_id="AnyoneMixStyles",
            display_name="Mix Styles",
            category="Anyone/styles",
            description="Puts styles together region by region: hair from one picture, top from another.",
            inputs=[STYLES.Input("styles", tooltip="Where all the other regions come from."), *sources],
            outputs=[STYLES.Output(display_name="styles", tooltip="As many as the longest input.")],
            search_aliases=["style transfer", "combine styles", "swap clothes", "change hair"],
        )

    @classmethod
    def execute(cls, styles, a=None, a_names="", a_strength=1.0, b=None, b_names="", b_strength=1.0, c=None,
                c_names="", c_strength=1.0):
        mixed = expect_styles(styles)
        for name, source, names, strength in (
                ("a", a, a_names, a_strength), ("b", b, b_names, b_strength), ("c", c, c_names, c_strength)):
            if source is not None:
                taken = read_names(names, mixed.names) or mixed.names
                mixed = mix_styles(mixed, dict.fromkeys(taken, (expect_styles(source, name), strength)))
        return io.NodeOutput(mixed)


class AnyoneInterpolateStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneInterpolateStyles",
            display_name="Interpolate Styles",
            category="Anyone/styles",
            description="Makes the styles between two, in even steps.",
            inputs=[
                STYLES.Input("styles_a", tooltip="The first of the series."),
                STYLES.Input("styles_b", tooltip="The last of the series."),
                io.Int.Input("steps", default=7, min=2, max=10000, optional=True,
                             tooltip="How many there are, both ends counted."),
                io.String.Input("names", default="", dynamic_prompts=False, optional=True,
                                tooltip="Regions that change, with commas between; the others stay as in a. "
                                        "Empty: all."),
                io.Boolean.Input("loop", default=False, optional=True,
                                 tooltip="Also makes the way back; neither end comes twice."),
            ],
            outputs=[STYLES.Output(display_name="styles", tooltip="For a series of pictures: all of the "
                                                                  "first step, then all of the second.")],
            search_aliases=["style morph", "blend styles", "style animation", "pingpong"],
        )

    @classmethod
    def execute(cls, styles_a, styles_b, steps=7, names="", loop=False):
        a, b = expect_styles(styles_a, "styles_a"), expect_styles(styles_b, "styles_b")
        amounts = torch.linspace(0, 1, steps).tolist()
        back = amounts[-2:0:-1] if loop else []
        return io.NodeOutput(interpolate_styles(a, b, amounts + back, read_names(names, a.names) or None))


class AnyoneCrossoverStyles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneCrossoverStyles",
            display_name="Crossover Styles",
            category="Anyone/styles",
            description="The early blocks of the network, which lay out large features, take one style; the "
                        "late ones, which mainly colour, another.",
            inputs=[
                STYLER.Input("styler", tooltip="From Load Region Styler: whose blocks these are."),
                STYLES.Input("coarse", tooltip="Styles of the early blocks."),
                STYLES.Input("fine", tooltip="Styles of the late blocks."),
                io.Combo.Input("change_at", options=list(BLOCKS), default="middle", optional=True,
                               tooltip="The first block that takes the fine styles: middle = after a third "
                                       "of the blocks, fine = after two thirds, or a block by its name."),
            ],
            outputs=[STYLES.Output(display_name="styles", tooltip="With a code per block; can be crossed "
                                                                  "over again.")],
            search_aliases=["style mixing", "style crossover", "coarse fine"],
        )

    @classmethod
    def execute(cls, styler, coarse, fine, change_at="middle"):
        expect_option(change_at, BLOCKS, "change_at")
        net = expect_net(styler, "styler", LOADER)
        coarse, fine = expect_styles(coarse, "coarse"), expect_styles(fine, "fine")
        early = block_index(net, change_at)
        late = len(block_names(net)) - early
        return io.NodeOutput(crossover_styles([coarse] * early + [fine] * late))


class AnyoneRenderRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneRenderRegions",
            display_name="Render Regions",
            category="Anyone/styles",
            description="Draws region maps, every region in its style. With a picture only the person in it "
                        "changes.",
            inputs=[
                STYLER.Input("styler", tooltip="From Load Region Styler, the one that read the styles."),
                REGIONS.Input("regions", tooltip="What to draw where."),
                STYLES.Input("styles", optional=True,
                             tooltip="What the regions look like. Networks that draw from maps alone (SPADE) "
                                     "need none."),
                io.Int.Input("noise", default=0, min=0, max=2**64 - 1, optional=True,
                             tooltip="Seed of the noise the published code adds; 0 = none."),
                io.Image.Input("image", optional=True, tooltip="Pictures to draw into."),
                io.Mask.Input("mask", optional=True,
                              tooltip="1 = where to draw into image. Without it: all but the background."),
                io.Float.Input("feather", default=0.0, min=0.0, max=256.0, step=0.5, optional=True,
                               tooltip="Softens the seam in image by so many pixels; 0 = a hard edge."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The drawing, or image with it inside the mask "
                                                              "and every other pixel as it was."),
                io.Mask.Output(display_name="mask", tooltip="1 = drawn; without an image, all but the "
                                                            "background."),
                io.String.Output(display_name="note", tooltip="Which regions had no style of their own."),
            ],
            search_aliases=["sean", "spade", "semantic image synthesis", "restyle", "segmentation to image"],
        )

    @classmethod
    def execute(cls, styler, regions, styles=None, noise=0, image=None, mask=None, feather=0.0):
        net, regions = expect_net(styler, "styler", LOADER), expect_regions(regions)
        if image is None and mask is not None:
            raise ValueError("mask says where to draw into image; connect image, too.")
        pictures = None if image is None else image_to_bchw(image)
        regions = regions if pictures is None else fitted(regions, pictures)
        given = None if styles is None else expect_styles(styles)
        filled = None if given is None else completed(net, given)
        drawn = render(net, regions, filled, noise, runtime=host.runtime()).movedim(-1, 1)
        note = drawn_note(shown_regions(net, regions), given, filled)
        person = cycle_to(regions.labels > 0, len(drawn))
        drawn, share = (drawn, person.float()) if pictures is None else \
            draw_into(pictures, drawn, person, mask, feather)
        return io.NodeOutput(send_picture(drawn), send(share), note, ui={"text": [note]})


class AnyoneLoadStyleCodes(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneLoadStyleCodes",
            display_name="Load Style Codes",
            category="Anyone/styles",
            description="Loads styles that Save Style Codes wrote, or a published folder of them.",
            inputs=[
                io.String.Input("path", default="", dynamic_prompts=False,
                                tooltip="A file or a folder in the input folder; \"name [output]\" is looked "
                                        "for in the output folder."),
                STYLER.Input("styler", optional=True,
                             tooltip="Names the numbered regions of a published folder. Without it: the 19 "
                                     "regions of faces."),
            ],
            outputs=[
                STYLES.Output(display_name="styles", tooltip="As they were saved."),
                io.String.Output(display_name="note", tooltip="Which regions there are."),
            ],
            search_aliases=["mean style code", "ACE.npy", "sean", "load style"],
        )

    @classmethod
    def fingerprint_inputs(cls, path="", **others):
        if not path:                                       # it comes from a node
            return ""
        place = find_path(path, "style code")
        return [file_stamp(file) for file in (sorted(place.glob(f"*/{FILE}")) if place.is_dir() else [place])]

    @classmethod
    def execute(cls, path, styler=None):
        place = find_path(path, "style code")
        if not place.is_dir():
            styles = load_codes(place)
        elif styler is None:
            styles = read_code_folder(place, FACE_REGIONS, PUBLISHED_FACES)
        else:
            net = expect_net(styler, "styler", LOADER)
            styles = read_code_folder(place, net_regions(net), net.name)
        note = per_picture([there(styles.names, row) for row in styles.present])
        return io.NodeOutput(styles, note, ui={"text": [note]})


class AnyoneSaveStyleCodes(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return Schema(
            node_id="AnyoneSaveStyleCodes",
            display_name="Save Style Codes",
            category="Anyone/styles",
            description="Saves styles in the output folder, never over an older file.",
            inputs=[
                STYLES.Input("styles", tooltip="From any node that makes styles."),
                io.String.Input("filename_prefix", default="styles/anyone", dynamic_prompts=False,
                                optional=True, tooltip="Saves PREFIX_00001_.safetensors."),
            ],
            outputs=[
                STYLES.Output(display_name="styles", tooltip="What was saved."),
                io.String.Output(display_name="path", tooltip="For the path of Load Style Codes."),
            ],
            is_output_node=True,
            search_aliases=["export style", "style library", "safetensors"],
        )

    @classmethod
    def execute(cls, styles, filename_prefix="styles/anyone"):
        styles = expect_styles(styles)
        path, file = save_output(lambda place: save_codes(styles, place), filename_prefix)
        return io.NodeOutput(styles, path, ui={"text": [path], "files": [file]})


def fitted(regions: RegionMap, pictures: Tensor) -> RegionMap:
    """The map in the size of pictures [B,3,H,W] of the same aspect."""
    (map_height, map_width), (height, width) = regions.labels.shape[1:], pictures.shape[2:]
    if height * map_width != width * map_height:
        raise ValueError(f"The region map is {map_width}x{map_height} but image {width}x{height}; they "
                         f"should show the same picture.")
    return replace(regions, labels=fit_labels(regions.labels, (height, width)))


def draw_into(pictures: Tensor, drawn: Tensor, person: Tensor, mask: Tensor | None,
              feather: float) -> tuple[Tensor, Tensor]:
    """Pictures [B,3,H,W] with the drawing inside the mask, else inside `person` [B,H,W] bool, and its share
    [B,H,W] of every pixel."""
    masks = [one for one in read_masks(mask, *pictures.shape[2:]) if one is not None]
    inside = torch.stack(masks) if masks else person
    count = max(len(pictures), len(drawn), len(inside))
    return lay_over(cycle_to(pictures, count), cycle_to(drawn, count), cycle_to(inside, count), feather)


def completed(net: LoadedNet, styles: StyleCodes) -> StyleCodes:
    """Missing rows as the mean over the batch, else as the network's own mean, if it has one."""
    own = own_means(net)
    return fill_missing(styles, mean_styles(styles), *([] if own is None else [own]))


def shown_regions(net: LoadedNet, regions: RegionMap) -> Tensor:
    """[B,R] bool: which of the network's regions the maps have."""
    names = net_regions(net)
    return torch.stack([torch.bincount(labels.flatten(), minlength=len(names)) > 0
                        for labels in network_labels(regions, names)])


def there(names: tuple[str, ...], rows: Tensor) -> str:
    """Those `names` for which `rows` [R] bool is set, with commas between."""
    return ", ".join(name for name, row in zip(names, rows.tolist(), strict=True) if row)


def per_picture(texts: list[str]) -> str:
    """One line per picture, numbered when there are several."""
    if len(texts) == 1:
        return f"{texts[0]}."
    return "\n".join(f"Picture {number}: {text}." for number, text in enumerate(texts, 1))


def encoded_note(shown: Tensor, found: StyleCodes, styles: StyleCodes) -> str:
    """`shown` [B,R]: regions of the maps. `found`: what was read, `styles`: with what the means added."""
    shown = cycle_to(shown, len(found))
    texts = []
    for had, read, has in zip(shown, found.present, styles.present, strict=True):
        parts = {"": read, "from the means: ": has & ~read, "too small to read: ": had & ~read}
        texts.append("; ".join(title + there(found.names, rows) for title, rows in parts.items()
                               if rows.any()))
    return per_picture(texts)


def drawn_note(shown: Tensor, given: StyleCodes | None, filled: StyleCodes | None) -> str:
    """`shown` [B,R]: regions of the maps. `given`: their styles, `filled`: with means for missing ones."""
    if given is None or filled is None:
        return "Drawn without styles."
    count = max(len(shown), len(given))
    bare = cycle_to(shown, count) & ~cycle_to(filled.present, count)               # [B,R]
    lent = cycle_to(shown, count) & ~cycle_to(given.present, count) & ~bare
    texts = [f"{title}: {there(given.names, rows.any(0))}." for title, rows in (
        ("In a mean style", lent), ("Without any style, mix one in", bare)) if rows.any()]
    return " ".join(texts) or "Every region has its style."
