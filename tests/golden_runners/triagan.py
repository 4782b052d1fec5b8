"""Golden runners of TriA-GAN."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from anyone.core import people
from anyone.core.equalised import binomial_filter
from anyone.core.triagan import network, pose_input, weights
from anyone.core.triagan.fast import FastGenerator
from torch import Tensor


def signed(image_u8: Tensor) -> Tensor:
    return (image_u8.float() - 127.5) / 127.5


def run_generator(case: Any) -> dict[str, Tensor]:
    """Both forms of the network: outputs of the fast one are called `NAME[fast]`."""
    state = case.state(kept=lambda key: binomial_filter())
    height, width = case.inputs["in.img_u8"].shape[2:]
    generator = weights.read_generator(state, {"size": f"{height}x{width}"})
    if case.json["style_rows"] != list(generator.modulated_convs()):
        raise ValueError("the modulated convolutions are not style_rows of case.json, in that order.")
    fast = outputs(case, FastGenerator(generator))
    return outputs(case, generator) | {f"{name}[fast]": tensor for name, tensor in fast.items()}


def outputs(case: Any, generator: network.Generator | FastGenerator) -> dict[str, Tensor]:
    """Every expected output this form of the network has; what is not asked for is not computed."""
    inputs, psi, top = case.inputs, case.json["psi"], generator.config.levels - 1
    image, mask = signed(inputs["in.img_u8"]), inputs["in.mask_u8"].float()
    planes = input_planes(case, generator.config, mask, image)
    style_net, centres = generator.style_net, inputs["in.w_centers"]
    w = style_net(inputs["in.z"])
    w_trunc = torch.lerp(style_net.w_avg, w, psi)
    w_multimodal = torch.lerp(centres[torch.arange(len(w)) % len(centres)], w, psi)
    features: dict[str, Tensor] = {}
    unmasked = generator(planes, w, features=features)
    features |= {"enc_bottom": features["enc0"], "enc_top": features[f"enc{top}"]}
    table = generator.styles(w[:1])[0]
    known: dict[str, Callable[[], Tensor]] = {
        "w": lambda: w,
        "w_trunc": lambda: w_trunc,
        "w_multimodal": lambda: w_multimodal,
        "styles": lambda: table,
        "unmasked": lambda: unmasked,
        "img": lambda: mask * image + (1 - mask) * unmasked,
        "unmasked_trunc": lambda: generator(planes, w_trunc),
        "unmasked_multimodal": lambda: generator(planes, w_multimodal),
        "unmasked_style": lambda: generator(
            planes[:1], styles=table + case.json["style_strength"] * direction(case, table)),
        **{name: (lambda value=value: value) for name, value in features.items()},
    }
    return {name: cut(known[base](), *rest) for name in case.expected
            for base, *rest in [parts(name)] if base in known}


def input_planes(case: Any, config: network.Config, mask: Tensor, image: Tensor) -> Tensor:
    keypoints = case.inputs["in.keypoints"][:, case.manifest["init"]["input_keypoint_indices"]]
    return pose_input.network_input(
        mask * image, mask, case.inputs["in.maskrcnn_mask_u8"].float() if config.use_segmentation else None,
        keypoints, case.inputs["in.joint_map_u8"] if config.use_joint_map else None)


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
    found = keypoint_outputs(case) | pipeline_outputs(case) | {"out.ni_net_input": net_input(case)}
    return {name: tensor for name, tensor in found.items() if name in case.expected}


def keypoint_outputs(case: Any) -> dict[str, Tensor]:
    """Keypoint indices, one-hot planes and joint maps, at the height their names end in."""
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


def samples(text: str, count: int) -> list[int]:
    """The indices in "samples 0,2,5" or "samples 0..3"; the first `count` when the text names none."""
    span, listed = re.search(r"samples (\d+)\.\.(\d+)", text), re.search(r"samples ([\d, ]*\d)", text)
    if span:
        return list(range(int(span[1]), int(span[2]) + 1))
    return [int(index) for index in listed[1].split(",")] if listed else list(range(count))


def net_input(case: Any) -> Tensor:
    image = signed(case.inputs["in.ni_img_u8"])
    mask, segmentation = case.inputs["in.ni_mask_u8"].float(), case.inputs["in.ni_maskrcnn_mask_u8"].float()
    keypoints = case.inputs["in.ni_keypoints"]
    joints = pose_input.joint_map(keypoints, *image.shape[2:])
    return pose_input.network_input(mask * image, mask, segmentation, keypoints, joints)


def pipeline_outputs(case: Any) -> dict[str, Tensor]:
    """Boxes, crops, masks and the recursive paste of everybody, smallest first."""
    image = case.inputs["in.pl_image_u8"].float() / 255                           # [3,H,W]
    settings = crop_settings(case.json["settings"])
    everybody = read_people(case, image)
    order = people.processing_order([person.mask for person in everybody])
    boxes = [(everybody[i], people.person_box(everybody[i].mask, settings)) for i in order]
    kept = [(person, box) for person, box in boxes if box is not None]
    crops = [people.crop_person(image, person, box, settings) for person, box in kept]
    pictures = torch.stack([(crop.image * 255).round() for crop in crops])        # [N,3,h,w]
    joints = torch.stack([crop.keypoints for crop in crops])                      # [N,17,3]
    return crop_outputs(case, pictures) | {
        "out.pl_boxes": torch.tensor([[c.box.x0, c.box.y0, c.box.x1, c.box.y1] for c in crops]),
        "out.pl_mask_packed_u8": packed(torch.stack([crop.mask for crop in crops])),
        "out.pl_maskrcnn_mask_packed_u8": packed(torch.stack([crop.segmentation for crop in crops])),
        "out.pl_keypoints": joints,
        "out.pl_joint_map_first_u8": pose_input.joint_map(joints[:1], *pictures.shape[2:]),
        "out.pl_pasted_u8": (paste_negatives(image, kept, settings) * 255).round(),
    }


def crop_settings(wanted: dict[str, Any]) -> people.CropSettings:
    height, width = wanted["target_size"]
    return people.CropSettings(
        height=height, width=width, background=wanted["percentage_background"],
        margin=wanted["axis_minimum_expansion"], minimum_area=wanted["minimum_area"],
        dilation=wanted["dilation_percentage"])


def read_people(case: Any, image: Tensor) -> list[people.Person]:
    keypoints = case.inputs["in.pl_keypoints"]
    bits = np.unpackbits(case.inputs["in.pl_segmentation_packed_u8"].numpy())
    masks = torch.from_numpy(bits[: len(keypoints) * image[0].numel()]).bool().view(-1, *image.shape[1:])
    return [people.Person(mask, joints) for mask, joints in zip(masks, keypoints, strict=True)]


def paste_negatives(image: Tensor, kept: list[Any], settings: people.CropSettings) -> Tensor:
    """The stand-in for the generator paints every hole with the negative of what it hides."""
    for person, box in kept:
        crop = people.crop_person(image, person, box, settings)
        picture = signed(crop.image * 255) * (1 - 2 * crop.mask)
        image = people.paste_person(image, (picture + 1) / 2, crop)
    return image


def crop_outputs(case: Any, pictures: Tensor) -> dict[str, Tensor]:
    groups = {"0": pictures[:1], "_mid": pictures[1:-1], "_last": pictures[-1:]}
    found = {}
    for name in case.expected:
        match = re.fullmatch(r"out\.pl_crop(0|_mid|_last)(?:_stride(\d+))?_u8", name)
        if match:
            stride = int(match[2] or 1)
            found[name] = groups[match[1]][..., ::stride, ::stride]
    return found


def packed(hole: Tensor) -> Tensor:
    """House polarity (1 = change) -> bits of the published one (1 = keep)."""
    return torch.from_numpy(np.packbits((hole < 0.5).numpy().reshape(-1)))


RUNNERS = {"triagan-288": run_generator, "triagan-small": run_generator, "triagan-pose-input": run_pose_input}
