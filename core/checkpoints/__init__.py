"""Weight files: read safely, recognised by their keys, loaded once, and where to get them."""
from .find import available, embedded, load_as, model_files, resolve
from .load import load
from .read import Contents, read
from .recognise import recognise
from .strict import check_state
from .system import LoadedNet, StateDict, System

__all__ = [
    "Contents", "LoadedNet", "StateDict", "System", "available", "check_state", "embedded", "load", "load_as",
    "model_files", "read", "recognise", "resolve",
]
