"""The only file that touches ComfyUI, or the stand-in for it when there is none."""
from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.checkpoints import LoadedNet
from ..core.checkpoints.find import MODEL_SUFFIXES
from ..core.runtime import Progress, Runtime

if importlib.util.find_spec("comfy_api") is not None:
    import comfy.model_management as mm
    import comfy.model_patcher
    import comfy.utils
    import folder_paths
    from comfy_api.latest import ComfyExtension, io, ui
    INSIDE_COMFYUI = True
else:
    from ..core.graph.standin import ComfyExtension, current_runtime, io, ui
    INSIDE_COMFYUI = False

__all__ = ["ComfyExtension", "Schema", "io", "opt", "runtime", "ui"]

MODEL_FOLDER = "anyone"
PREVIEW_SIDE = 512
PREVIEW_SECONDS = 0.25


def Schema(**fields: Any) -> io.Schema:
    """`io.Schema` without the fields this host does not know. Registries search for a call of this name."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


def opt(inp: Any, **options: Any) -> Any:
    """Adds options for the frontend that older hosts have no argument for, such as `advanced=True`."""
    inp.extra_dict.update(options)
    return inp


def runtime() -> Runtime:
    """ComfyUI's services, or those of whoever runs the graph without it."""
    return HostRuntime() if INSIDE_COMFYUI else current_runtime()


class HostRuntime(Runtime):
    """ComfyUI's devices, memory management, progress bar and folders."""

    def __init__(self) -> None:
        super().__init__(root=folder_paths.base_path, progress_class=HostProgress)

    @property
    def device(self) -> torch.device:
        return mm.get_torch_device()

    @property
    def output_device(self) -> torch.device:
        return mm.intermediate_device()

    @property
    def output_dtype(self) -> torch.dtype:
        return mm.intermediate_dtype() if hasattr(mm, "intermediate_dtype") else torch.float32

    @contextlib.contextmanager
    def use(self, net: LoadedNet, memory: int = 0) -> Iterator[tuple[nn.Module, torch.device]]:
        """As in `Runtime`, through ComfyUI's memory management.

        Full load, because a partial one leaves plain modules on the CPU. Every load outside inference mode,
        because one inside would spoil the weights for autograd.
        """
        with torch.inference_mode(False), torch.no_grad():
            patcher = patcher_of(net)
            mm.load_models_gpu([patcher], memory_required=memory, force_full_load=True)
            device = torch.empty(0, device=patcher.load_device).device             # "cuda" -> "cuda:0"
            tensors = itertools.chain(net.module.parameters(), net.module.buffers())
            stray = any(tensor.device != device for tensor in tensors)
            if stray:                                                              # --novram moves nothing
                net.module.to(device)
            try:
                yield net.module, device
            finally:
                if stray:
                    net.module.to(patcher.offload_device)

    def check_interrupt(self) -> None:
        mm.throw_exception_if_processing_interrupted()

    @property
    def interrupts(self) -> tuple[type[BaseException], ...]:
        return (mm.InterruptProcessingException,)

    def is_oom(self, error: BaseException) -> bool:
        return mm.is_oom(error) if hasattr(mm, "is_oom") else isinstance(error, mm.OOM_EXCEPTION)

    def folder(self, kind: str) -> Path:
        if kind == "models":
            return Path(folder_paths.models_dir)
        return Path(folder_paths.get_directory_by_type(kind))

    def model_folders(self) -> list[Path]:
        return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def patcher_of(net: LoadedNet) -> comfy.model_patcher.ModelPatcher:
    """One patcher for the life of a net: ComfyUI takes a second one for a leak."""
    if net.handle is None:
        carrier = type(type(net.module).__name__, (Carrier,), {})                  # ComfyUI logs its name
        net.handle = comfy.model_patcher.ModelPatcher(
            carrier(net.module.eval().requires_grad_(False)),
            load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device())
    return net.handle


class Carrier(nn.Module):
    """Takes the attributes the patcher sets, such as `device`, which transformers' models do not allow."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class HostProgress(Progress):
    """ComfyUI's bar, with small previews a few times a second, and the last one, which the node keeps."""

    def __init__(self, total: int, runtime: Runtime, label: str = "") -> None:
        super().__init__(total, runtime, label)
        self._bar = comfy.utils.ProgressBar(self.total)
        self._shown = 0.0

    def show(self, preview: Tensor | None) -> None:
        shown, last = None, self.done >= self.total
        if preview is not None and (last or time.monotonic() - self._shown >= PREVIEW_SECONDS):
            self._shown = time.monotonic()
            shown = ("JPEG", small_picture(preview), PREVIEW_SIDE)
        self._bar.update_absolute(self.done, self.total, shown)


def small_picture(preview: Tensor) -> Any:
    """[H,W,3] 0..1 -> a Pillow image of at most 512 pixels a side."""
    from PIL import Image

    picture = Image.fromarray((preview.detach().float().clamp(0, 1) * 255).byte().cpu().numpy())
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return picture


def register_model_folder() -> None:
    """Makes models/anyone known.

    A folder the user configured stays first; its empty list of file types, which means every file, is filled.
    """
    if not INSIDE_COMFYUI:
        return
    folder_paths.add_model_folder_path(MODEL_FOLDER, str(Path(folder_paths.models_dir) / MODEL_FOLDER))
    paths, suffixes = folder_paths.folder_names_and_paths[MODEL_FOLDER]
    folder_paths.folder_names_and_paths[MODEL_FOLDER] = (paths, set(suffixes) | MODEL_SUFFIXES)
