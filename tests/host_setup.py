"""Gives the contract tests a ComfyUI, or says why not. `make test` runs this first.

Checkouts are the folder COMFYUI_DIR names and those in the user's cache folder, anyone/ComfyUI*; where there
is none, the newest and the oldest supported version are cloned into it. What they require goes into a virtual
environment beside them, shared by every clone of this repository.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anyone"
ENVIRONMENT = CACHE / "venv-host"
SOURCE = "https://github.com/comfyanonymous/ComfyUI"
VERSIONS = {"ComfyUI": [], "ComfyUI-0.3.64": ["--branch", "v0.3.64"]}
# Sound nodes, template pictures and help pages: large, and nothing here needs them.
LEFT_OUT = {"torchaudio", "comfyui-workflow-templates", "comfyui-embedded-docs"}


def version(checkout: Path) -> tuple[int, ...]:
    """(0, 3, 64) from the checkout's comfyui_version.py."""
    text = (checkout / "comfyui_version.py").read_text(encoding="utf-8")
    return tuple(int(number) for number in re.findall(r"\d+", text.split("__version__")[1]))


def checkouts() -> list[Path]:
    """Usable checkouts, oldest version first."""
    named = os.environ.get("COMFYUI_DIR")
    folders = {Path(named).resolve()} if named else set()
    folders |= set(CACHE.glob("ComfyUI*"))
    return sorted((folder for folder in folders if (folder / "comfyui_version.py").is_file()), key=version)


def host_python() -> Path | None:
    """The interpreter of the shared environment, once everything is installed in it."""
    return ENVIRONMENT / "bin" / "python" if (ENVIRONMENT / "installed").is_file() else None


def run(*command: str, timeout: int = 60) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout,
                   env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})


def clone() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    for name, options in VERSIONS.items():
        run("git", "clone", "--quiet", "--depth", "1", *options, SOURCE, str(CACHE / name))


def requirements(checkout: Path) -> str:
    """What a checkout requires, less what is left out, and what our tests do."""
    lines = (checkout / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if re.split(r"[^\w-]", line.strip())[0] not in {"", *LEFT_OUT}]
    ours = ("requirements.txt", "requirements-dev.txt")
    return "\n".join([*wanted, *((ROOT / name).read_text(encoding="utf-8") for name in ours)])


def install(checkout: Path, pip_options: list[str]) -> None:
    """Fills the shared environment, unless it holds just this already."""
    wanted = requirements(checkout)
    stamp = ENVIRONMENT / "installed"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"installing what ComfyUI needs into {ENVIRONMENT} (once, some minutes)", flush=True)
    stamp.unlink(missing_ok=True)
    run(sys.executable, "-m", "venv", str(ENVIRONMENT))
    listing = ENVIRONMENT / "requirements.txt"
    listing.write_text(wanted, encoding="utf-8")
    run(str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", *pip_options,
        "-c", str(ROOT / "constraints.txt"), "-r", str(listing), timeout=900)
    stamp.write_text(wanted, encoding="utf-8")


def main() -> None:
    try:
        if not checkouts():
            print(f"no ComfyUI in {CACHE} and COMFYUI_DIR is not set: cloning it", flush=True)
            clone()
        install(checkouts()[-1], sys.argv[1:])
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        print(f"not complete: {reason.strip().splitlines()[-1]}")
    usable = checkouts() if host_python() else []
    names = " and ".join(".".join(map(str, version(checkout))) for checkout in usable)
    print(f"contract tests use ComfyUI {names}" if usable else "contract tests on a real ComfyUI are skipped")


if __name__ == "__main__":
    main()
