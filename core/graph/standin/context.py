"""Which runtime the node that is executing right now belongs to.

The host hands nodes its services through module functions, not arguments; a context variable gives the
stand-in the same shape without shared state: each thread and each executor sees only its own.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ...runtime import Runtime

_runtime: ContextVar[Runtime | None] = ContextVar("runtime", default=None)


@contextmanager
def running_on(runtime: Runtime) -> Iterator[None]:
    """Inside, `current_runtime()` is `runtime`."""
    token = _runtime.set(runtime)
    try:
        yield
    finally:
        _runtime.reset(token)


def current_runtime() -> Runtime:
    """The runtime of the node being executed; a plain default outside any execution."""
    return _runtime.get() or Runtime()
