"""How far apart two pictures are in the features of a network that has learned to see.

Johnson et al. 2016, "Perceptual losses for real-time style transfer and super-resolution", and Zhang et al.
2018, "The unreasonable effectiveness of deep features as a perceptual metric".
"""
from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints import check_state, embedded, load, read
from .image import imagenet

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))   # channels and convolutions of each block
VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")     # of VGG-16
LAYERS = MappingProxyType(                                  # pix2pixHD's, which SPADE and SEAN took over
    {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0})
DETECTOR = "detect-person"
DETECTOR_TITLE = f"features of {DETECTOR}"


class Perceptual(nn.Module):
    """L1 distance of two pictures in the features of a frozen network, summed over the network's levels.

    `weights`: of the levels; None divides each level by the mean magnitude of the real picture's features,
    so that all count alike. `title`: what the features are, for the card of the weights trained with them.
    """

    def __init__(self, title: str, network: nn.Module, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.title, self.weights = title, weights
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def vgg19(cls, path: str | Path, layers: Mapping[str, float] = LAYERS) -> Perceptual:
        """torchvision's VGG-19 (`vgg19-*.pth`). `layers`: "relu1_1" .. "relu5_4" and the weight of each.

        Pictures are not normalised as ImageNet's were. Raises FileNotFoundError or ValueError when the file
        is missing or holds something else.
        """
        tree = read(path).tree
        try:
            network = _filled_vgg(VGG19, tuple(layers), tree, "VGG-19 of torchvision")
        except ValueError as error:
            raise ValueError(f"{Path(path).name} cannot be used for the perceptual loss. {error}") from error
        return cls("VGG-19", network, tuple(layers.values()))

    @classmethod
    def detector(cls) -> Perceptual:
        """The embedded person detector's encoder: levels at 1/2, 1/4, 1/8 and 1/16 of the size."""
        return cls(DETECTOR_TITLE, _detector_encoder())

    def features(self, picture: Tensor) -> list[Tensor]:
        """[B,3,H,W], -1..1, of any size from 16x16 on -> one map [B,C,h,w] per level."""
        return self.network(picture)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Two batches [B,3,H,W], -1..1 -> a scalar; gradients flow into `fake` only.

        Raises ValueError for pictures of two shapes.
        """
        if fake.shape != real.shape:
            raise ValueError("The perceptual loss compares pictures of one shape; "
                             f"got {list(fake.shape)} and {list(real.shape)}.")
        with torch.no_grad():
            targets = [level.float() for level in self.features(real)]
        weights: Sequence[float | Tensor] = self.weights or [
            1 / target.abs().mean().clamp(min=1e-6) for target in targets]
        return torch.stack([weight * F.l1_loss(level.float(), target) for weight, level, target
                            in zip(weights, self.features(fake), targets, strict=True)]).sum()


class Lpips(nn.Module):
    """Pictures as points whose squared distance is perceptual: LPIPS (Zhang et al. 2018, eq. 1).

    At every place of every level the features have length 1, so that patterns count and not contrast.
    `weights`: of the channels of each level, as fitted to people's judgement; without any all count alike.
    `title`: what the features are, for scores made of them.
    """

    def __init__(self, title: str, network: nn.Module, weights: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.title, self.network = title, network.eval()
        self.weights = nn.ParameterList(weights)
        self.requires_grad_(False)

    @classmethod
    def vgg16(cls, path: str | Path) -> Lpips:
        """A file of the lpips package's whole network for VGG (`net.slice1.0.weight`, `lin0.model.1.weight`),
        or torchvision's VGG-16 (`vgg16-*.pth`), which knows no weights for the channels.

        Raises FileNotFoundError or ValueError when the file is missing or holds something else.
        """
        tree = {re.sub(r"^net\.slice\d\.", "features.", key): value for key, value in read(path).tree.items()}
        fitted = [tree.get(f"lin{number}.model.1.weight") for number in range(len(VGG16))]
        weights = [value.float().flatten().clamp(min=0) for value in fitted if isinstance(value, Tensor)]
        try:
            network = _filled_vgg(VGG16, LPIPS_LAYERS, tree, "VGG-16 of torchvision or lpips")
            if weights and [len(weight) for weight in weights] != [width for width, _ in VGG16]:
                raise ValueError("The weights of its channels do not fit LPIPS.")
        except ValueError as error:
            raise ValueError(f"{Path(path).name} cannot be used for perceptual distances. {error}") from error
        return cls("LPIPS" if weights else "VGG-16", nn.Sequential(ImageNet(), network), weights)

    @classmethod
    def detector(cls) -> Lpips:
        """The embedded person detector's encoder: what takes the place of VGG-16 where it is not at hand."""
        return cls(DETECTOR_TITLE, _detector_encoder())

    def forward(self, pictures: Tensor) -> Tensor:
        """[N,3,H,W], -1..1, of any size from 16x16 on -> [N,D]; differentiable."""
        return torch.cat([self._level(*item) for item in enumerate(self.network(pictures))], 1)

    def _level(self, number: int, x: Tensor) -> Tensor:
        """[N,C,h,w] -> [N,C*h*w]: sums over channels and means over places become plain sums of squares."""
        x = F.normalize(x, dim=1) / math.sqrt(x.shape[2] * x.shape[3])
        if self.weights:
            x = x * self.weights[number].sqrt()[:, None, None]
        return x.flatten(1)


class Vgg(nn.Module):
    """The convolutions of a VGG (Simonyan and Zisserman 2015) as far as the last of `layers`, under
    torchvision's names: [B,3,H,W] -> one map per layer, after its ReLU.

    `blocks`: VGG16 or VGG19. `layers`: "relu1_1" .. "relu5_3" or "relu5_4".
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], layers: Sequence[str]) -> None:
        super().__init__()
        plan = vgg_plan(blocks)
        names = [name for name, _ in plan]
        self.taps = [names.index(layer) for layer in layers]
        self.features = nn.Sequential(*(module for _, module in plan[:max(self.taps) + 1]))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = {}
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                found[number] = x
        return [found[number] for number in self.taps]


def vgg_plan(blocks: Sequence[tuple[int, int]]) -> list[tuple[str, nn.Module]]:
    """All layers in order, so that a layer's place is its number at torchvision."""
    plan: list[tuple[str, nn.Module]] = []
    inputs = 3
    for block, (width, count) in enumerate(blocks, start=1):
        for number in range(1, count + 1):
            plan += [(f"conv{block}_{number}", nn.Conv2d(inputs, width, 3, padding=1)),
                     (f"relu{block}_{number}", nn.ReLU())]
            inputs = width
        plan.append((f"pool{block}", nn.MaxPool2d(2)))
    return plan


def _filled_vgg(blocks: Sequence[tuple[int, int]], layers: Sequence[str], tree: Mapping[str, object],
                title: str) -> Vgg:
    """With its tensors out of a file's; ValueError when they do not fit."""
    with torch.device("meta"):
        network = Vgg(blocks, layers)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    state = {name: value.to(torch.float32, copy=True) for name in shapes
             if isinstance(value := tree.get(name), Tensor)}
    check_state(shapes, state, title)
    network.load_state_dict(state, assign=True)
    return network.to(memory_format=torch.channels_last)   # type: ignore[call-overload]


def _detector_encoder() -> DetectorEncoder:
    # A copy: whoever else detects people may move the loaded network to another device.
    return DetectorEncoder(copy.deepcopy(load(embedded()[DETECTOR]).module))


class ImageNet(nn.Module):
    """Pictures -1..1 as the classifiers of ImageNet want them."""

    def forward(self, picture: Tensor) -> Tensor:
        return imagenet(picture / 2 + 0.5)


class DetectorEncoder(nn.Module):
    """What the person detector sees on its way down; pictures -1..1 instead of its own 0..1."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, picture: Tensor) -> list[Tensor]:
        return self.detector.encode(picture / 2 + 0.5)     # type: ignore[operator]
