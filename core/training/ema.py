"""Averaged weights."""
from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving averages of some modules; what is sampled from, evaluated and exported.

    The half-life grows with the run: min(`half_life`, 5 % of the images seen), so that the first, bad weights
    are soon forgotten (as in StyleGAN2-ADA, Karras et al. 2020, and TriA-GAN).
    """

    def __init__(self, modules: Mapping[str, nn.Module], half_life: float) -> None:
        self.half_life = half_life
        self.averaged = {name: copy.deepcopy(module).eval().requires_grad_(False)
                         for name, module in modules.items()}

    @torch.no_grad()
    def update(self, modules: Mapping[str, nn.Module], images: int, batch: int) -> None:
        """After a step of `batch` images, `images` seen in all. Running statistics are averaged as weights
        are."""
        decay = 0.5 ** (batch / min(self.half_life, 0.05 * images))
        for name, average in self.averaged.items():
            now = modules[name].state_dict()
            pairs = [(old, now[key]) for key, old in average.state_dict().items()]
            floats: list[tuple[Tensor, Tensor]] = [pair for pair in pairs if pair[0].is_floating_point()]
            torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
            for old, new in pairs:
                if not old.is_floating_point():
                    old.copy_(new)
