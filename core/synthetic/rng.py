"""Random numbers that are pure functions of (seed, id, purpose, name), whatever the batch and the device.

A counter-based generator would tie a person to its position in the batch; hashing ties every number to a
name instead.
"""
from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def hash32(x: Tensor) -> Tensor:
    """Integer mixer on the low 32 bits of an int64 tensor; every input bit reaches every output bit."""
    x = x & _MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def name_code(name: str) -> int:
    return zlib.crc32(name.encode())


class Draws:
    """Named random numbers for a batch of ids.

    `ids`: [N] integers. `purpose` separates streams ("identity", "pose"), so that one id may serve several.
    Every method takes the name of the number drawn; the same name gives the same number again.
    """

    def __init__(self, ids: Tensor, seed: int, purpose: str) -> None:
        stream = torch.tensor((seed * 7919 + name_code(purpose)) & _MASK, device=ids.device)
        self.base = hash32(ids.long() * 0x9E3779B1 + hash32(stream))  # [N]
        self.device = ids.device

    def uniforms(self, names: Sequence[str]) -> Tensor:
        """[M,N] in 0..1, one row per name; 24 bits, so that float32 never rounds up to 1."""
        codes = torch.tensor([name_code(name) for name in names], device=self.device)
        return (hash32(self.base + codes[:, None]) >> 8).float() / 2**24

    def bits(self, name: str) -> Tensor:
        """[N] int64 in 0..2^32-1."""
        return hash32(self.base + name_code(name))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """[N] in low..high."""
        return low + (high - low) * self.uniforms([name])[0]

    def normal(self, name: str, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
        """[N] bell-shaped, cut at 2.2 deviations. The sum of four uniform numbers: exact on every device."""
        a, b, c, d = self.uniforms([f"{name}/{k}" for k in range(4)])
        return mean + deviation * ((a + b + c + d - 2.0) * 3**0.5).clamp(-2.2, 2.2)

    def choice(self, name: str, weights: Sequence[float]) -> Tensor:
        """[N] int64 indices with the given relative weights."""
        edges = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        edges = (edges / edges[-1]).float().to(self.device)
        return torch.searchsorted(edges, self.uniform(name), right=True).clamp(max=len(weights) - 1)

    def chance(self, name: str, probability: float) -> Tensor:
        """[N] bool."""
        return self.uniform(name) < probability

    def pick(self, name: str, table: Sequence[Sequence[float]]) -> Tensor:
        """[N,C] rows of a table, all equally likely."""
        rows = torch.tensor(table, dtype=torch.float32, device=self.device)
        return rows[(self.uniform(name) * len(table)).long()]

    def ids(self, name: str) -> Tensor:
        """[N] fresh ids for further people, out of the range that users count in."""
        return self.bits(name) + 2**32
