"""Golden runners of StyleGAN2's generator and discriminator, and of dragging."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from anyone.core.drag import Box, DragSettings, Session
from anyone.core.drag.fast import CroppedMap
from anyone.core.drag.plain import WholeMap
from anyone.core.equalised import add_deviation, binomial_filter
from anyone.core.stylegan import weights
from anyone.core.stylegan.discriminator import Discriminator
from anyone.core.stylegan.drag import DragSource
from anyone.core.stylegan.fast import FastGenerator
from anyone.core.stylegan.infer import sample_w
from anyone.core.stylegan.network import Generator
from anyone.core.stylegan.project import ProjectionSettings, Projector, Statistics, noise_planes
from anyone.core.stylegan.windows import drag_source
from torch import Tensor

PICTURE = re.compile(r"out\.(?:img|feat(?P<block>\d+))(?:_psi(?P<psi>\d+)|_mix(?P<mix>\d+)"
                     r"|_clamp(?P<clamp>[\d.]+)|_(?P<input>ws_all))?(?:_(?P<noise>const|none))?(?:_\w+)?")
LATENT = re.compile(r"out\.(?P<kind>w|ws|w0|w_c0)(?:_psi(?P<psi>\d+))?(?:_cut(?P<cut>\d+))?")
SEED = re.compile(r"RandomState\((\d+)\)\.randn\(1, ?(\d+)\).* psi ([\d.]+)")
LOOK = re.compile(r"out\.(?:drag_img|(?:drag_feat|feat(?=\d_step0))(?P<block>\d+)).*")
DRAGS = {"": (DragSource, WholeMap), "[fast]": (drag_source, CroppedMap)}
MakeGenerator = Callable[[str | None], Any]               # conv_clamp, None for that of the case -> generator


def run_generator(case: Any) -> dict[str, Tensor]:
    """Both forms of the network: pictures and features of the fast one are called `NAME[fast]`."""
    state, arguments = weights.select(tree(case)), case.manifest.get("init_kwargs", {})

    def make(clamp: str | None) -> Generator:
        chosen = {"conv_clamp": float(clamp)} if clamp else arguments.get("G_ema", arguments)
        return weights.read_generator(state or {}, {"arguments": json.dumps(chosen)})

    found = latents(case, make(None)) | pictures(case, make)
    fast = pictures(case, lambda clamp: FastGenerator(make(clamp)))
    return found | {f"{name}[fast]": value for name, value in fast.items()}


def tree(case: Any) -> dict[str, Any]:
    """A file's tree, from the flat keys of the manifest."""
    found: dict[str, Any] = {}
    for key, value in case.state(kept_filter).items():
        network, _, inside = key.partition(".")
        if network in ("G_ema", "D", "g_ema"):
            found.setdefault(network, {})[inside] = value
        else:
            found[key] = value
    return found


def kept_filter(key: str) -> Tensor:
    return binomial_filter() * (4 if key.endswith(".kernel") else 1)


def psi_of(match: re.Match) -> float:
    """ "07" is 0.7."""
    return float(f"{match['psi'][0]}.{match['psi'][1:]}") if match["psi"] else 1.0


def latents(case: Any, generator: Generator) -> dict[str, Tensor]:
    z, c, found = case.inputs["in.z"], case.inputs.get("in.c"), {}
    for name in case.expected:
        match = LATENT.fullmatch(name)
        if match is None:
            continue
        if match["kind"] == "w0":
            found[name] = generator.mapping(z[:1], psi=0.7)[0]
            continue
        ws = generator.mapping(z, None if match["kind"] == "w_c0" else c, psi_of(match),
                               int(match["cut"]) if match["cut"] else None)
        found[name] = ws if match["kind"] == "ws" else ws[:, 0]
    return found


def pictures(case: Any, make: MakeGenerator) -> dict[str, Tensor]:
    usual, found = make(None), {}
    for name, expected in case.expected.items():
        match = PICTURE.fullmatch(name)
        if match is None:
            continue
        generator, about = make(match["clamp"]) if match["clamp"] else usual, case.about(name)
        ws = rows(case, generator, match, about, len(expected) if expected.ndim == 4 else 1)
        noise = match["noise"] or "const"
        value = (generator.picture(ws, noise) if match["block"] is None
                 else generator.features(ws, int(match["block"]), noise).x)
        if name.endswith("_u8"):
            value = (value[0] * 127.5 + 128).clamp(0, 255).byte()
        found[name] = cut(value, about)
    return found


