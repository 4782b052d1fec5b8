"""Runs inside a real ComfyUI, without its server:  python inside.py CHECKOUT PACK BASE WORKFLOW...

Loads the pack as ComfyUI does, runs API workflows through its executor, and prints one JSON line with what it
saw. BASE is ComfyUI's base directory (input, output, models).
"""
from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import sys
from pathlib import Path

from start_comfyui import enter


class Warnings(logging.Handler):
    """Keeps what is logged at warning level and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Server:
    """What the executor tells the web server, as far as it matters here."""

    client_id = last_node_id = last_prompt_id = None

    def __init__(self) -> None:
        self.sockets_metadata: dict = {}

    def send_sync(self, *message) -> None:
        pass

    def queue_updated(self) -> None:
        pass


def new_executor(execution):
    options = {"cache_args": {"lru": 0, "ram": 0.0, "ram_inactive": 0.0}}
    known = inspect.signature(execution.PromptExecutor).parameters
    return execution.PromptExecutor(Server(), **(options if "cache_args" in known else {}))


def validate(execution, prompt):
    """(ok, error, outputs to run, node errors), on any version."""
    return asyncio.run(execution.validate_prompt("0", prompt, None))


def run(execution, executor, prompt) -> dict:
    ok, error, outputs, node_errors = validate(execution, prompt)
    if not ok:
        return {"success": False, "error": error, "node_errors": node_errors}
    executor.execute(prompt, "0", {}, outputs)
    errors = [data for event, data in executor.status_messages if event == "execution_error"]
    return {"success": executor.success, "errors": errors,
            "outputs": executor.history_result.get("outputs", {})}


def memory(management, registry) -> dict:
    """What ComfyUI's model management and our registry hold right now."""
    gc.collect()
    return {"loaded": [type(model.model.model).__name__ for model in management.current_loaded_models],
            "nets": len(registry)}


def main(checkout: str, pack: str, base: str, *workflows: str) -> None:
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    enter(checkout)
    from comfy.cli_args import args

    args.cpu, args.base_directory = True, base
    import comfy.model_management as management
    import execution

    import nodes

    masks = Path(checkout) / "comfy_extras" / "nodes_mask.py"                     # MaskToImage
    asyncio.run(nodes.load_custom_node(str(masks), module_parent="comfy_extras"))
    loaded = asyncio.run(nodes.load_custom_node(pack, module_parent="custom_nodes"))
    ours = {name: node for name, node in nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("Anyone")}
    registry = next(sys.modules[name]._loaded for name in sys.modules if name.endswith("checkpoints.load"))
    executor, results, during = new_executor(execution), {}, {}
    for path in workflows:
        prompt = json.loads(Path(path).read_text(encoding="utf-8"))
        results[Path(path).stem] = run(execution, executor, prompt)
        during[Path(path).stem] = memory(management, registry)
    management.unload_all_models()
    executor.reset()
    print(json.dumps({
        "loaded": loaded, "info": {name: node.GET_NODE_INFO_V1() for name, node in ours.items()},
        "results": results, "memory": during, "freed": memory(management, registry),
        "warnings": warnings.lines}))


if __name__ == "__main__":
    main(*sys.argv[1:])
