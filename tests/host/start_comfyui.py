"""Starts a ComfyUI checkout:  python start_comfyui.py CHECKOUT [arguments of its main.py]

Two things a test machine may lack are made up for, nothing else changes. PyPI's torchvision beside PyTorch's
own CPU build has no compiled operators, and importing it fails where it describes them to torch: those
descriptions are skipped. Where there is no torchaudio, an empty module stands in: nothing here makes a sound.
"""
from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import runpy
import sys
import types
from pathlib import Path

import torch


def tolerate_missing_operators() -> None:
    """Must run before anything imports torchvision."""
    register = torch.library.register_fake

    def register_known(op, *arguments, **options):
        if isinstance(op, str) and op.startswith("torchvision::"):
            return lambda function: function
        return register(op, *arguments, **options)

    torch.library.register_fake = register_known


def tolerate_missing_sound() -> None:
    if importlib.util.find_spec("torchaudio") is None:
        for name in ("torchaudio", "torchaudio.functional", "torchaudio.transforms"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)


def enter(checkout: str) -> None:
    """Makes the checkout's modules importable and its folder the current one, as its own main.py expects."""
    tolerate_missing_operators()
    tolerate_missing_sound()
    sys.path.insert(0, checkout)
    os.chdir(checkout)


if __name__ == "__main__":
    enter(str(Path(sys.argv[1]).resolve()))
    sys.argv = ["main.py", *sys.argv[2:]]
    runpy.run_path("main.py", run_name="__main__")