def rows(case: Any, generator: Any, match: re.Match, about: str, count: int) -> Tensor:
    """The latents of a picture: mixed, given, or those of `count` z from the row named by the text on."""
    if match["input"]:
        return case.inputs[f"in.{match['input']}"]
    ws = generator.mapping(case.inputs["in.z"], case.inputs.get("in.c"), psi_of(match))
    if match["mix"]:
        return torch.cat([ws[:1, :int(match["mix"])], ws[1:2, int(match["mix"]):]], 1)
    first = re.search(r"\b(?:rows?|sample) (\d+)", about)
    start = int(first[1]) if first else 0
    return ws[start:start + count]


def cut(value: Tensor, about: str) -> Tensor:
    """What texts as "[:, ::8, 96:160]" and "first 4 channels" leave of a value."""
    few, slices = re.search(r"first (\d+) channels", about), re.search(r"\[(:[:\d, ]*)\]", about)
    if few:
        value = value[:, :int(few[1])]
    if slices:
        value = value[tuple(slice(*(int(end) if end.strip() else None for end in part.split(":")))
                            for part in slices[1].split(","))]
    return value


def run_conditional(case: Any) -> dict[str, Tensor]:
    discriminator = read_discriminator(case)
    c, image = case.inputs["in.c"], case.expected["out.img"]
    assert discriminator.mapping is not None
    return run_generator(case) | {"out.cmap": discriminator.mapping.map(image.new_empty(len(image), 0), c),
                                  "out.logits": discriminator(image, c)}


def read_discriminator(case: Any) -> Discriminator:
    arguments = case.manifest["init_kwargs"]
    return weights.read_discriminator(weights.select_discriminator(tree(case)) or {},
                                      {"discriminator_arguments": json.dumps(arguments.get("D", arguments))})


def run_discriminator(case: Any) -> dict[str, Tensor]:
    discriminator, x = read_discriminator(case), case.inputs["in.x"].clone().requires_grad_()
    with torch.enable_grad():
        logits = discriminator(x)
        gradient, = torch.autograd.grad(logits.sum(), x)
    found = {"out.logits": logits, "out.r1": gradient.square().sum((1, 2, 3))}
    features, image, inside = None, x, {}
    for name, block in zip(discriminator.names, discriminator.blocks, strict=True):
        features, image = block(features, image)
        inside[f"out.{name}"] = features
    found["out.mbstd"] = add_deviation(features, discriminator.config.group)[:, -1, 0, 0]
    for name, expected in case.expected.items():
        first = re.fullmatch(r"out\.logits_first(\d+)", name)
        if first:
            found[name] = discriminator(x[:int(first[1])])
        elif name.startswith("out.grad"):
            found[name] = cut(gradient, case.about(name))
        elif name in inside:
            found[name] = cut(inside[name][:len(expected)], case.about(name))
    return found


