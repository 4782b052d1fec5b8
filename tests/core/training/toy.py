"""A task of a few numbers, its data, and a script that torchrun can start:

    python -m torch.distributed.run --nproc-per-node 2 toy.py POOL OUT STEPS BATCH
"""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

if "anyone" not in sys.modules:
    spec = importlib.util.spec_from_file_location("pack_loader", Path(__file__).parents[2] / "conftest.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

from anyone.core.runtime import Runtime
from anyone.core.training import Options, Pool, Task, train


def write_pool(folder: Path, counts=(24, 16), size=8, people=2) -> Path:
    """Shards of uniform pictures whose identity is their colour."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    for number, count in enumerate(counts):
        colour = torch.randint(0, 256, (count, 3), generator=generator, dtype=torch.uint8)
        label = torch.arange(count, dtype=torch.uint8)[:, None, None].expand(count, size, size).contiguous()
        save_file({
            "image": colour[:, :, None, None].expand(count, 3, size, size).contiguous(),
            "identity": (colour.float() / 127.5 - 1).half(),
            "keypoints": torch.rand(count, people, 18, 2, generator=generator) * size,
            "visibility": torch.full((count, people, 18), 2, dtype=torch.uint8),
            "regions": label, "people": label.clone(), "people_regions": label.clone(),
        }, folder / f"pool-{number:05d}.safetensors")
    return folder


class ToyTask(Task):
    """Learns to say a picture's mean colour from its identity."""

    name = "toy"

    def __init__(self, lr=0.05, poison=()) -> None:
        torch.manual_seed(5)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        self.modules, self.averaged = {"net": self.net}, ("net",)
        self.optimizers = {"net": torch.optim.Adam(self.net.parameters(), lr)}
        self.poison = poison
        self.seen: list[torch.Tensor] = []

    def step(self, batch, context):
        self.seen.append(torch.cat([torch.rand(2, generator=context.generator), torch.rand(2)]))
        with context.autocast():
            guess = self.net(batch["identity"])
        loss = (guess.float() - batch["image"].mean((2, 3))).square().mean()
        if context.step in self.poison:
            loss = loss * float("nan")
        context.descend(self.optimizers["net"], loss)
        return {"loss": loss}

    def sample(self, batch, averaged):
        guess = averaged["net"](batch["identity"])[:, :, None, None].expand_as(batch["image"])
        return torch.stack([batch["image"], guess])

    def evaluate(self, batches, averaged):
        errors = [(averaged["net"](b["identity"]) - b["image"].mean((2, 3))).abs().mean(1) for b in batches]
        return {"l1": float(torch.cat(errors).mean()), "pictures": float(len(torch.cat(errors)))}


if __name__ == "__main__":
    pool, out, steps, batch = sys.argv[1:]
    torch.set_num_threads(1)
    train(ToyTask(), Pool(pool), Options(Path(out), steps=int(steps), batch=int(batch)), Runtime("cpu"))
