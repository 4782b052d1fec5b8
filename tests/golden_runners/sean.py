"""Golden runners of SEAN."""
from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from anyone.core.sean import network, weights
from anyone.core.sean.fast import FastEncoder, FastGenerator
from torch import Tensor, nn


def signed(image_u8: Tensor) -> Tensor:
    return image_u8.float() / 127.5 - 1


def counter(key: str) -> Tensor:
    return torch.tensor(0)


def filled(net: nn.Module, state: Mapping[str, Tensor], prefix: str) -> nn.Module:
    """`net` with the entries of `state` whose keys start with `prefix`; those it has no use for stay out."""
    wanted = {key: state[prefix + key] for key in net.state_dict()}
    net.load_state_dict(wanted)
    return net.eval()


def run_encoder(case: Any) -> dict[str, Tensor]:
    state = case.state(counter)
    widths = [state[f"Zencoder.model.{index}.weight"].shape[0] for index in (1, 14)]
    encoder = filled(network.Encoder(*widths), state, "Zencoder.")
    fast = filled(FastEncoder(*widths), state, "Zencoder.")
    found = {}
    for run in case.json["runs"]:
        image, labels = signed(case.inputs[f"in.{run}.image_u8"]), case.inputs[f"in.{run}.label_u8"]
        features = encoder.features(image)
        mask = network.to_mask(labels, case.expected[f"out.{run}.codes"].shape[1])
        found |= {
            f"out.{run}.codes": encoder(image, mask),
            f"out.{run}.codes[fast]": fast(image, mask),
            f"out.{run}.label_small_u8": network.nearest(labels, features.shape[2:]),
            f"out.{run}.features": features[:, ::64, ::2, ::2],
        }
    return found


def run_block(case: Any) -> dict[str, Tensor]:
    """The SEAN block and the residual block, each alone."""
    state, wanted, inputs = case.state(counter), case.json["config"], case.inputs
    config = network.Config(labels=wanted["labels"], style=wanted["style_length"])
    x, codes, mask = inputs["in.x"], inputs["in.codes"], network.to_mask(inputs["in.label_u8"], config.labels)
    ace = filled(network.SeanNorm(config, wanted["ace_channels"], True), state, "ace.")
    ace_mask = filled(network.SeanNorm(config, wanted["ace_channels"], False), state, "ace_mask.")
    res = filled(network.ResidualBlock(config, *wanted["res"], True), state, "res.")
    res_same = filled(network.ResidualBlock(config, *wanted["res_same"], True), state, "res_same.")
    noise = {key.removeprefix("in.noise."): plane for key, plane in inputs.items() if "noise" in key}
    inside = {key.removeprefix("res."): plane for key, plane in noise.items()}
    return {
        "out.ace": ace(x, mask, codes),
        "out.ace_noise": ace(x, mask, codes, noise["ace"]),
        "out.ace_hole": ace(x, mask * (1 - inputs["in.hole_u8"][:, None].float()), codes),
        "out.ace_mask": ace_mask(x, mask),
        "out.ace_mask_noise": ace_mask(x, mask, None, noise["ace_mask"]),
        "out.res": res(x, mask, codes, {}),
        "out.res_noise": res(x, mask, codes, inside),
        "out.res_same": res_same(inputs["in.x_same"], mask, codes, {}),
        **{f"out.sigma.res.{name}": conv.sigma()[None] for name, conv in res.named_children()
           if isinstance(conv, network.SpectralConv)},
    }


def run_celeba(case: Any) -> dict[str, Tensor]:
    generator = weights.read_generator(weights.select(case.state(counter)) or {})
    fast = outputs(case, FastGenerator(generator))
    return outputs(case, generator) | {f"{name}[fast]": tensor for name, tensor in fast.items()}


def outputs(case: Any, generator: network.Generator) -> dict[str, Tensor]:
    inputs, config = case.inputs, generator.config
    labels, target, mean = (inputs[f"in.{name}"] for name in ("label_u8", "target_label_u8", "mean_codes"))
    features: dict[str, Tensor] = {}
    codes = generator.encode(signed(inputs["in.image_u8"]), labels)                # [B,R,S]
    image = generator(labels, codes, features=features)
    known = torch.isin(torch.arange(config.labels), labels[0, ::2, ::2])[:, None]
    blocks = [codes] * 3 + [mean.expand_as(codes)] * 2 + [0.7 * codes + 0.3 * mean]
    pictures = {
        "image": image,
        "noise_image": generator(labels, codes, noise=given_noise(case, config, len(labels))),
        "ui_image": generator(target, torch.where(known, codes[0], mean)[None]),
        "cross_image": generator(labels, torch.stack(blocks, 1)),
    }
    found = {f"out.block.{name}": thinned(value) for name, value in features.items()}
    found |= {"out.codes": codes, "out.image_crop": image[..., 90:154, 97:161]}
    for name in case.expected:
        match = re.fullmatch(r"out\.(\w*image)_s(\d+)", name)
        if match:
            found[name] = pictures[match[1]][..., ::int(match[2]), ::int(match[2])]
    return found


def thinned(value: Tensor) -> Tensor:
    step = max(value.shape[2] // 16, 1)
    return value[:, ::value.shape[1] // 8, ::step, ::step]


def given_noise(case: Any, config: network.Config, batch: int) -> dict[str, Tensor]:
    return {f"{stage.name}.{norm}": noise_plane(case, f"{stage.name}.{norm}", (batch, *stage.size))
            for stage in config.stages for norm in stage.norms}


def noise_plane(case: Any, key: str, shape: tuple[int, ...]) -> Tensor:
    seed = zlib.crc32(f"{case.manifest['salt']}/noise/{key}".encode())
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))[:, None]


RUNNERS = {"sean-encoder": run_encoder, "sean-block": run_block, "sean-celeba": run_celeba}
