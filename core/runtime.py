"""What the library needs from whoever runs it: device, memory, progress, interrupt, folders.

`Runtime` is the plain default for scripts, tests and workers; ComfyUI's own lives in `nodes/host.py`.
"""
from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Item = TypeVar("Item")


class Interrupted(Exception):
    """The user asked to stop."""


class Progress:
    """Counts steps of one job. `update` also notices an interrupt, so a loop that reports is safe."""

    def __init__(self, total: int, runtime: Runtime, label: str = "") -> None:
        self.total, self.done, self.label = max(1, total), 0, label
        self._runtime = runtime

    def update(self, steps: int = 1, preview: Tensor | None = None) -> None:
        """`preview`: [H,W,3] 0..1, shown where the host can show it."""
        self._runtime.check_interrupt()
        self.done = min(self.total, self.done + steps)
        self.show(preview)

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; each is a step, done when the next one is asked for."""
        for item in items:
            yield item
            self.update()

    def show(self, preview: Tensor | None) -> None:
        """Nothing by default; hosts and `TerminalProgress` draw something."""


class TerminalProgress(Progress):
    """A bar on stderr, redrawn at most ten times a second."""

    _drawn = 0.0

    def show(self, preview: Tensor | None) -> None:
        now = time.monotonic()
        if now - self._drawn < 0.1 and self.done < self.total:
            return
        self._drawn = now
        filled = 30 * self.done // self.total
        end = "\n" if self.done >= self.total else ""
        sys.stderr.write(f"\r{self.label:24.24} [{'#' * filled:30}] {self.done}/{self.total}{end}")
        sys.stderr.flush()


class Runtime:
    """The default runtime: best device at hand, folders below `root`.

    `device`: where networks compute. `progress_class`: what `progress` makes.
    """

    def __init__(self, device: str | torch.device | None = None, root: str | Path = ".",
                 progress_class: type[Progress] = Progress) -> None:
        self._device = torch.device(device) if device else None
        self.root = Path(root)
        self.progress_class = progress_class

    @property
    def device(self) -> torch.device:
        """Asked at use time: it may differ between processes and change between calls."""
        return self._device or torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def output_device(self) -> torch.device:
        """Where pictures between nodes live."""
        return torch.device("cpu")

    @property
    def output_dtype(self) -> torch.dtype:
        return torch.float32

    @contextlib.contextmanager
    def use(self, net: Any, memory: int = 0) -> Iterator[tuple[nn.Module, torch.device]]:
        """Lend `net.module` on the compute device, gradients off; back to the CPU afterwards.

        `net`: a `LoadedNet`. `memory`: bytes of activations expected.
        """
        device = self.device
        with torch.inference_mode(False), torch.no_grad():
            module = net.module.to(device)
            try:
                yield module, device
            finally:
                module.to("cpu")

    def progress(self, total: int, label: str = "") -> Progress:
        return self.progress_class(total, self, label)

    def check_interrupt(self) -> None:
        """Raises when the user asked to stop. The default is never interrupted (Ctrl-C raises by itself)."""

    @property
    def interrupts(self) -> tuple[type[BaseException], ...]:
        """What `check_interrupt` raises, for those who keep what they have when the user stops."""
        return (Interrupted,)

    def is_oom(self, error: BaseException) -> bool:
        return isinstance(error, torch.OutOfMemoryError)

    def folder(self, kind: str) -> Path:
        """`kind`: models, input, output or temp."""
        return self.root / kind

    def model_folders(self) -> list[Path]:
        """Where weight files are looked for; new ones go into the first."""
        return [self.folder("models") / "anyone"]
