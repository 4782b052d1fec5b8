"""The command line: `python run.py run|models|people|pool|train|eval|bench|demo …`, each with `--help`.

Loads this folder as the package `anyone`, by path as ComfyUI does, and imports only the chosen command.
"""
from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
COMMANDS = {
    "run": ("core.graph.cli", "run a workflow file, here or on a ComfyUI server"),
    "models": ("core.checkpoints.cli", "list, find, fetch, check and convert weights"),
    "people": ("core.synthetic.cli", "draw procedural people: sheets and data sets"),
    "pool": ("core.training.pools_cli", "make pools for training out of published data sets"),
    "train": ("core.training.cli", "train a network"),
    "eval": ("core.evaluation.cli", "score pictures against what they should be"),
    "bench": ("core.bench", "measure the speed of everything"),
    "demo": ("core.demo", "paint a person into two pictures and show the results on a sheet"),
}


def load_pack() -> None:
    """Makes this folder importable as `anyone`, without touching the search path."""
    spec = importlib.util.spec_from_file_location("anyone", ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    assert spec and spec.loader
    pack = importlib.util.module_from_spec(spec)
    sys.modules["anyone"] = pack
    spec.loader.exec_module(pack)


def pack_nodes() -> list[type]:
    """The pack's node classes, asked for as ComfyUI asks. Handed to commands: core never imports nodes."""
    async def ask() -> list[type]:
        extension = await importlib.import_module("anyone.nodes").comfy_entrypoint()
        return await extension.get_node_list()

    return asyncio.run(ask())


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Anyone: synthesise and edit people.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, text) in COMMANDS.items():
        if not (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
            continue  # the registry's archive leaves the developers' commands out
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == chosen:
            load_pack()
            command = importlib.import_module(f"anyone.{module}")
            command.add_arguments(sub)
            sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
            sub.set_defaults(main=command.main, pack_nodes=pack_nodes)
    args = parser.parse_args(argv)
    try:
        return args.main(args)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if args.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
