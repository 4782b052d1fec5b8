"""A guess where to begin a projection: w read off a small picture.

The generator draws people from w that are known, and ridge regression (Hoerl and Kennard 1970) learns the way
back from the pictures, shrunk to a few hundred numbers.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import image_to_bchw
from ..runtime import Runtime
from .infer import BATCH, GeneratorNet, generator_of, in_batches, lend, memory_of, sample_w, to_image
from .latents import Latent, identity_of
from .project import fit_target

SAMPLES = 300
_SEED = 321                                               # of the w, others than the projector's
_ROWS = 16                                                # of pixels of the small picture, at most
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)                # in mean squared lengths of the samples


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = `mean_y` + (x - `mean_x`) `slopes`: [N,D] -> [N,W], in double precision, so that no rounding tells
    how many there were."""

    mean_x: Tensor
    mean_y: Tensor
    slopes: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return (self.mean_y + (x - self.mean_x) @ self.slopes).float()


def ridge(x: Tensor, y: Tensor) -> LinearMap:
    """Least squares from x [N,D] to y [N,W], with that penalty on the slopes which foretells samples best
    that were left out (PRESS, Allen 1974)."""
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    given, wanted = x - mean_x, y - mean_y
    values, vectors = torch.linalg.eigh(given @ given.T)                           # [N], [N,N]
    turned, scale = vectors.T @ wanted, values.mean().clamp(min=1e-12)

    def left_out(penalty: float) -> Tensor:
        kept = values / (values + penalty * scale)                                 # of each direction
        leverage = vectors.square() @ kept + 1 / len(x)                            # [N], 1/N by the means
        return ((wanted - vectors @ (kept[:, None] * turned)) / (1 - leverage)[:, None]).square().sum()

    best = min(_PENALTIES, key=left_out)
    slopes = given.T @ (vectors @ (turned / (values + best * scale)[:, None]))
    return LinearMap(mean_x, mean_y, slopes)


def guess_latents(net: GeneratorNet, image: Tensor, *, runtime: Runtime) -> Latent:
    """Latents in w for pictures [B,H,W,C] 0..1, as `project.project` takes them for its start.

    Nearer than the mean of w where the pictures are such as the generator draws. Where memory runs out, half
    as many samples at a time.
    """
    config, small = generator_of(net).config, []
    targets = fit_target(image_to_bchw(image), *config.size(-1))                   # [B,3,h,w]
    progress = runtime.progress(SAMPLES, "guessing latents")
    with lend(net, runtime, BATCH * memory_of(config)) as (module, _):
        known = sample_w(module.mapping, SAMPLES, _SEED)                           # [N,W]

        def draw(w: Tensor, _: int) -> Tensor:
            return shrunk(to_image(module.picture(w[:, None].expand(-1, config.num_ws, -1))).movedim(-1, 1))

        for part in in_batches(draw, known, BATCH, runtime):
            small.append(part)
            progress.update(len(part))
        identity = identity_of(module.mapping)
        w = ridge(torch.cat(small), known.cpu())(shrunk(targets))                  # [B,W]
    return Latent(w[:, None].expand(-1, config.num_ws, -1), net.name, identity)


def shrunk(pictures: Tensor) -> Tensor:
    """[N,3,h,w] -> [N,D], colours of a picture of at most 16 rows."""
    height, width = pictures.shape[2:]
    rows = min(_ROWS, height)
    return F.adaptive_avg_pool2d(pictures, (rows, max(1, width * rows // height))).flatten(1)
