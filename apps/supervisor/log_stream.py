"""One log stream of many processes, each line with the name of the one that wrote it."""

import logging
import os
import queue
import threading
from typing import TextIO

QUEUED_LINES = 10_000


class LogStream:
    """Writes lines from a thread of its own.

    Whoever reads our output may be slow, or may have stopped reading while he keeps the pipe open. The supervisor must go on,
    and so must the children whose pipes it empties: lines that find the queue full are dropped and counted.
    """

    def __init__(self, out: TextIO, *, width: int = 10) -> None:
        self._out = out
        self._width = width
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUED_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def line(self, name: str, text: str) -> None:
        """Write one line of the process ``name``. Never waits."""
        self._put(f"{name:<{self._width}} | {text}\n" if text else "")

    def plain(self, text: str) -> None:
        """Write text as it is, for people to read."""
        self._put(text + "\n")

    def _put(self, text: str) -> None:
        if not text:
            return
        try:
            if self._dropped:
                self._lines.put_nowait(
                    f"{'up':<{self._width}} | {self._dropped} lines dropped: they weren't read in time\n"
                )
                self._dropped = 0
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def close(self, *, timeout: float = 1.0) -> None:
        """Write what is queued, for ``timeout`` seconds at most."""
        try:
            self._lines.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            try:
                self._out.write(text)
                if self._lines.empty():
                    self._out.flush()
            except OSError:
                self._nobody_reads()

    def _nobody_reads(self) -> None:
        """Write to nowhere from now on: the processes go on, and Python's own flush at exit doesn't fail."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._out.fileno())
        os.close(nowhere)


class LogStreamHandler(logging.Handler):
    """Brings the supervisor's own log records into the stream."""

    def __init__(self, stream: LogStream, name: str) -> None:
        super().__init__()
        self._stream = stream
        self._name = name

    def emit(self, record: logging.LogRecord) -> None:
        """Write each line of the record."""
        for line in self.format(record).splitlines():
            self._stream.line(self._name, f"{record.levelname} {record.name} {line}")
