"""From the name a user chooses to a weight file: the embedded ones, then the files in the model folders."""
from __future__ import annotations

from pathlib import Path

from ..runtime import Runtime
from .catalog import CATALOG, Published, offered
from .converted import original_of
from .load import load
from .system import LoadedNet

MODEL_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".h5", ".hdf5", ".index"})
_EMBEDDED = Path(__file__).parents[2] / "weights"


def embedded() -> dict[str, Path]:
    """The weights that come with the pack: name -> file."""
    return {path.stem: path for path in sorted(_EMBEDDED.glob("*.safetensors"))}


def model_files(runtime: Runtime) -> list[str]:
    """Weight files in the model folders, subfolders included, as relative names with "/".

    No hidden ones, and no `converted.py` copies whose original is there.
    """
    names = {path.relative_to(folder).as_posix(): None
             for folder in runtime.model_folders() for path in sorted(folder.rglob("[!.]*"))
             if path.suffix.lower() in MODEL_SUFFIXES and path.is_file() and not _is_copy(path)}
    return list(names)


def _is_copy(path: Path) -> bool:
    original = original_of(path)
    return original != path and original.suffix.lower() in MODEL_SUFFIXES and original.is_file()


def available(role: str, runtime: Runtime) -> list[str]:
    """Names to choose from: the embedded weights of a role, the published ones, whether they are here or
    not, then every file (whatever its role may be)."""
    return [row.name for row in offered(role)] + model_files(runtime)


def published(name: str, role: str) -> Published | None:
    """The row of the catalog a user means by that name."""
    return next((row for row in CATALOG if (row.name, row.role) == (name, role)), None)


def published_file(row: Published, runtime: Runtime) -> Path | None:
    """Where in the model folders a row's file lies, under any name it is known by."""
    for name in model_files(runtime):
        if {name, Path(name).name}.intersection(row.files):
            return resolve(name, row.role, runtime)
    return None


def how_to_get(row: Published, runtime: Runtime) -> str:
    """What to do about weights that are not on this machine, in a sentence."""
    folder = runtime.model_folders()[0].resolve()
    if row.status == "dead":
        digest = f" ({row.digest.replace(':', ' ')})" if row.digest else ""
        return (f"{row.title} cannot be downloaded any more, its link is dead; if you have the file{digest}, "
                f"put it into {folder} as {row.files[0]}.")
    about = ", ".join(filter(None, [row.title, row.megabytes, f"licence: {row.licence}"]))
    if row.status == "manual":
        return (f"{row.name} is not on this machine yet; fetch {row.files[-1]} from {row.url} in a browser "
                f"and put it into {folder} as {row.files[0]} ({about}).")
    return (f"{row.name} is not on this machine yet; tick download, or run: python run.py models fetch "
            f"{row.name} --root {runtime.root.resolve()} ({about}).")


def resolve(name: str, role: str, runtime: Runtime) -> Path:
    """The file of an embedded name, of a name of the catalog, or of a name below the model folders.

    Raises FileNotFoundError that says how to get it or lists what there is, also for a name that leads out of
    the folders.
    """
    if name in embedded():
        return embedded()[name]
    row = published(name, role)
    if row is not None:
        found = published_file(row, runtime)
        if found is None:
            raise FileNotFoundError(how_to_get(row, runtime))
        return found
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
