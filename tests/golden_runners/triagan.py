"""Golden runners of TriA-GAN."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from anyone.core import people
from anyone.core.triagan import network, pose_input, weights
from anyone.core.triagan.fast import FastGenerator
from torch import Tensor

Forward = Callable[..., Tensor]


def signed(image_u8: Tensor) -> Tensor:
    return (image_u8.float() - 127.5) / 127.5


def run_generator(case: Any) -> dict[str, Tensor]:
    """Both forms of the network: outputs of the fast one are called `NAME[fast]`."""
    state = case.state(kept=lambda key: network.resample_filter())
    height, width = case.inputs["in.img_u8"].shape[2:]
    generator = weights.read_generator(state, {"size": f"{height}x{width}"})
    rows = list(generator.modulated_convs())
    if case.json["style_rows"] != rows:
        raise ValueError(f"style rows differ: expected {case.json['style_rows']}, ours are {rows}.")
    found = outputs(case, generator, generator.styles, generator)
    fast = FastGenerator(generator)
    found |= {f"{name}[fast]": tensor for name, tensor in outputs(case, generator, fast.styles, fast).items()}
    return found


def outputs(case: Any, generator: network.Generator, styles: Forward, forward: Forward) -> dict[str, Tensor]:
    """Every expected output this form of the network has; what is not asked for is not computed."""
    inputs, psi = case.inputs, case.json["psi"]
    image, mask = signed(inputs["in.img_u8"]), inputs["in.mask_u8"].float()
    planes = pose_input.network_input(mask * image, mask, inputs["in.maskrcnn_mask_u8"].float(),
                                      inputs["in.keypoints"], inputs["in.joint_map_u8"])
    style_net, centres = generator.style_net, inputs["in.w_centers"]
    w = style_net(inputs["in.z"])
    latents = {"w": w, "w_trunc": torch.lerp(style_net.w_avg, w, psi),
               "w_multimodal": torch.lerp(centres[torch.arange(len(w)) % len(centres)], w, psi)}
    features: dict[str, Tensor] = {}
    unmasked = forward(planes, w, features=features)
    features |= {"enc_bottom": features["enc0"], "enc_top": features[f"enc{generator.config.levels - 1}"]}
    table = styles(w[:1])[0]
    pictures: dict[str, Callable[[], Tensor]] = {
        "unmasked": lambda: unmasked,
        "img": lambda: mask * image + (1 - mask) * unmasked,
        "unmasked_trunc": lambda: forward(planes, latents["w_trunc"]),
        "unmasked_multimodal": lambda: forward(planes, latents["w_multimodal"]),
        "unmasked_style": lambda: forward(
            planes[:1], styles=table + case.json["style_strength"] * direction(case, table)),
        "styles": lambda: table,
    }
    known: dict[str, Callable[[], Tensor]] = pictures | {
        name: (lambda value=value: value) for name, value in (latents | features).items()}
    return {name: cut(known[base](), *rest) for name in case.expected
            for base, *rest in [parts(name)] if base in known}


def direction(case: Any, table: Tensor) -> Tensor:
    """The whole style direction [R,L], or its few non-zero rows set into zeros."""
    if "in.direction" in case.inputs:
        return case.inputs["in.direction"]
    listed = re.search(r"rows \[([\d, ]+)\]", case.json["inputs"]["in.direction_rows"])
    assert listed is not None, "case.json does not list the rows of in.direction_rows"
    out = torch.zeros_like(table)
    out[[int(row) for row in listed[1].split(",")]] = case.inputs["in.direction_rows"]
    return out


def parts(name: str) -> tuple[str | None, ...]:
    """`out.dec3_s0_c4_stride2` -> ("dec3", "0", "4", "2"): sample 0, channels 0::4, every second pixel."""
    match = re.fullmatch(r"out\.(.+?)(?:_s(\d+))?(?:_c(\d+))?(?:_stride(\d+))?", name)
    assert match is not None
    return match.groups()


def cut(value: Tensor, sample: str | None, channels: str | None, stride: str | None) -> Tensor:
    if sample:
        value = value[int(sample):int(sample) + 1]
    if channels:
        value = value[:, ::int(channels)]
    return value[..., ::int(stride), ::int(stride)] if stride else value


def run_pose_input(case: Any) -> dict[str, Tensor]:
    found = keypoint_outputs(case)
    found["out.ni_net_input"] = net_input(case)
    found |= pipeline(case)
    return {name: tensor.to(case.expected[name].dtype) for name, tensor in found.items() if name in case.expected}


def keypoint_outputs(case: Any) -> dict[str, Tensor]:
    keypoints, found = case.inputs["in.keypoints"], {}
    widths = {tensor.shape[-2]: tensor.shape[-1] for tensor in case.expected.values() if tensor.ndim == 4}
    for name, expected in case.expected.items():
        kind = re.match(r"out\.(kp_index|one_hot|joint_map)_(\d+)", name)
        if kind is None:
            continue
        size = int(kind[2]), widths[int(kind[2])]
        chosen = keypoints[samples(case.about(name), len(expected))]
        if kind[1] == "kp_index":
            index, visible = pose_input.keypoint_pixels(chosen, *size)
            found[name] = torch.where(visible, index, -1)
        else:
            draw = pose_input.keypoint_planes if kind[1] == "one_hot" else pose_input.joint_map
            found[name] = draw(chosen, *size)
    return found


def samples(text: str, count: int) -> Iterable[int]:
    """ "samples 0,2,5" or "samples 0..3" -> indices; all `count` of them when the text names none."""
    span, listed = re.search(r"samples (\d+)\.\.(\d+)", text), re.search(r"samples ([\d, ]*\d)", text)
    if span:
        return list(range(int(span[1]), int(span[2]) + 1))
    return [int(index) for index in listed[1].split(",")] if listed else list(range(count))


def net_input(case: Any) -> Tensor:
    image, mask, segmentation = (case.inputs[f"in.ni_{name}_u8"] for name in ("img", "mask", "maskrcnn_mask"))
    keypoints = case.inputs["in.ni_keypoints"]
    joints = pose_input.joint_map(keypoints, *image.shape[2:])
    return pose_input.network_input(mask * signed(image), mask.float(), segmentation.float(), keypoints, joints)


def pipeline(case: Any) -> dict[str, Tensor]:
    """Boxes, crops, masks and the recursive paste, with a stand-in for the generator that inverts the picture."""
    image = case.inputs["in.pl_image_u8"].float() / 255                           # [3,H,W]
    wanted = case.json["settings"]
    height, width = wanted["target_size"]
    settings = people.CropSettings(height=height, width=width, background=wanted["percentage_background"],
                                   margin=wanted["axis_minimum_expansion"], minimum_area=wanted["minimum_area"],
                                   dilation=wanted["dilation_percentage"])
    keypoints = case.inputs["in.pl_keypoints"]
    bits = np.unpackbits(case.inputs["in.pl_segmentation_packed_u8"].numpy())
    masks = torch.from_numpy(bits[: len(keypoints) * image[0].numel()]).bool().view(-1, *image.shape[1:])
    everybody = [people.Person(mask, joints) for mask, joints in zip(masks, keypoints, strict=True)]
    order = people.processing_order([person.mask for person in everybody])
    boxes = [(everybody[i], people.person_box(everybody[i].mask, settings)) for i in order]
    kept = [(person, box) for person, box in boxes if box is not None]
    crops = [people.crop_person(image, person, box, settings) for person, box in kept]
    pasted = image
    for person, box in kept:
        crop = people.crop_person(pasted, person, box, settings)
        negative = signed(crop.image * 255) * (1 - 2 * crop.mask)                 # hole: -image, elsewhere: image
        pasted = people.paste_person(pasted, (negative + 1) / 2, crop)
    return pipeline_outputs(case, crops) | {"out.pl_pasted_u8": (pasted * 255).round()}


def pipeline_outputs(case: Any, crops: list[Any]) -> dict[str, Tensor]:
    pictures = torch.stack([(crop.image * 255).round() for crop in crops])        # [N,3,h,w]
    joints = torch.stack([crop.keypoints for crop in crops])                      # [N,17,3]
    found = {
        "out.pl_boxes": torch.tensor([[c.box.x0, c.box.y0, c.box.x1, c.box.y1] for c in crops]),
        "out.pl_mask_packed_u8": packed(torch.stack([crop.mask for crop in crops])),
        "out.pl_maskrcnn_mask_packed_u8": packed(torch.stack([crop.segmentation for crop in crops])),
        "out.pl_keypoints": joints,
        "out.pl_joint_map_first_u8": pose_input.joint_map(joints[:1], *pictures.shape[2:]),
    }
    parts = {"0": pictures[:1], "_mid": pictures[1:-1], "_last": pictures[-1:]}
    for name in case.expected:
        part = re.fullmatch(r"out\.pl_crop(0|_mid|_last)(?:_stride(\d+))?_u8", name)
        if part:
            stride = int(part[2] or 1)
            found[name] = parts[part[1]][..., ::stride, ::stride]
    return found


def packed(hole: Tensor) -> Tensor:
    """House polarity (1 = change) -> bits of the published one (1 = keep)."""
    return torch.from_numpy(np.packbits((hole < 0.5).numpy().reshape(-1)))


RUNNERS = {"triagan-288": run_generator, "triagan-small": run_generator, "triagan-pose-input": run_pose_input}
