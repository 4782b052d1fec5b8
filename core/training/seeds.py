"""Random numbers as pure functions of a few integers, so that a resumed run repeats the interrupted one."""
from __future__ import annotations

import hashlib

import torch


def seed_for(*numbers: int) -> int:
    """A 63-bit seed; neighbouring numbers give unrelated seeds."""
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(*numbers: int) -> torch.Generator:
    """A CPU generator seeded by `seed_for`."""
    return torch.Generator().manual_seed(seed_for(*numbers))
