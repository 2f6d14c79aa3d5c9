"""Waiting for Redis no longer than a bound.

``asyncio.timeout`` cancels what it waits for, and redis-py may lose that cancellation when a reply arrives just
then. So the exchange gets a task of its own, and its caller stops waiting.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def bounded(exchange: Awaitable[T], seconds: float) -> T:
    """The result of ``exchange``, or ``TimeoutError`` after ``seconds``; the exchange is then cancelled as soon as
    it can be.
    """
    task = asyncio.ensure_future(exchange)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.add_done_callback(_forgotten)  # it goes on: what it changes is wanted, even if its caller has left
        raise
    if not done:
        task.add_done_callback(_forgotten)
        task.cancel()
        raise TimeoutError
    return task.result()


def _forgotten(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()
