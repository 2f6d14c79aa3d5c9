"""Sees that a worker's event loop stands still, while it does, and writes where.

The loop says four times a second that it goes on. A thread listens, and when nothing was said for ``PATIENCE`` it writes
the stack of the loop's thread into the log: files, lines and functions, and no values. Work in C that keeps the GIL stops
that thread too; then ``faulthandler``, whose timer needs no GIL and which the thread puts off each time it wakes, writes the
stacks of all threads to the standard error. No signal is sent, and nothing is done per call.
"""

import asyncio
import faulthandler
import logging
import sys
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import TextIO

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds without a sign of the loop after which it stands still."""

PERIOD = 0.25
"""Seconds between two signs; a part of ``PATIENCE``."""

PAUSE = 60.0
"""Seconds after a stack was written during which no other is: a loop that stutters must not fill the log."""

DEEPEST = 50
"""Frames of a stack that are written, the innermost."""


class Watchdog:
    """Watches the loop in which it is started. ``on_stall`` is called in the loop, afterwards, with the seconds that it
    stood still; ``output`` is a file with a descriptor, for stacks that are written without the GIL.
    """

    def __init__(
        self,
        on_stall: Callable[[float], None],
        *,
        patience: float = PATIENCE,
        period: float = PERIOD,
        output: TextIO | int | None = None,
    ) -> None:
        self._on_stall = on_stall
        self._patience, self._period = patience, period
        self._output: TextIO | int = sys.stderr if output is None else output
        self._ended = threading.Event()
        self._sign = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0

    def start(self) -> None:
        """Begin to watch. In the loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._sign = monotonic()
        self._timer = self._loop.call_later(self._period, self._say)
        self._put_off()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. In the loop's thread."""
        if self._timer is not None:
            self._timer.cancel()
        self._ended.set()
        self._thread.join(self._period)
        faulthandler.cancel_dump_traceback_later()

    def _say(self) -> None:
        now = monotonic()
        stood = now - self._sign
        self._sign = now
        self._timer = self._loop.call_later(self._period, self._say)
        if stood >= self._patience:
            self._on_stall(stood)

    def _watch(self) -> None:
        reported, woke = 0.0, self._sign  # this thread may have been kept from its very beginning
        while True:
            if self._ended.wait(self._period):
                return
            # Before the stacks are put off: once they were written, this thread has not run for that long.
            before, woke = woke, monotonic()
            if woke >= self._quiet_until:
                self._put_off()
            sign = self._sign
            if woke < self._quiet_until or sign == reported:
                continue
            if woke - before >= self._patience:
                log.warning("nothing ran in this process for %.1f s: its stacks are above", woke - before)
            elif woke - sign >= self._patience:
                log.warning("the event loop has stood still for %.1f s:\n%s", woke - sign, self._where())
            else:
                continue
            reported, self._quiet_until = sign, woke + PAUSE
            faulthandler.cancel_dump_traceback_later()

    def _put_off(self) -> None:
        faulthandler.dump_traceback_later(self._patience, file=self._output)

    def _where(self) -> str:
        return "\n".join(stack_of(sys._current_frames().get(self._watched)))


def stack_of(frame: FrameType | None) -> list[str]:
    """The innermost frames of a stack as a traceback has them, the last call last: without the lines of source and
    without values.
    """
    found: list[str] = []
    while frame is not None and len(found) < DEEPEST:
        found.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}')
        frame = frame.f_back
    return found[::-1]
