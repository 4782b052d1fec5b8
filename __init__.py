"""Anyone: ComfyUI nodes that synthesise and edit people. Outside ComfyUI this package is a plain library."""
import importlib.util

WEB_DIRECTORY = "./web"

if importlib.util.find_spec("comfy_api") is not None:
    from .nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
