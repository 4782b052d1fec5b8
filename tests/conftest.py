"""Loads the repository root as the package `anyone` by file path, the way ComfyUI loads a pack.

Tests then write `from anyone.core.pose import Pose`.
"""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load_pack(name: str = "anyone"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if "anyone" not in sys.modules:
    load_pack()
