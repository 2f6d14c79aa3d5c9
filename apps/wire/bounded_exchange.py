"""Exchanges with a server that may be away, slow or frozen: no caller waits for one longer than it said."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from apps.wire.circuit_breaker import Breaker
from apps.wire.redis_client import AWAY

_TURNS = 4
"""Turns of the event loop in which a reply that is already here becomes a result; the timer may come first."""

T = TypeVar("T")


@dataclass(slots=True)
class ExchangeStats:
    """Exchanges that came to nothing, or too late, and those that weren't begun because the breaker was open."""

    shared_failures: int = 0
    shared_skipped: int = 0


class Exchanges:
    """One worker's exchanges with the shared tier, behind a breaker."""

    def __init__(self, stats: ExchangeStats) -> None:
        self.breaker = Breaker()
        self._stats = stats
        self._late: set[asyncio.Future[Any]] = set()

    async def run(self, operation: Callable[[], Awaitable[T]], wait: float, late: float | None = None) -> T | None:
        """The operation's result; ``None`` where there is none after ``wait`` seconds, at once while the breaker is
        open. Raises what isn't the server's absence.

        A late exchange goes on in the background until its socket times out: a slow write is not wasted, and
        cancelling would close a connection for each. It is a failure at once, or, with ``late``, if it doesn't end well
        within so many seconds after it began: how long a caller can wait says little of the server.
        """
        breaker, started = self.breaker, time.monotonic()
        if not breaker.allows(started):
            self._stats.shared_skipped += 1
            return None
        task = asyncio.ensure_future(operation())
        try:
            # A worker that was busy for longer than the wait itself can't tell whether the server was slow: it waits again.
            for _ in range(2):
                began = time.monotonic()
                await asyncio.wait({task}, timeout=wait)
                for _ in range(_TURNS):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                busy = time.monotonic() - began >= 2 * wait
                if task.done() or not busy:
                    break
        except asyncio.CancelledError:
            # The client has left. How it ends tells of the server all the same.
            self._late.add(task)
            task.add_done_callback(partial(self._finished_late, started, late))
            raise
        if not task.done():
            if late is None and not busy:
                breaker.failed(time.monotonic(), started)
            self._stats.shared_failures += 1
            self._late.add(task)
            task.add_done_callback(partial(self._finished_late, started, late))
            return None
        error = task.exception()
        if error is None:
            breaker.succeeded()
            return task.result()
        if not isinstance(error, AWAY):
            raise error
        breaker.failed(time.monotonic(), started)
        self._stats.shared_failures += 1
        return None

    def _finished_late(self, started: float, late: float | None, task: "asyncio.Future[Any]") -> None:
        self._late.discard(task)
        if task.cancelled():
            return
        now = time.monotonic()
        if task.exception() is not None or (late is not None and now - started > late):
            self.breaker.failed(now, started)
        elif late is not None:
            self.breaker.succeeded()

    async def close(self) -> None:
        """Waits for exchanges under way, a second at most."""
        if self._late:
            await asyncio.wait(self._late, timeout=1.0)
