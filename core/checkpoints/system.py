"""What a system tells the loader about its files: see `core/<system>/weights.py`, which defines `SYSTEM`."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class System:
    """One network family.

    `select`: the tree read from a file -> this system's flat state dict in our own key names, or None when
    the file is another system's. Decides by key names and shapes only; must be cheap and must not raise.
    `build`: state dict -> filled module in evaluation mode; hyper-parameters come from the shapes. Raises
    ValueError with a readable difference when keys or shapes do not fit.
    """

    name: str                                             # "triagan"
    title: str                                            # "TriA-GAN person inpainter"
    role: str                                             # "inpainter", "detector", "styler", ...
    select: Callable[[Mapping[str, Any]], dict[str, Tensor] | None]
    build: Callable[[StateDict, Mapping[str, str]], nn.Module]


@dataclass(eq=False)
class LoadedNet:
    """A network in memory, as it travels between nodes. Hand it to `Runtime.use` to compute with it.

    `metadata`: text pairs of the file's header. `handle` belongs to the runtime (ComfyUI's model patcher).
    """

    module: nn.Module
    system: System
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    handle: Any = None

    def __repr__(self) -> str:
        return f"<{self.system.title}: {self.name}>"
