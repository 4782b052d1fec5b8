"""Latents that know what they should become: z made from the parameters of the person in a picture.

With one right picture per z, plain regression teaches a generator to draw people without averaging them.
Parameters are whitened and turned at random, and normal numbers fill what they leave free, so that normal z
mean people, too, when the adversarial training goes on with those.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

LEAST, MOST = 0.02, 4.0                                   # variance of a direction that counts; |parameter|
NEEDED = ("identity", "keypoints", "visibility", "regions")


def parameters_of(batch: Mapping[str, Tensor]) -> Tensor:
    """[N,P]: identity, the main person's joints as parts of the picture, which of them show (who looks away
    hides the face), the backdrop's colours above and below.

    Raises ValueError for pools that do not know their people.
    """
    missing = [name for name in NEEDED if name not in batch]
    if missing:
        raise ValueError(f"The pool holds no {missing[0]}; only pools of run.py people can inform latents.")
    image = batch["image"]
    height, width = image.shape[2:]
    joints = batch["keypoints"][:, 0] / image.new_tensor([width, height])          # [N,18,2]
    shown = (batch["visibility"][:, 0] == 2).to(image.dtype)
    behind = (batch["regions"] == 0)[:, None].to(image.dtype)                      # [N,1,H,W]
    halves = zip((image * behind).chunk(2, 2), behind.chunk(2, 2), strict=True)
    colours = [total.sum((2, 3)) / area.sum((2, 3)).clamp(min=1) for total, area in halves]
    return torch.cat([batch["identity"], joints.flatten(1), shown, *colours], 1)


class Informed:
    """`latents`: batch -> z. Depends on `batches`, the size of z and the seed only, so nothing of it needs
    saving. `batches`: of people, from all over the pool, for mean and covariance."""

    def __init__(self, batches: Iterable[Mapping[str, Tensor]], z: int, seed: int) -> None:
        samples = torch.cat([parameters_of(batch) for batch in batches]).double()
        self.mean, self.deviation = samples.mean(0), samples.std(0).clamp(min=1e-3)
        values, vectors = torch.linalg.eigh(self._standard(samples).T.cov())
        kept = min(z, int((values > LEAST).sum()))
        rng = torch.Generator().manual_seed(seed)
        turn = torch.linalg.qr(torch.randn(z, kept, generator=rng, dtype=torch.float64)).Q.T    # [K,Z]
        self.turn = turn.float()
        self.whiten = (vectors[:, -kept:] / values[-kept:].sqrt()).float()         # [P,K]
        self.mean, self.deviation = self.mean.float(), self.deviation.float()

    def latents(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> Tensor:
        """[N,Z] of mean 0 and covariance 1 over the pool."""
        parameters = parameters_of(batch)
        whiten, turn = self.whiten.to(parameters), self.turn.to(parameters)
        filling = torch.randn(len(parameters), turn.shape[1], generator=rng).to(parameters)
        return self._standard(parameters) @ whiten @ turn + filling - filling @ turn.T @ turn

    def _standard(self, parameters: Tensor) -> Tensor:
        standard = (parameters - self.mean.to(parameters)) / self.deviation.to(parameters)
        return standard.clamp(-MOST, MOST)
