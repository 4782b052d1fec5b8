"""The training loop: reads top to bottom as what happens to one run.

    python run.py train detect --data pools/people --out runs/detect --budget 35m --bf16
    python run.py train detect --data pools/people --out runs/detect --budget 35m --bf16 --resume
    torchrun --nproc-per-node 2 run.py train detect --data pools/people --out runs/detect --steps 20000

The folder of a run holds `state.pt` (to continue), `log.jsonl`, `loss.png`, `samples/`, and the averaged
weights `NAME.safetensors` with their card `NAME.json`, all renewed every two minutes.
"""
from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor

from ..runtime import Interrupted, Progress, Runtime
from ..sheet import save_sheet
from .distributed import Group, join
from .ema import Ema
from .log import Log
from .options import Options
from .plot import save_plot
from .pool import Pool, Sampler, held_out_batches, to_batch
from .seeds import generator_for, seed_for
from .state import Position, load_state, save_card, save_state, save_weights
from .task import Batch, Guard, StepContext, Task

SHEET_PICTURES = 12


def train(task: Task, pool: Pool, options: Options, runtime: Runtime) -> Path:
    """Trains until the budget is spent or somebody stops it; returns the file with the averaged weights.

    Ctrl-C, SIGTERM and an interrupt by the runtime end the run after the step at hand, everything saved.
    Raises ValueError for options that do not fit, FloatingPointError when the training has come apart.
    """
    device = runtime.device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), join(device) as group, StopSignals() as stop:
        run = Run(task, pool, options, runtime, group)
        run.go(stop)
        return run.weights


