"""A pack for the tests: one node that tells what ComfyUI's model management and Anyone's registry hold."""
from __future__ import annotations

import gc
import json
import sys

import comfy.model_management as management


class MemoryProbe:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "look", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"nonce": ("INT", {"default": 0})}}

    def look(self, nonce):
        gc.collect()
        registry = next(sys.modules[name] for name in sys.modules if name.endswith("core.checkpoints.load"))
        seen = {"loaded": [type(one.model.model).__name__ for one in management.current_loaded_models],
                "nets": len(registry._loaded)}
        return {"ui": {"text": [json.dumps(seen)]}}


NODE_CLASS_MAPPINGS = {"MemoryProbe": MemoryProbe}
