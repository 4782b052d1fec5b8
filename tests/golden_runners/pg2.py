"""Golden runners of PG2: both stages, and TensorFlow's checkpoint format."""
from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from anyone.core.checkpoints.tf_bundle import read_bundle
from anyone.core.pg2.fast import FastConv, FastPG2
from anyone.core.pg2.network import PG2, network_pose
from anyone.core.pg2.weights import read_net, select
from torch import Tensor, nn

TAP = re.compile(r"(Pose_AE|UAEnoFC)/G/Conv_?(\d*)/Relu, every (\d+)\w* row/column, first (\d+) channels")


def constant(key: str) -> Tensor:
    raise ValueError(f"{key} is to be kept, but PG2 has no constants.")


def run_networks(case: Any) -> dict[str, Tensor]:
    net = read_net(select(case.state(constant)) or {})
    fast = {f"{name}[fast]": found for name, found in outputs(case, FastPG2(net)).items()}
    return outputs(case, net) | fast


def outputs(case: Any, net: PG2) -> dict[str, Tensor]:
    image = case.inputs["in.image_u8"].permute(0, 3, 1, 2).float() / 127.5 - 1     # [B,3,H,W]
    heard = listen(net, case)
    g1, g2 = net(image, network_pose(published_joints(case.inputs["in.kp_dst"]), net.config))
    pictures = {"g1": g1, "diff": heard.pop("diff"), "g2": g2,
                "g2_image_u8": ((g2 + 1) * 127.5).clamp(0, 255).byte()}
    found = {name: relu_cut(heard[name], case.about(name)) for name in heard if "tap" in name}
    for name in set(case.expected) - set(heard):
        picture = pictures[name.removeprefix("out.").removesuffix("_crop")].permute(0, 2, 3, 1)
        step = picture.shape[1] // case.expected[name].shape[1]
        is_crop = name.endswith("_crop")
        found[name] = crop(picture, case.json["cut"]) if is_crop else picture[:, ::step, ::step]
    return found | {"out.code": heard["out.code"]}


def published_joints(rows: Tensor) -> Tensor:
    """[B,18,2] y, x with -1 = missing -> x, y with NaN = missing."""
    return torch.where((rows == -1).any(-1, keepdim=True), torch.nan, rows).flip(-1)


def listen(net: PG2, case: Any) -> dict[str, Tensor]:
    """What the layers that the case asks for will put out: the code, the difference, `out.tap.*`."""
    convs = {scope: [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d | FastConv)]
             for scope, stage in (("Pose_AE", net.g1), ("UAEnoFC", net.g2))}
    layers = {"out.code": net.g1.encode, "diff": net.g2.last}
    for name in case.expected:
        match = TAP.match(case.about(name))
        if match:
            layers[name] = convs[match[1]][int(match[2] or 0)]
    heard: dict[str, Tensor] = {}
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: heard.__setitem__(name, output))
    return heard


def relu_cut(features: Tensor, about: str) -> Tensor:
    _, _, step, channels = TAP.match(about).groups()
    return F.relu(features)[:, :int(channels), ::int(step), ::int(step)].permute(0, 2, 3, 1)


def crop(picture: Tensor, cut: str) -> Tensor:
    start, end = map(int, re.search(r"rows/columns (\d+)\.\.(\d+)", cut).groups())
    return picture[:, start:end + 1, start:end + 1]


def run_checkpoint(case: Any) -> dict[str, Tensor]:
    """Single numbers are stored as rows of one in the case."""
    [index] = case.folder.glob("*.index")
    return {f"out.{name}": tensor.reshape(tensor.shape or 1) for name, tensor in read_bundle(index).items()}


RUNNERS = {"pg2-g1g2": run_networks, "pg2-g1g2-256": run_networks, "pg2-ckpt-format": run_checkpoint}
