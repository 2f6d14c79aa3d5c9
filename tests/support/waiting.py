"""Waiting for something to become true, without a test ever sleeping for a guessed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.01

SOON = 10.0
"""Seconds. What must not wait for something that is frozen or endless takes a fraction of one; a machine that is busy with
something else may make that several. What waits for ever takes longer than this.
"""


class NeverHappened(AssertionError):
    """What a test waited for did not come."""


def wait_until(predicate: Callable[[], T], timeout: float = 30.0, *, what: str = "") -> T:
    """The first true value of ``predicate()``. Raises ``NeverHappened`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if value := predicate():
            return value
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what or _source(predicate)}: not within {timeout:g} s, got {value!r}")
        time.sleep(_PAUSE)


async def until(predicate: Callable[[], T | Awaitable[T]], within: float = 30.0, *, what: str = "") -> T:
    """The same inside an event loop, ``within`` seconds; ``predicate`` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what or _source(predicate)}: not within {within:g} s, got {value!r}")
        await asyncio.sleep(_PAUSE)


def _source(predicate: Callable[[], object]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):  # a partial has none
        return repr(predicate)
