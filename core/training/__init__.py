"""One trainer for every system; each adds only its `train.py` with a `Task`."""
from .loop import train
from .muon import Muon
from .options import Options
from .pairs import Pairs
from .pool import Pool
from .task import Batch, StepContext, Task

__all__ = ["Batch", "Muon", "Options", "Pairs", "Pool", "StepContext", "Task", "train"]
