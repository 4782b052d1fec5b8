"""`Latent`, the value of the ANYONE_LATENT wire, and what can be done with latents alone."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import cycle_to
from ..mapping import LatentMapping
from .network import Config

GROUPS = ("all", "coarse", "middle", "fine")              # of layers, coarse: pose and shape, fine: colours
_STARTS = (0, 4, 8)                                       # first rows of coarse (4-8), middle (16-32), fine


@dataclass(frozen=True, eq=False)
class Origin:
    """Where latents come from, as far as it is known: `z` [N,Z], `labels` [N,C] of their classes (C = 0
    without any), and how w was truncated. Raises ValueError for other shapes."""

    z: Tensor
    labels: Tensor
    psi: float = 1.0
    cutoff: int | None = None

    def __post_init__(self) -> None:
        if self.z.ndim != 2 or self.labels.ndim != 2:
            raise ValueError("The z and labels of latents should be [batch, numbers]; got tensors of shape "
                             f"{list(self.z.shape)} and {list(self.labels.shape)}.")


@dataclass(frozen=True, eq=False)
class Latent:
    """What a generator draws: one row of w for each of its layers.

    `w_plus`: [N,num_ws,W] float32 on the CPU; all rows of a sample are equal in "w", not so in "w+".
    `generator`: its name, for people. `identity`: digest of its mapping network, which also tuned copies
    have; "" where a file does not tell. `origin`: of latents nobody has edited yet. Raises ValueError for
    what is no latent.
    """

    w_plus: Tensor
    generator: str = "an unknown generator"
    identity: str = ""
    origin: Origin | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        w_plus = self.w_plus.detach().float().cpu()
        if w_plus.ndim != 3 or 0 in w_plus.shape:
            raise ValueError("A latent should be [batch, layers, width]; "
                             f"got a tensor of shape {list(w_plus.shape)}.")
        if not w_plus.isfinite().all():
            raise ValueError("The latent holds NaN or infinite values.")
        origin = self.origin
        if origin is not None and not len(w_plus) == len(origin.z) == len(origin.labels):
            raise ValueError(f"There are {len(w_plus)} latents, but z for {len(origin.z)} and labels for "
                             f"{len(origin.labels)}.")
        object.__setattr__(self, "w_plus", w_plus)

    def __len__(self) -> int:
        return len(self.w_plus)

    def __repr__(self) -> str:
        return f"<Latent {'x'.join(map(str, self.w_plus.shape))} of {self.generator}>"

    def edited(self, w_plus: Tensor) -> Latent:
        """Other numbers for the same generator."""
        return replace(self, w_plus=w_plus, origin=None)

    def taken(self, rows: Sequence[int]) -> Latent:
        """The samples of these numbers, in this order."""
        chosen, origin = list(rows), self.origin
        if origin is not None:
            origin = replace(origin, z=origin.z[chosen], labels=origin.labels[chosen])
        return replace(self, w_plus=self.w_plus[chosen], origin=origin)


def identity_of(mapping: LatentMapping) -> str:
    """What tells the latents of one trained generator from another's, whatever its files are called. Fine
    tuning of the pictures leaves it as it is."""
    weight = mapping.get_parameter("fc0.weight").detach().float().cpu().contiguous()
    return hashlib.sha256(weight.numpy().tobytes()).hexdigest()[:16]


def check_pair(a: Latent, b: Latent) -> None:
    """Raises ValueError for latents of two generators."""
    if a.w_plus.shape[1:] != b.w_plus.shape[1:] or (a.identity and b.identity and a.identity != b.identity):
        raise ValueError(f"The latents belong to two generators: {a} and {b}; only latents of one can meet.")


def check_owner(latent: Latent, config: Config, identity: str, name: str) -> None:
    """Raises ValueError for a latent of another generator than the one called `name`."""
    rows, width = latent.w_plus.shape[1:]
    if (rows, width) != (config.num_ws, config.w):
        raise ValueError(f"The latent has {rows} layers of {width} numbers, but {name} needs {config.num_ws} "
                         f"of {config.w}: it was made with another generator ({latent.generator}).")
    if latent.identity and latent.identity != identity:
        raise ValueError(f"The latent was made with {latent.generator}, which {name} is no copy of; sample "
                         "or invert anew with this generator.")


def layer_rows(text: str, num_ws: int) -> list[int]:
    """The rows of w+ a person means: "all", "coarse", "middle", "fine", numbers and ranges ("0-3, 7").

    Raises ValueError for anything else and for rows that the generator lacks.
    """
    rows: set[int] = set()
    for part in text.lower().split(","):
        match = re.fullmatch(r"\s*(?:(\d{1,4})(?:\s*-\s*(\d{1,4}))?|([a-z]+))\s*", part)
        if match is None or match[3] and match[3] not in GROUPS:
            raise ValueError(f"layers should be {', '.join(GROUPS)}, or numbers like 0-3, 7; got {text!r}.")
        if match[3]:
            rows.update(_group(match[3], num_ws))
        else:
            rows.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if rows and max(rows) >= num_ws:
        raise ValueError(f"The generator has layers 0 to {num_ws - 1}; got {text!r}.")
    return sorted(rows)


def _group(name: str, num_ws: int) -> range:
    ends = (*_STARTS[1:], num_ws)
    bounds = dict(zip(GROUPS[1:], zip(_STARTS, ends, strict=True), strict=True)) | {"all": (0, num_ws)}
    start, end = bounds[name]
    return range(start, min(end, num_ws))


def mix(a: Latent, b: Latent, rows: Sequence[int]) -> Latent:
    """Style mixing (Karras et al. 2019, section 3.1): `a` with these rows of `b`; the shorter repeats."""
    check_pair(a, b)
    count = max(len(a), len(b))
    mixed = cycle_to(a.w_plus, count).clone()
    mixed[:, list(rows)] = cycle_to(b.w_plus, count)[:, list(rows)]
    return a.edited(mixed)


def join(a: Latent, b: Latent) -> Latent:
    """All samples of `a`, then all of `b`. Their z are forgotten where they were truncated in two ways."""
    check_pair(a, b)
    first, second, origin = a.origin, b.origin, None
    if first is not None and second is not None and _kind(first) == _kind(second):
        origin = replace(first, z=torch.cat([first.z, second.z]),
                         labels=torch.cat([first.labels, second.labels]))
    return replace(a, w_plus=torch.cat([a.w_plus, b.w_plus]), origin=origin)


def _kind(origin: Origin) -> tuple[object, ...]:
    return origin.psi, origin.cutoff, origin.z.shape[1:], origin.labels.shape[1:]


def interpolate(a: Latent, b: Latent, t: Tensor) -> Latent:
    """Linear in w: sample i lies `t[i]` of the way from a sample of `a` to one of `b`, which repeat."""
    check_pair(a, b)
    first, second = (cycle_to(one.w_plus, len(t)) for one in (a, b))
    return a.edited(torch.lerp(first, second, t.float()[:, None, None]))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """[N,Z] and [N,Z], `t` [N] of the way between them on the unit sphere -> [N,Z] of length 1."""
    start, end = (F.normalize(z.double(), dim=1) for z in (a, b))
    cosine = (start * end).sum(1, keepdim=True)                                    # [N,1]
    angle = t.double()[:, None] * cosine.clamp(-1, 1).acos()
    across = F.normalize(end - cosine * start, dim=1)
    return (start * angle.cos() + across * angle.sin()).float()


def walk(latent: Latent, steps: int, closed: bool = False) -> tuple[Latent, Latent, Tensor]:
    """The way through all samples of a batch, `steps` pictures from one to the next, as the arguments of an
    interpolation; `closed`: and back to the first, which then does not come twice."""
    numbers = torch.arange(_legs(latent, closed) * steps + (not closed))
    return _neighbours(latent, numbers.double() / steps, closed)


def walk_to(latent: Latent, t: float, closed: bool = False) -> tuple[Latent, Latent, Tensor]:
    """One place of the same way: `t` of it, 0..1."""
    return _neighbours(latent, torch.tensor([t]).double() * _legs(latent, closed), closed)


def _legs(latent: Latent, closed: bool) -> int:
    return len(latent) - (not closed)


def _neighbours(latent: Latent, places: Tensor, closed: bool) -> tuple[Latent, Latent, Tensor]:
    """The samples on either side of `places`, which count samples, and how far it is between these."""
    starts = places.long().clamp(0, max(_legs(latent, closed) - 1, 0))
    ends = (starts + 1) % len(latent)
    return latent.taken(starts.tolist()), latent.taken(ends.tolist()), places - starts
