"""The choices of one training run."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Options:
    """`out`: the run's folder. `batch`: pictures per step over all processes. One of `steps` and `seconds` is
    the budget; with `seconds` the learning rate follows the clock, so only a run in steps repeats exactly.

    `size`: height and width the pictures are resized to, None = as stored. `ema_images`: half-life of the
    averaged weights, None = 312.5 batches. `held_out`: pictures at the end of the pool, never trained on.
    """

    out: Path
    batch: int = 32
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    bf16: bool = False
    resume: bool = False
    ema_images: float | None = None
    held_out: int = 256
    log_every: int = 20
    save_every: float = 120.0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("Give the budget either as --steps or as --budget.")
        if min(self.batch, self.steps or 1, self.seconds or 1) <= 0:
            raise ValueError("--batch, --steps and --budget should be above zero.")

    @property
    def ema_half_life(self) -> float:
        return self.ema_images if self.ema_images is not None else 312.5 * self.batch


def parse_budget(text: str) -> float:
    """"90", "90s", "30m", "1.5h" or "1h30m" -> seconds. Raises ValueError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"A budget looks like 90s, 30m or 1h30m; got {text!r}.")
    return sum(float(number) * UNITS[unit or "s"] for number, unit in parts)


def parse_size(text: str) -> tuple[int, int]:
    """"288x160" -> (288, 160), height first. Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or "0" in match.groups():
        raise ValueError(f"A size looks like 288x160 (height x width); got {text!r}.")
    return int(match[1]), int(match[2])


def doubling(size: tuple[int, int], base: int, widest: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """For networks that double a picture up to `size`: the channels of each level from a height of 4 on,
    `base` by the height and at most `widest`, and the size (height, width) of the first.

    Raises ValueError for sizes that no doubling leads to.
    """
    height, width = size
    if height < 8 or height & (height - 1) or width % (height // 4):
        raise ValueError("--size should be a power of two high and a multiple of a quarter of that wide, as "
                         f"256x256 or 128x64; got {height}x{width}.")
    levels = range((height // 4).bit_length())
    return tuple(max(1, min(base // (4 << level), widest)) for level in levels), (4, 4 * width // height)
