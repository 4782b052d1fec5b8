"""Data sets on disk: shards `pool-00000.safetensors` and so on, each whole or not there."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from .files import atomic_write
from .runtime import Runtime

SHARD = 512                                               # samples each


def write_shards(folder: Path, header: Mapping[str, str], count: int,
                 make: Callable[[int, int], dict[str, Tensor]], runtime: Runtime) -> None:
    """Writes samples 0 .. `count`; `make(first, count)` gives the fields of a shard, [count,...] each.

    Finished shards are kept, one with fewer samples than it should have is made anew. `header`: what the
    samples depend on; not `count`, so that a data set can grow. Raises ValueError when the folder holds
    shards of another header.
    """
    from safetensors.torch import save_file

    progress = runtime.progress(count, folder.name)
    for number, first in enumerate(range(0, count, SHARD)):
        size = min(SHARD, count - first)
        path = folder / f"pool-{number:05}.safetensors"
        if not _is_finished(path, header, size):
            with atomic_write(path) as temporary:
                save_file(make(first, size), temporary, dict(header))
        progress.update(size)


def _is_finished(path: Path, header: Mapping[str, str], count: int) -> bool:
    from safetensors import safe_open

    if not path.exists():
        return False
    with safe_open(path, framework="pt") as file:
        if file.metadata() != header:
            raise ValueError(f"{path} was made with other settings; choose another --out or delete it.")
        return file.get_slice("image").get_shape()[0] >= count
