"""How a change came in. The audit log records it; what lets changes in sets it: the console, the REST API, commands, queues."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: How the present change came in: console, api, command, queue, webhook or system. Doors of the control plane set it.
via: ContextVar[str] = ContextVar("via", default="system")


@contextmanager
def coming_by(door: str) -> Iterator[None]:
    """Have changes in the block (or in the function that this decorates) recorded as having come in by ``door``."""
    token = via.set(door)
    try:
        yield
    finally:
        via.reset(token)
