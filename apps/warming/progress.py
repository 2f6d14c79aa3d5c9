"""How far a warm-up is, on a terminal: a bar that moves, or a line now and then where there is no terminal."""

import time
import uuid
from contextlib import suppress

from django.core.management.base import OutputWrapper

from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.warming.gateway_calls import Fetcher
from apps.warming.models import WarmUp
from apps.warming.runner import claim, work
from apps.warming.services import warm_up_cancel

WIDTH = 30
STEP = 10
"""Percent between two lines."""

SLICE = 3600.0
"""Seconds for which a command claims a warm-up at a time."""

LOOK_AGAIN = 0.5
"""Seconds between two looks at a warm-up that another process works on, or that waits for an earlier one."""


class Progress:
    """Tells of one warm-up on ``out``."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._moves = out.isatty()
        self._told = ""
        self._next = 0

    def tell(self, row: WarmUp) -> None:
        """How far it is now."""
        if self._moves:
            self._write(f"\r\x1b[K{bar(row)}")
        elif row.percent >= self._next and row.total is not None:
            self._next = row.percent - row.percent % STEP + STEP
            self._write(f"{row.sentence}\n")

    def end(self, row: WarmUp) -> None:
        """How it ended."""
        if self._moves:
            self._write(f"\r\x1b[K{bar(row)}\n")
        self._write(f"{row.get_state_display()}: {row.sentence}\n")
        for url, why in row.problems:
            self._write(f"  {url}: {why}\n")

    def _write(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._out.write(text, ending="")
            self._out.flush()


def bar(row: WarmUp) -> str:
    """``[#####-----]  50 %  50 of 100: 50 stored``."""
    full = row.percent * WIDTH // 100
    return f"[{'#' * full}{'-' * (WIDTH - full)}] {row.percent:3} %  {row.sentence}"


def see_through(warm_up: WarmUp, out: OutputWrapper) -> None:
    """Work on a warm-up to its end, or look on where another process does; tell of it on ``out``. Ctrl-C cancels it."""
    progress, worker = Progress(out), uuid.uuid4().hex
    try:
        while not warm_up.is_over:
            mine = claim(worker, only=warm_up)
            if mine:
                with Fetcher() as fetcher:
                    work(mine, fetcher.submit, until=time.monotonic() + SLICE, saved=progress.tell)
            warm_up.refresh_from_db()
            if not warm_up.is_over:
                progress.tell(warm_up)
                time.sleep(LOOK_AGAIN)
    except KeyboardInterrupt:
        with suppress(Conflict):  # it was over at that moment
            warm_up_cancel(actor=PLATFORM, warm_up=warm_up)
    progress.end(warm_up)
