"""What is lazily added to StyleGAN2's logistic losses, and the optimiser that goes with laziness.

"Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020, arXiv 1912.04958, section 3.2
and appendix B.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Adam

BETA2, EPS = 0.99, 1e-8


def gradient_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """R1 without its gamma/2: squared gradient of the logits in the pictures [N,3,H,W], mean over them."""
    slope, = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


def path_lengths(pictures: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """[N]: how far `pictures` [N,3,H,W] move along `directions`, N(0,1) of their shape, with `ws`
    [N,num_ws,W], from which they were drawn."""
    height, width = pictures.shape[2:]
    moved = (pictures * directions).sum() / math.sqrt(height * width)
    slope, = torch.autograd.grad(moved, ws, create_graph=True)
    return slope.square().sum(2).mean(1).sqrt()


def lazy_adam(net: nn.Module, rate: float, every: int) -> Adam:
    """Adam that takes one more step, a regulariser's, every so many steps, and goes as far as without it.

    `every`: 0 = never.
    """
    part = every / (every + 1) if every else 1.0
    return Adam(net.parameters(), rate * part, (0.0, BETA2 ** part), EPS)
