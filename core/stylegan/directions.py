"""Directions in w along which pictures change in one respect, found without labels.

SeFa: Shen and Zhou 2021, "Closed-form factorization of latent semantics in GANs". GANSpace: Härkönen et al.
2020, "GANSpace: discovering interpretable GAN controls".
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..runtime import Runtime
from .infer import GeneratorNet, generator_of, lend, sample_w
from .latents import Latent, identity_of
from .network import Generator

SAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Directions:
    """`vectors`: [K,W] float32, of length 1, orthogonal, the strongest first. `deviations`: [K], of the w of
    random z along each. `generator`, `identity`: as those of `Latent`. `method`: how they were found."""

    vectors: Tensor
    deviations: Tensor
    generator: str
    identity: str
    method: str

    def __repr__(self) -> str:
        return f"<Directions {len(self.vectors)} of {self.generator}, {self.method}>"


def sefa(net: GeneratorNet, layers: Sequence[int] | None = None, *, seed: int = 0,
         runtime: Runtime) -> Directions:
    """The directions to which the styles of these layers answer most: eigenvectors of A^T A, A the
    affine maps of their convolutions below each other. `layers`: rows of w+, by default all.

    Raises ValueError for layers without a convolution: those that only draw.
    """
    with lend(net, runtime) as (module, _):
        affine = style_weights(module.generator, layers)                           # [I,W]
        w = sample_w(module.mapping, SAMPLES, seed).double().cpu()
    return _directions(net, affine.T @ affine, w, "SeFa")


def style_weights(generator: Generator, layers: Sequence[int] | None) -> Tensor:
    """[I,W] float64 on the CPU: what makes the styles out of w, of all convolutions that take these rows."""
    rows = [(max(2 * block.index - 1, 0) + number, conv.affine.weight)
            for block in generator.synthesis.blocks for number, conv in enumerate(block.convs())]
    chosen = [weight.double().cpu() for row, weight in rows if layers is None or row in layers]
    if not chosen:
        raise ValueError(f"SeFa needs a layer from 0 to {rows[-1][0]}; got {list(layers or ())}.")
    return torch.cat(chosen)


def ganspace(net: GeneratorNet, *, samples: int = SAMPLES, seed: int = 0, runtime: Runtime) -> Directions:
    """Principal components of the w of random z."""
    with lend(net, runtime) as (module, _):
        w = sample_w(module.mapping, samples, seed).double().cpu()
    return _directions(net, torch.cov(w.T), w, "GANSpace")


def _directions(net: GeneratorNet, symmetric: Tensor, w: Tensor, method: str) -> Directions:
    """Eigenvectors of [W,W], that of the largest value first; their largest number is positive."""
    vectors = torch.linalg.eigh(symmetric).eigenvectors.T.flip(0)                  # [K,W]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    vectors = vectors * largest.sign()
    deviations = (w @ vectors.T).std(0)
    return Directions(vectors.float(), deviations.float(), net.name,
                      identity_of(generator_of(net).mapping), method)


def apply(latent: Latent, directions: Directions, strengths: Sequence[float],
          layers: Sequence[int] | None = None) -> Latent:
    """The latents moved along the first directions, by `strengths` standard deviations each. `layers`: rows
    of w+ that move, by default all.

    Raises ValueError for directions of another generator, and for strengths other than 0 beyond the last one.
    """
    if latent.w_plus.shape[2] != directions.vectors.shape[1] or latent.identity not in (
            "", directions.identity):
        raise ValueError(f"The directions were found for {directions.generator}, but the latent belongs to "
                         f"{latent.generator}; find them for the same generator.")
    used = 1 + max((number for number, strength in enumerate(strengths) if strength), default=-1)
    if used > len(directions.vectors):
        raise ValueError(f"There are {len(directions.vectors)} directions, counted from 0; got a strength "
                         f"for direction {used - 1}.")
    amounts = torch.tensor(list(strengths[:used])) * directions.deviations[:used]
    moved, rows = latent.w_plus.clone(), slice(None) if layers is None else list(layers)
    moved[:, rows] += amounts @ directions.vectors[:used]
    return latent.edited(moved)
