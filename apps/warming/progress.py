"""How far a warm-up is, on a terminal: a bar that moves, or a line now and then where nobody watches."""

from django.core.management.base import OutputWrapper

from apps.warming.models import WarmUp

WIDTH = 30
STEP = 10
"""Percent between two lines."""


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
