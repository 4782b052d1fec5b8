"""Weight files: read safely, recognised by their keys, loaded once, and where to get them."""
from .catalog import offered
from .fetch import fetch
from .find import available, embedded, load_as, model_files, published, published_file, resolve
from .load import load
from .read import Contents, read
from .recognise import recognise
from .strict import check_state
from .system import LoadedNet, StateDict, System

__all__ = [
    "Contents", "LoadedNet", "StateDict", "System", "available", "check_state", "embedded", "fetch", "load",
    "load_as", "model_files", "offered", "published", "published_file", "read", "recognise", "resolve",
]
