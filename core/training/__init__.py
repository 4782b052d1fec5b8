"""One trainer for every system; each adds only its `train.py` with a `Task`."""
from .loop import train
from .muon import Muon
from .options import Options
from .pool import Pool
from .task import Batch, StepContext, Task

__all__ = ["Batch", "Muon", "Options", "Pool", "StepContext", "Task", "train"]