def run_projector(case: Any) -> dict[str, Tensor]:
    generator, named = weights.read_generator(tree(case)), case.json["arguments"]
    settings = ProjectionSettings(
        steps=named["num_steps"], rate=named["initial_learning_rate"], samples=named["w_avg_samples"],
        wander=named["initial_noise_factor"], wander_length=named["noise_ramp_length"],
        ramp_up=named["lr_rampup_length"], ramp_down=named["lr_rampdown_length"],
        noise_weight=named["regularize_noise_weight"])
    target = case.inputs["in.target_u8"][None] / 127.5 - 1
    target = target.repeat_interleave(generator.config.size(-1)[0] // target.shape[2], 2)
    target = target.repeat_interleave(generator.config.size(-1)[1] // target.shape[3], 3)
    statistics = Statistics.of(sample_w(generator.mapping, settings.samples, 123))
    planes = dict(generator.synthesis.named_buffers())
    names = [name.removeprefix("in.noise0.") for name in case.inputs if name.startswith("in.noise0.")]
    for name in names:
        planes[name].copy_(case.inputs[f"in.noise0.{name}"])
    projector = Projector(generator, coarse_colours, target, statistics.mean[None, None],
                          noise_planes(generator), settings)
    steps, rows, gradients = [], [], []
    for number, draw in enumerate(case.inputs["in.w_noise"]):
        steps.append(projector.step(number, draw * statistics.deviation * settings.wander_at(number)))
        rows.append(projector.w.detach()[0, 0].clone())
        gradients.append(projector.w.grad[0, 0])
    return {"out.w_mean": statistics.mean, "out.w_std": torch.tensor([statistics.deviation]),
            "out.lr": torch.tensor([settings.rate_at(number) for number in range(settings.steps)]),
            "out.dist": torch.tensor([step.distance for step in steps]),
            "out.loss": torch.tensor([step.loss for step in steps]),
            "out.w": torch.stack(rows), "out.grad0": gradients[0],
            **{f"out.noise_final.{name}": planes[name] for name in names}}


def coarse_colours(picture: Tensor) -> Tensor:
    """What the case puts in the place of the perceptual network."""
    return F.avg_pool2d((picture + 1) * 127.5, 8).flatten(1) / 100


def run_drag(case: Any) -> dict[str, Tensor]:
    generator = FastGenerator(weights.read_generator(tree(case)))
    seed, width, psi = SEED.search(case.json["start"]).groups()
    z = torch.from_numpy(np.random.RandomState(int(seed)).randn(1, int(width)))
    ws = generator.mapping(z, psi=float(psi))
    return {"out.w0": ws[0]} | drags(case, generator, ws, ws)


def run_human(case: Any) -> dict[str, Tensor]:
    generator = FastGenerator(weights.read_generator(tree(case)))
    seen, start = (generator.mapping(case.inputs["in.z"][:1], psi=psi) for psi in (1, 0.7))
    return run_generator(case) | drags(case, generator, seen, start)


def drags(case: Any, generator: FastGenerator, seen: Tensor, start: Tensor) -> dict[str, Tensor]:
    """What dragging sees of one latent, and all runs from another; both forms of the loop and the network."""
    found = {}
    for form, (make_source, look) in DRAGS.items():
        for name in case.expected:
            match = LOOK.fullmatch(name)
            if match:
                source = make_source(generator, seen, int(match["block"] or 0))
                found[name + form] = thinned(canvas(source, match["block"]), name, case.about(name))
        for run, about in case.json["runs"].items():
            source = make_source(generator, start, about["feature_idx"])
            values = one_run(case, run, source, look)
            found |= {name + form: value for name, value in values.items() if name in case.expected}
    return found


def canvas(source: DragSource, block: str | None) -> Tensor:
    """The features [1,C,h,w] at the start, or without `block` the picture [1,3,H,W] on white."""
    if block:
        return source.features(source.start, [Box(0, 0, *source.map_size)])[0][None]
    return F.pad(source.generator.picture(source.ws), source.margin[1:] * 2, value=1)


def thinned(value: Tensor, name: str, about: str) -> Tensor:
    """As `cut`; where the text has no slices, the name does: "_c8_s2"."""
    channels, pixels = (int(match[1]) if match else 1 for match in
                        (re.search(rf"_{letter}(\d+)", name) for letter in "cs"))
    return cut(value, about) if "::" in about else value[..., ::channels, ::pixels, ::pixels]


def one_run(case: Any, run: str, source: DragSource, look: Any) -> dict[str, Tensor]:
    about, margin = case.json["runs"][run], torch.tensor(source.margin)
    handles, targets = ((torch.tensor(about[name]) - margin).flip(1) for name in ("points", "targets"))
    settings = DragSettings(learning_rate=about["lr"], space=about["space"], motion_radius=about["r1"],
                            tracking_radius=about["r2"], mask_weight=about["lambda_mask"])
    session = Session(source, handles, targets, settings, free(case, about["mask"], source), look)
    series, gradients, found = [], [], {}
    for count in range(about["max_steps"] if "max_steps" in about else about["steps"]):
        step = session.observe()
        gradients += [] if step.arrived else [session.update()]
        series.append({"points": step.handles.flip(1) + margin, "n_active": step.active, "stop": step.arrived,
                       "loss_motion": step.motion, "loss_fix": step.fixed, "loss": step.loss,
                       "w": session.parameter.detach().clone()})
        for name in case.expected:
            if name.startswith(f"out.img_step{count}_") and re.search(rf"run {run}\b", case.about(name)):
                picture = source.generator.picture(source.latent(step.rows))[0] * 127.5 + 128
                found[name] = thinned(picture.clamp(0, 255).byte(), name, case.about(name))
        if step.arrived:
            break
    found |= {f"out.{run}.{what}": torch.stack([torch.as_tensor(step[what]) for step in series])
              for what in series[0]}
    return found | {f"out.{run}.grad0": gradients[0], "out.feat_refs": torch.stack(session.references)}


def free(case: Any, mask: str, source: DragSource) -> Tensor | None:
    """What may change, from the name of an input, 1 = fixed; "rows 96..127 fixed"; or "none"."""
    if mask in case.inputs:
        return 1 - case.inputs[mask].float()
    rows = re.fullmatch(r"rows (\d+)\.\.(\d+) fixed", mask)
    if rows is None:
        return None
    found = torch.ones(source.size)
    found[int(rows[1]):int(rows[2]) + 1] = 0
    return found


RUNNERS = {
    "stylegan2-small": run_generator, "stylegan2-256": run_generator, "stylegan2-human": run_human,
    "drag-trace": run_drag,
    "stylegan2-rosinality": run_generator, "stylegan2-cond": run_conditional,
    "stylegan2-discriminator": run_discriminator, "stylegan2-projector": run_projector,
}