class StopSignals:
    """Notes Ctrl-C and SIGTERM instead of dying in the middle of a step; a second Ctrl-C dies at once."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.__exit__()

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)                # type: ignore[arg-type]
        self._previous.clear()


class Run:
    """One run: the task, its data, and how far it is."""

    def __init__(self, task: Task, pool: Pool, options: Options, runtime: Runtime, group: Group) -> None:
        if options.batch % group.world:
            raise ValueError(f"--batch {options.batch} should be a multiple of the {group.world} processes.")
        self.task, self.pool, self.options, self.group = task, pool, options, group
        self.device = runtime.device
        self.guard = Guard()
        self.held_out = pool.hold_out(min(options.held_out, max(1, len(pool) // 10)))
        self.sampler = Sampler(len(pool) - self.held_out, options.seed)
        for module in task.modules.values():
            module.to(self.device)
        self.ema = Ema({name: task.modules[name] for name in task.averaged}, options.ema_half_life)
        self.position = self._start()
        self.group.copy_from_main([*task.modules.values(), *self.ema.averaged.values()])
        self.clock = time.monotonic() - self.position.seconds
        self.saved_at = self.position.seconds
        self.total = options.steps if options.steps is not None else round(options.seconds or 0)
        self.sums: dict[str, Tensor] = {}
        self.counted = 0
        if group.is_main:
            self.log = Log(options.out / "log.jsonl", self.position.step)
            self.bar: Progress = runtime.progress(self.total, task.name)

    @property
    def weights(self) -> Path:
        return self.options.out / f"{self.task.name}.safetensors"

    def _start(self) -> Position:
        state = self.options.out / "state.pt"
        if not state.exists():
            return Position()
        if not self.options.resume:
            raise ValueError(f"{self.options.out} already holds a run; add --resume or choose another --out.")
        return load_state(state, self.task, self.ema, self.device)

    def progress(self) -> float:
        """Part of the budget that is spent, 0..1."""
        if self.options.steps is not None:
            return self.position.step / self.options.steps
        return self.position.seconds / (self.options.seconds or 1)

    def go(self, stop: StopSignals) -> None:
        try:
            while True:
                self.position.seconds = time.monotonic() - self.clock
                progress, stopped = self.group.agree(self.progress(), stop.asked, self.device)
                if progress >= 1 or stopped:
                    break
                self._step(progress)
                if self.group.is_main:
                    self._report(stop)
            if self.group.is_main:
                self._write_log()
                self._save(scores=self._evaluate() if progress >= 1 else {})
        except FloatingPointError as error:
            raise FloatingPointError(self._broken(error)) from error

    def _step(self, progress: float) -> None:
        position, options, group = self.position, self.options, self.group
        torch.manual_seed(seed_for(options.seed, position.step, group.rank, 1))    # noise inside the networks
        context = StepContext(
            step=position.step, images=position.images, progress=progress, device=self.device,
            generator=generator_for(options.seed, position.step, group.rank), bf16=options.bf16,
            group=group, guard=self.guard)
        share = options.batch // group.world
        indices = self.sampler.indices(position.images + group.rank * share, share)
        losses = self.task.step(to_batch(self.pool.take(indices), self.device, options.size), context)
        buffers = [b for module in self.task.modules.values() for b in module.buffers()]
        group.average([b for b in buffers if b.is_floating_point()])
        position.step, position.images = position.step + 1, position.images + options.batch
        self.ema.update(self.task.modules, position.images, options.batch)
        if not self.guard.failed:
            self._count(losses)
        self.guard.close_step()

    def _count(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self.sums.setdefault(name, torch.zeros((), device=self.device)).add_(value.detach())
        self.counted += 1

    def _report(self, stop: StopSignals) -> None:
        position = self.position
        if position.step % self.options.log_every == 0:
            self._write_log()
        try:
            done = position.step if self.options.steps is not None else int(position.seconds)
            self.bar.update(min(done, self.total) - self.bar.done)
        except Interrupted:
            stop.asked = True
        if position.seconds - self.saved_at >= self.options.save_every and self.guard.in_a_row == 0:
            self._save(scores={})

    def _write_log(self) -> None:
        if not self.counted:
            return
        position = self.position
        means = {name: float(total) / self.counted for name, total in self.sums.items()}
        self.log.write({"step": position.step, "images": position.images,
                        "seconds": round(position.seconds, 1),
                        **{name: round(value, 6) for name, value in means.items()}})
        rate = position.images / max(position.seconds, 1e-9)
        self.bar.label = f"{self.task.name} {next(iter(means.values())):.4f} {rate:.0f}/s"
        self.sums, self.counted = {}, 0

    def _save(self, scores: Mapping[str, float]) -> None:
        out = self.options.out
        save_state(out / "state.pt", self.task, self.ema, self.position)
        with torch.no_grad():
            tensors, metadata = self.task.export(self.ema.averaged)
            spread = torch.arange(len(self.pool) - self.held_out, len(self.pool),
                                  max(1, self.held_out // SHEET_PICTURES))[:SHEET_PICTURES]
            sheet = self.task.sample(self._batch(spread), self.ema.averaged)
        save_weights(self.weights, tensors, metadata)
        save_card(self.weights.with_suffix(".json"), self._card(tensors, scores))
        save_sheet(out / "samples" / f"{self.position.images:09d}.png", sheet)
        save_plot(out / "loss.png", self.log.lines)
        self.saved_at = self.position.seconds

    def _card(self, tensors: Mapping[str, Tensor], scores: Mapping[str, float]) -> dict:
        options, position = self.options, self.position
        height, width = options.size or self.pool.size
        return {
            "system": self.task.name, "file": self.weights.name,
            "parameters": sum(t.numel() for t in tensors.values()),
            "data": [folder.name for folder in self.pool.folders], "pictures": self.sampler.count,
            "held_out_pictures": self.held_out, "size": f"{height}x{width}",
            "steps": position.step, "images": position.images, "seconds": round(position.seconds),
            "batch": options.batch, "processes": self.group.world, "seed": options.seed,
            "precision": "bf16" if options.bf16 else "float32", "device": self.device.type,
            "skipped_steps": self.guard.skipped, "scores": dict(scores),
        }

    def _evaluate(self) -> dict[str, float]:
        with torch.no_grad():
            return self.task.evaluate(self._held_out(), self.ema.averaged)

    def _held_out(self) -> Iterator[Batch]:
        for indices in held_out_batches(self.pool, self.held_out, self.options.batch):
            yield self._batch(indices)

    def _batch(self, indices: Tensor) -> Batch:
        return to_batch(self.pool.take(indices), self.device, self.options.size)

    def _broken(self, error: Exception) -> str:
        state = self.options.out / "state.pt"
        kept = f"The last good state is in {state}." if state.exists() else "Nothing had been saved yet."
        return (f"{error} {self.task.name} stopped at step {self.position.step}; lower the learning rate. "
                f"{kept}")
