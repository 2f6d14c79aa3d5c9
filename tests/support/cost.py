"""What a piece of work costs for a text and for one four times as long: linear work four times as much, quadratic sixteen."""

import functools
import gc
import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from apps.httpcache.bounded_table import Remembered

SIZE = 8 * 1024
"""Bytes of the shorter text; the longer one is as long as a head may be."""

UNNOTICED = 0.004
"""Seconds of the processor for the longer text that nobody feels: quadratic work takes more."""

CLEARLY_LINEAR = 6.0

STEEPEST = 9.0
"""How much more four times the text may cost. Linear work measures 4 (5 with sorting), quadratic 16."""


Memory = functools._lru_cache_wrapper | Remembered


@functools.lru_cache(maxsize=1)
def _memories(modules: int) -> list[Any]:
    found = [
        value for name, each in [*sys.modules.items()] if name.startswith("apps.") for value in vars(each).values()
    ]
    return [value for value in found if callable(getattr(type(value), "cache_clear", None))]


def forget() -> None:
    """Empty what remembers outcomes, so that each run does the work."""
    for memory in _memories(len(sys.modules)):
        memory.cache_clear()


def steepness(work: Callable[[bytes], object], text: Callable[[int], bytes], size: int = SIZE) -> float:
    """How much more ``work`` costs for ``text(4 * size)`` than for ``text(size)``, in processor time of this thread;
    1.0 where the longer one costs next to nothing. What the work refuses by an exception is work like any other.
    """
    short, long = text(size), text(4 * size)
    if _cost(work, long) < UNNOTICED:
        return 1.0
    # The least of several runs is what the work itself takes, whatever else the machine does.
    least_long = least_short = ratio = float("inf")
    for _ in range(15):
        least_long, least_short = min(least_long, _cost(work, long)), min(least_short, _cost(work, short))
        ratio = least_long / max(1e-6, least_short)
        if ratio < CLEARLY_LINEAR:
            break
    return ratio


def _cost(work: Callable[[bytes], object], text: bytes) -> float:
    forget()
    gc.disable()
    try:
        began = thread_time()
        try:
            work(text)
        except Exception:
            return thread_time() - began
        return thread_time() - began
    finally:
        gc.enable()
