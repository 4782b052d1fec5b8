"""Perceptual losses: how far apart two pictures are in the features of a network that has learned to see.

Johnson et al. 2016, "Perceptual losses for real-time style transfer and super-resolution".
"""
from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import check_state, embedded, load, read

VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))   # channels and convolutions of each block
LAYERS = MappingProxyType(                                  # pix2pixHD's, which SPADE and SEAN took over
    {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0})
DETECTOR = "detect-person"


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
        with torch.device("meta"):
            network = Vgg19(tuple(layers))
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        tree = read(path).tree
        state = {name: tree[name].to(torch.float32, copy=True) for name in shapes
                 if isinstance(tree.get(name), Tensor)}
        try:
            check_state(shapes, state, "VGG-19 of torchvision")
        except ValueError as error:
            raise ValueError(f"{Path(path).name} cannot be used for the perceptual loss. {error}") from error
        network.load_state_dict(state, assign=True)
        network.to(memory_format=torch.channels_last)      # type: ignore[call-overload]
        return cls("VGG-19", network, tuple(layers.values()))

    @classmethod
    def detector(cls) -> Perceptual:
        """The embedded person detector's encoder: levels at 1/2, 1/4, 1/8 and 1/16 of the size."""
        # A copy: whoever else detects people may move the loaded network to another device.
        encoder = DetectorEncoder(copy.deepcopy(load(embedded()[DETECTOR]).module))
        return cls(f"features of {DETECTOR}", encoder)

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


class Vgg19(nn.Module):
    """The convolutions of VGG-19 (Simonyan and Zisserman 2015) as far as the last of `layers`, under
    torchvision's names: [B,3,H,W] -> one map per layer, after its ReLU."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        plan = vgg19_plan()
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


def vgg19_plan() -> list[tuple[str, nn.Module]]:
    """All layers in order, so that a layer's place is its number at torchvision."""
    plan: list[tuple[str, nn.Module]] = []
    inputs = 3
    for block, (width, count) in enumerate(VGG19, start=1):
        for number in range(1, count + 1):
            plan += [(f"conv{block}_{number}", nn.Conv2d(inputs, width, 3, padding=1)),
                     (f"relu{block}_{number}", nn.ReLU())]
            inputs = width
        plan.append((f"pool{block}", nn.MaxPool2d(2)))
    return plan


class DetectorEncoder(nn.Module):
    """What the person detector sees on its way down; pictures -1..1 instead of its own 0..1."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, picture: Tensor) -> list[Tensor]:
        return self.detector.encode(picture / 2 + 0.5)     # type: ignore[operator]
