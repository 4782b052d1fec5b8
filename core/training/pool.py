"""Data sets: memory-mapped shards of annotated pictures, as `run.py people` and `run.py pool` write them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image import resize
from ..regions import PERSON_REGIONS
from .seeds import generator_for

LABEL_MAPS = ("regions", "people", "people_regions")


class Pool:
    """Shards `*.safetensors` of some folders as one sequence of samples; nothing is read until asked for.

    Fields, by name: image uint8 [n,3,H,W]; with regions label map regions uint8 [n,H,W]; with classes label
    int64 [n]; of procedural people also label maps people and people_regions, keypoints float32 [n,P,18,2] in
    pixels, visibility uint8 [n,P,18], identity float16 [n,D]. `names`: of the regions, one per label.
    `unknown`: the label of pixels whose region nobody knows, None when there are none.
    Raises FileNotFoundError for a folder without shards, ValueError for shards that do not match.
    """

    names: tuple[str, ...]
    unknown: int | None

    def __init__(self, *folders: str | Path) -> None:
        self.shards: list[dict[str, Tensor]] = []
        self.folders = [Path(folder) for folder in folders]
        for folder in self.folders:
            paths = sorted(folder.glob("[!.]*.safetensors"))                   # dotted: not finished
            if not paths:
                raise FileNotFoundError(f"No *.safetensors shards in {folder}; make some: run.py people or "
                                        "run.py pool.")
            self.shards += [self._open(path) for path in paths]
        self.ends = torch.tensor([len(shard["image"]) for shard in self.shards]).cumsum(0)

    def _open(self, path: Path) -> dict[str, Tensor]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                shard = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                header = file.metadata() or {}
        except SafetensorError as error:
            raise ValueError(f"{path} is no whole shard ({error}); delete it and make it again.") from error
        first = self.shards[0] if self.shards else shard
        if {k: v.shape[1:] for k, v in shard.items()} != {k: v.shape[1:] for k, v in first.items()}:
            raise ValueError(f"{path} holds other fields or sizes than the shards before it.")
        self._name_regions(path, header)
        return shard

    def _name_regions(self, path: Path, header: Mapping[str, str]) -> None:
        """Takes the regions from a shard's header; procedural people's name none."""
        names = tuple(header["names"].split(",")) if "names" in header else PERSON_REGIONS
        if self.shards and names != self.names:
            raise ValueError(f"{path} holds other regions than the shards before it: "
                             f"{', '.join(names[:4])} ... and {', '.join(self.names[:4])} ...")
        self.names, self.unknown = names, int(header["unknown"]) if header.get("unknown") else None

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the stored pictures."""
        height, width = self.shards[0]["image"].shape[-2:]
        return height, width

    @property
    def identity_size(self) -> int:
        """Numbers in an identity vector. Raises ValueError where the samples have none."""
        if "identity" not in self.shards[0]:
            raise ValueError(f"{self.folders[0]} holds no identities; only pools of run.py people do.")
        return self.shards[0]["identity"].shape[1]

    def hold_out(self, count: int) -> int:
        """How many samples at the end to keep back so that `count` or a few more can be tested on."""
        return count

    def take(self, indices: Tensor) -> dict[str, Tensor]:
        """Samples in the order of `indices` [n], as stored; a copy."""
        which = torch.searchsorted(self.ends, indices, right=True)
        inside = indices - torch.cat([self.ends.new_zeros(1), self.ends])[which]
        out = {name: t.new_empty((len(indices), *t.shape[1:])) for name, t in self.shards[0].items()}
        for number in which.unique().tolist():
            rows = which == number
            for name, tensor in self.shards[number].items():
                out[name][rows] = tensor[inside[rows]]
        return out


def to_batch(samples: dict[str, Tensor], device: torch.device,
             size: tuple[int, int] | None = None) -> dict[str, Tensor]:
    """Stored samples -> what a task sees: on the device, pictures float 0..1, at `size` (height, width)."""
    batch = {name: tensor.to(device, non_blocking=True) for name, tensor in samples.items()}
    batch["image"] = batch["image"].float() / 255
    if "identity" in batch:
        batch["identity"] = batch["identity"].float()
    old = batch["image"].shape[-2:]
    if size is None or tuple(old) == size:
        return batch
    views = batch["image"].shape[:-3]
    batch["image"] = resize(batch["image"].flatten(0, -4), *size).unflatten(0, views)
    for name in LABEL_MAPS:
        if name in batch:
            labels = batch[name].flatten(0, -3)[:, None]
            batch[name] = F.interpolate(labels, size, mode="nearest-exact")[:, 0].unflatten(0, views)
    if "keypoints" in batch:
        factor = batch["keypoints"].new_tensor([size[1] / old[1], size[0] / old[0]])
        batch["keypoints"] = batch["keypoints"] * factor
    return batch


class Sampler:
    """An endless shuffled sequence over `count` samples; what stands where depends on seed and place only."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def indices(self, position: int, length: int) -> Tensor:
        """Sample numbers at places `position` .. `position + length` of the sequence, [length] int64."""
        parts: list[Tensor] = []
        while length > 0:
            epoch, start = divmod(position, self.count)
            part = self._permutation(epoch)[start:start + length]
            parts.append(part)
            position, length = position + len(part), length - len(part)
        return torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(self.count, generator=generator_for(self.seed, epoch))
        return self._order


def held_out_batches(pool: Pool, count: int, batch: int) -> Sequence[Tensor]:
    """Indices of the last `count` samples in batches: persons the run never trains on."""
    return torch.arange(len(pool) - count, len(pool)).split(batch)
