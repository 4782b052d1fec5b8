"""One trainer for every system; each adds only its `train.py` with a `Task`."""
from .loop import train
from .options import Options
from .pool import Pool
from .task import Batch, StepContext, Task

__all__ = ["Batch", "Options", "Pool", "StepContext", "Task", "train"]
