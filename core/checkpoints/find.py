"""From the name a user chooses to a weight file: the embedded ones, then the files in the model folders."""
from __future__ import annotations

from pathlib import Path

from ..runtime import Runtime
from .catalog import CATALOG
from .load import load
from .system import LoadedNet

MODEL_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".h5"})
_EMBEDDED = Path(__file__).parents[2] / "weights"


def embedded() -> dict[str, Path]:
    """The weights that come with the pack: name -> file."""
    return {path.stem: path for path in sorted(_EMBEDDED.glob("*.safetensors"))}


def model_files(runtime: Runtime) -> list[str]:
    """Weight files in the model folders, subfolders included, as relative names with "/"; no hidden ones."""
    names = {path.relative_to(folder).as_posix(): None
             for folder in runtime.model_folders() for path in sorted(folder.rglob("[!.]*"))
             if path.suffix.lower() in MODEL_SUFFIXES and path.is_file()}
    return list(names)


def available(role: str, runtime: Runtime) -> list[str]:
    """Names to choose from: the embedded weights of a role, then every file (whatever its role may be)."""
    own = [row.name for row in CATALOG if row.role == role and row.name in embedded()]
    return own + model_files(runtime)


def resolve(name: str, role: str, runtime: Runtime) -> Path:
    """The file of an embedded name, or of a name below the model folders.

    Raises FileNotFoundError that lists what there is, also for a name that leads out of the folders.
    """
    if name in embedded():
        return embedded()[name]
    for folder in runtime.model_folders():
        path = folder / name.replace("\\", "/")
        if path.is_file() and ".." not in path.parts and not Path(name).is_absolute():
            return path
    choice = ", ".join(available(role, runtime)) or "nothing yet"
    raise FileNotFoundError(f"There is no {role} {name}; there is {choice}. "
                            f"Put weight files into {runtime.model_folders()[0]}.")


def load_as(name: str, role: str, runtime: Runtime) -> LoadedNet:
    """Loads a network by the name a user chose. ValueError when it is of another role."""
    net = load(resolve(name, role, runtime), name)
    if net.system.role != role:
        raise ValueError(f"{name} holds a {net.system.title}, which is no {role}; "
                         f"choose another file or use the loader for a {net.system.role}.")
    return net
