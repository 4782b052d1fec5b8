"""Golden runners of Deformable GAN."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from anyone.core.checkpoints import read
from anyone.core.deformable import network, weights
from anyone.core.deformable.fast import FastGenerator
from anyone.core.perceptual import VGG19, Vgg
from anyone.core.pose import maps, parts
from torch import Tensor, nn


def constant(key: str) -> Tensor:
    raise ValueError(f"{key} is to be kept, but these networks have no constants.")


def published_joints(rows: Tensor) -> Tensor:
    """[...,18,2] y, x with -1 = missing -> x, y with NaN = missing."""
    return torch.where((rows == -1).any(-1, keepdim=True), torch.nan, rows).flip(-1)


def signed(image_u8: Tensor) -> Tensor:
    """[...,H,W,3] -> [...,3,H,W], -1..1."""
    return image_u8.float().div(255).sub(0.5).mul(2).movedim(-1, -3)


def channels_last(x: Tensor) -> Tensor:
    return x.movedim(-3, -1)


def flat(transforms: Tensor) -> Tensor:
    """[...,2,3] -> [...,8] as stored: two zeros behind."""
    return nn.functional.pad(transforms.flatten(-2), (0, 2))


def packed(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.numpy(), axis=-1))


def run_affine(case: Any) -> dict[str, Tensor]:
    found = {}
    for one in case.json["cases"]:
        name, size = one["id"], (one["height"], one["width"])
        source, target = (published_joints(case.inputs[f"in.{name}.{key}"])[None]
                          for key in ("kp_src", "kp_dst"))
        moves = parts.part_geometry(source, target, size)
        found[f"out.{name}.affine"] = flat(moves.transforms)[0]
        whole = parts.whole_geometry(source, target, size)
        found[f"out.{name}.affine_full"] = flat(whole.transforms)[0, 0]
        for step in (1, 2, 4, 8):
            small = (size[0] // step, size[1] // step)
            mask = moves.masks_at(small).unflatten(2, small)[0]
            found[f"out.{name}.mask_div{step}_u8"] = packed(mask)
        expected = case.expected.get(f"out.{name}.heat_dst")
        if expected is not None:
            heat = maps.gaussian_maps(target[0], *size)
            found[f"out.{name}.heat_dst"] = thinned(heat, size[0] // len(expected))
    joints = published_joints(case.inputs["in.float.kp"])
    found["out.float.heat"] = thinned(maps.gaussian_maps(joints, 128, 64, stepped=False), 4)
    return found


def thinned(x: Tensor, step: int) -> Tensor:
    return channels_last(x)[..., ::step, ::step, :]


def run_warp(case: Any) -> dict[str, Tensor]:
    found = {}
    for name, expected in case.expected.items():
        pair, kind, step = re.fullmatch(r"out\.(\w+)\.(\w+)_div(\d+)", name).groups()
        features = case.inputs[f"in.{pair}.feat_div{step}"].movedim(-1, 0)[None]
        poses = [published_joints(case.inputs[f"in.{pair}.{key}"])[None] for key in ("kp_src", "kp_dst")]
        size = tuple(side * int(step) for side in features.shape[2:])
        moves = (parts.whole_geometry if kind == "full" else parts.part_geometry)(*poses, size)
        if kind == "parts":
            found[name] = torch.cat(list(network.moved(features, moves))).permute(2, 3, 0, 1)
            continue
        skip = network.DeformableSkip(network.AVERAGE if kind == "avg" else network.MAXIMUM)
        found[name] = thinned(skip(features, moves)[0], features.shape[2] // expected.shape[0])
    return found


def poses_and_maps(case: Any, size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    poses = [published_joints(case.inputs[f"in.{key}"]) for key in ("kp_src", "kp_dst")]
    return poses, [maps.gaussian_maps(joints, *size) for joints in poses]


def watched(net: nn.Module, names: list[str], taps: dict[str, Tensor]) -> None:
    """Keeps what the named modules put out."""
    for name in names:
        net.get_submodule(name).register_forward_hook(
            lambda module, given, out, name=name: taps.__setitem__(name, out))


def tap_outputs(case: Any, taps: Mapping[str, Tensor], layers: Mapping[str, str]) -> dict[str, Tensor]:
    found = {}
    for module, value in taps.items():
        name = f"out.tap.{layers[module]}"
        if name in case.expected:
            expected = case.expected[name]
            found[name] = thinned(value, -(-value.shape[2] // expected.shape[1]))[..., :expected.shape[-1]]
    return found


def run_generator(case: Any) -> dict[str, Tensor]:
    published, image = case.state(constant), signed(case.inputs["in.image_u8"])
    size = tuple(image.shape[2:])
    poses, heat = poses_and_maps(case, size)
    generator, layers = weights.read_generator(weights.select(published)), weights.published_layers(published)
    layers |= {f"skips.{level}": f"affine_transform_layer_{level + 1}" for level in range(4)}
    taps: dict[str, Tensor] = {}
    watched(generator, list(layers), taps)
    found, fast = {}, FastGenerator(generator)
    for mode in sorted({re.sub("_crop$", "", name) for name in case.expected if "tap" not in name}):
        moves = (parts.whole_geometry if "full" in mode else parts.part_geometry)(*poses, size)
        for skip in (*generator.skips, *fast.skips):
            skip.fusion = network.AVERAGE if mode.endswith("avg") else network.MAXIMUM
        found |= pictures(case, mode, channels_last(generator(image, *heat, moves)))
        again = pictures(case, mode, channels_last(fast(image, *heat, moves)))
        found |= {f"{name}[fast]": picture for name, picture in again.items()}
        if mode.endswith(("mask_max", "none_max")):
            found |= tap_outputs(case, taps, layers)
    return found


def pictures(case: Any, mode: str, picture: Tensor) -> dict[str, Tensor]:
    """The whole picture or every n-th row and column, and the square in its middle, where the case has it."""
    step = picture.shape[1] // case.expected[mode].shape[1]
    found = {mode: picture[:, ::step, ::step]}
    if f"{mode}_crop" in case.expected:
        side = case.expected[f"{mode}_crop"].shape[1]
        start = (picture.shape[1] - side) // 2
        found[f"{mode}_crop"] = picture[:, start:start + side, start:start + side]
    return found


def run_discriminator(case: Any) -> dict[str, Tensor]:
    published, net = case.state(constant), network.Discriminator()
    net.load_state_dict(weights.select(published))
    layers = weights.published_layers(published)
    image, candidate = (signed(case.inputs[f"in.{name}_u8"]) for name in ("image", "candidate"))
    _, (source, target) = poses_and_maps(case, tuple(image.shape[2:]))
    taps: dict[str, Tensor] = {}
    watched(net, list(layers), taps)
    real = net(image, source, candidate, target)
    found = tap_outputs(case, taps, layers)
    fake = net(image, source, image, target)
    return found | {
        "out.real": real, "out.fake": fake, "out.g_loss": network.surprise(fake)[None],
        "out.d_true": network.surprise(real)[None], "out.d_fake": network.surprise(1 - fake)[None]}


def run_nearest(case: Any) -> dict[str, Tensor]:
    found = {}
    for name in case.expected:
        match = re.fullmatch(r"out\.map_(\d+)", name)
        if match:
            found |= nearest_features(case, int(match[1]))
    return found | nearest_pictures(case)


@torch.enable_grad()
def nearest_features(case: Any, window: int) -> dict[str, Tensor]:
    fake, real = (case.inputs[f"in.{name}"].movedim(-1, 1).requires_grad_() for name in ("fake", "real"))
    distances = network.nearest_neighbours(fake, real, window)
    distances.mean().backward()
    return {f"out.map_{window}": distances, f"out.mean_{window}": distances.mean()[None],
            f"out.grad_fake_{window}": channels_last(fake.grad),
            f"out.grad_real_{window}": channels_last(real.grad)}


@torch.enable_grad()
def nearest_pictures(case: Any) -> dict[str, Tensor]:
    vgg = Vgg(VGG19, ["relu1_2"]).requires_grad_(False)
    layers = {"features.0": "block1_conv1", "features.2": "block1_conv2"}
    vgg.load_state_dict(weights.from_keras(case.state(constant), layers))
    real, fake = (signed(case.inputs[f"in.image_{name}_u8"])[None] for name in ("real", "fake"))
    fake.requires_grad_()
    features = [vgg(network.vgg_input(picture))[0] for picture in (real, fake)]
    found = {"out.features": thinned(torch.cat(features)[:, :16], 4)}
    for name in case.expected:
        if not name.startswith("out.image_mean_"):
            continue
        window = int(name.rpartition("_")[2])
        distances = network.nearest_neighbours(features[1], features[0], window)
        loss = distances.mean() / (features[0].shape[1] if window == 1 else 1)
        gradient, = torch.autograd.grad(loss, fake, retain_graph=True)
        found |= {f"out.image_mean_{window}": loss[None], f"out.image_grad_{window}": thinned(gradient[0], 2)}
    return found


def run_format(case: Any) -> dict[str, Tensor]:
    """The arrays of every file of the case; after the first one with the file's name."""
    found = {}
    for number, path in enumerate(sorted(case.folder.glob("*.h5"))):
        tree = read(path).tree
        if list(tree) != case.json["order"]:
            raise ValueError(f"{path.name} is not read in the order of its layers.")
        variant = f"[{path.name}]" if number else ""
        found |= {f"out.{name}{variant}": tensor for name, tensor in tree.items()}
    return found


RUNNERS = {"deform-affine": run_affine, "deform-warp": run_warp, "deform-generator": run_generator,
           "deform-generator-fashion": run_generator, "deform-generator-nowarp": run_generator,
           "deform-disc": run_discriminator, "deform-h5-format": run_format, "nn-loss": run_nearest}
