"""Names and layouts of other StyleGAN2 programs -> NVIDIA's PyTorch names, which are ours.

Keys without a counterpart keep their names, for the strict check to find. Nothing here raises: values of
unexpected shapes stay as they are.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from torch import Tensor

from ..checkpoints.system import StateDict

Rules = Sequence[tuple[str, Callable[[re.Match], str]]]   # their key -> our name
_RANKS = {"const": 3, "noise_const": 2, "noise_strength": 0, "weight": 4}      # at most
_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}                      # height, width, in, out; in, out -> PyTorch's


def _rename(tensors: StateDict, rules: Rules) -> dict[str, Tensor]:
    """Also drops the axes of length 1 that our values do not have."""
    state = {}
    for key, value in tensors.items():
        found = ((re.fullmatch(pattern, key), name) for pattern, name in rules)
        name = next((name(match) for match, name in found if match), key)
        state[name] = _without_axes(value, name.rpartition(".")[2])
    return state


def _without_axes(value: Tensor, kind: str) -> Tensor:
    if kind == "bias":
        return value.flatten()
    while value.ndim > _RANKS.get(kind, value.ndim) and len(value) == 1:
        value = value[0]
    return value


def _conv(number: int) -> str:
    """Our name of a generator's convolution, counted from the lowest resolution up; block 0 has only one."""
    return f"synthesis.b{4 << (number + 1) // 2}.conv{(number + 1) % 2}"


# The PyTorch port by rosinality. Its upsampling weights are not turned round, and what it adds the epsilon of
# the demodulation to is smaller: by far less than rounding matters.

_PORT_VALUES = {
    "conv.weight": "weight", "conv.modulation.weight": "affine.weight", "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength", "activate.bias": "bias", "bias": "bias",
}
_VALUE = rf"\.({'|'.join(map(re.escape, _PORT_VALUES))})"
_PORT: Rules = (
    (r"latent_avg", lambda match: "mapping.w_avg"),
    (r"style\.(\d\d?)\.(weight|bias)", lambda match: f"mapping.fc{int(match[1]) - 1}.{match[2]}"),
    (r"input\.input", lambda match: "synthesis.b4.const"),
    (r"noises\.noise_(\d\d?)", lambda match: f"{_conv(int(match[1]))}.noise_const"),
    (rf"conv1{_VALUE}", lambda match: f"{_conv(0)}.{_PORT_VALUES[match[1]]}"),
    (rf"convs\.(\d\d?){_VALUE}", lambda match: f"{_conv(int(match[1]) + 1)}.{_PORT_VALUES[match[2]]}"),
    (rf"to_rgb1{_VALUE}", lambda match: f"synthesis.b4.torgb.{_PORT_VALUES[match[1]]}"),
    (rf"to_rgbs\.(\d\d?){_VALUE}",
     lambda match: f"synthesis.b{8 << int(match[1])}.torgb.{_PORT_VALUES[match[2]]}"),
)


def from_port(tensors: StateDict) -> dict[str, Tensor]:
    """A generator of the port; `latent_avg` may be among its tensors."""
    return _rename(_without_filters(tensors), _PORT)


def discriminator_from_port(tensors: StateDict) -> dict[str, Tensor]:
    """A discriminator of the port."""
    top = 4 << sum(re.fullmatch(r"convs\.\d\d?\.conv1\.0\.weight", key) is not None for key in tensors)
    return _rename(_without_filters(tensors), (
        (r"convs\.0\.[01]\.(weight|bias)", lambda match: f"b{top}.fromrgb.{match[1]}"),
        (r"convs\.(\d\d?)\.conv([12])\.\d\.(weight|bias)",
         lambda match: f"b{2 * top >> int(match[1])}.conv{int(match[2]) - 1}.{match[3]}"),
        (r"convs\.(\d\d?)\.skip\.1\.weight", lambda match: f"b{2 * top >> int(match[1])}.skip.weight"),
        (r"final_conv\.[01]\.(weight|bias)", lambda match: f"b4.conv.{match[1]}"),
        (r"final_linear\.0\.(weight|bias)", lambda match: f"b4.fc.{match[1]}"),
        (r"final_linear\.1\.(weight|bias)", lambda match: f"b4.out.{match[1]}"),
    ))


def _without_filters(tensors: StateDict) -> StateDict:
    return {key: value for key, value in tensors.items() if not key.endswith(".kernel")}


# The first release, in TensorFlow.

_FIRST_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
_FIRST_JUDGES = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip",
                 "Conv": "conv", "Dense0": "fc"}
_FIRST_VALUES = {"mod_weight": "affine.weight", "mod_bias": "affine.bias", "weight": "weight", "bias": "bias",
                 "noise_strength": "noise_strength"}
_TURNED = re.compile(r"synthesis/\d+x\d+/(Conv0_up|Skip)/weight")


def from_first(variables: StateDict) -> dict[str, Tensor]:
    """A generator of the first release, its variables named as "synthesis/8x8/Conv1/weight"."""
    top, value = _largest(variables), f"({'|'.join(_FIRST_VALUES)})"
    return _rename(_as_pytorch(variables), (
        (r"dlatent_avg", lambda match: "mapping.w_avg"),
        (r"mapping/LabelEmbed/(weight|bias)", lambda match: f"mapping.embed.{match[1]}"),
        (r"mapping/Dense(\d\d?)/(weight|bias)", lambda match: f"mapping.fc{match[1]}.{match[2]}"),
        (r"synthesis/4x4/Const/const", lambda match: "synthesis.b4.const"),
        (r"synthesis/noise(\d\d?)", lambda match: f"{_conv(int(match[1]))}.noise_const"),
        (rf"synthesis/(\d+)x\d+/({'|'.join(_FIRST_LAYERS)})/{value}",
         lambda match: f"synthesis.b{match[1]}.{_FIRST_LAYERS[match[2]]}.{_FIRST_VALUES[match[3]]}"),
        (rf"synthesis/ToRGB_lod(\d\d?)/{value}",
         lambda match: f"synthesis.b{top >> int(match[1])}.torgb.{_FIRST_VALUES[match[2]]}"),
    ))


def discriminator_from_first(variables: StateDict) -> dict[str, Tensor]:
    """A discriminator of the first release, its variables named as "8x8/Conv0/weight"."""
    top = _largest(variables)
    return _rename(_as_pytorch(variables), (
        (rf"(\d+)x\d+/({'|'.join(_FIRST_JUDGES)})/(weight|bias)",
         lambda match: f"b{match[1]}.{_FIRST_JUDGES[match[2]]}.{match[3]}"),
        (r"FromRGB_lod(\d\d?)/(weight|bias)", lambda match: f"b{top >> int(match[1])}.fromrgb.{match[2]}"),
        (r"Output/(weight|bias)", lambda match: f"b4.out.{match[1]}"),
    ))


def _largest(variables: StateDict) -> int:
    """The picture's height."""
    found = (re.match(r"(?:synthesis/)?(\d{1,5})x\d", key) for key in variables)
    return max((int(match[1]) for match in found if match), default=4)


def _as_pytorch(variables: StateDict) -> dict[str, Tensor]:
    """Weights in PyTorch's order of axes, upsampling ones turned round; the styles' biases with the 1 that
    TensorFlow adds at run time."""
    state = {}
    for key, value in variables.items():
        if key.endswith("weight"):
            turned = value.flip(0, 1) if _TURNED.fullmatch(key) and value.ndim == 4 else value
            state[key] = turned.permute(_AXES.get(value.ndim, tuple(range(value.ndim))))
        else:
            state[key] = value + 1 if key.endswith("/mod_bias") else value
    return state
