"""A pack for the tests: one node that tells what ComfyUI's model management and Anyone hold."""
from __future__ import annotations

import gc
import json
import sys

import comfy.model_management as management


def module(end):
    """Of the pack, whose full name is that of its folder."""
    return next(sys.modules[name] for name in sys.modules if name.endswith(end))


class MemoryProbe:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "look", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"nonce": ("INT", {"default": 0})}}

    def look(self, nonce):
        gc.collect()
        tuning = module("core.stylegan.tuned").Delta
        seen = {"loaded": [type(one.model.model).__name__ for one in management.current_loaded_models],
                "nets": len(module("core.checkpoints.load")._loaded),
                "tunings": sum(type(one) is tuning for one in gc.get_objects())}
        return {"ui": {"text": [json.dumps(seen)]}}


NODE_CLASS_MAPPINGS = {"MemoryProbe": MemoryProbe}
