"""Calls that no API was found for: each is counted, and a few a second have a row in the log.

Any client can make such calls without end, so that none of them may cost bytes that stay. They are counted in memory and, before
the response leaves, in ``ID.tally`` beside the spool: one frame, written over in place, so that a worker that is killed has counted
every call that it answered. Once a second the frame goes into the spool as a record like any other.

The frame in the file has the number 0, or, while it goes into the spool, the number that it gets there. The process that finds the
file of a dead worker knows by it whether the spool has these calls already.
"""

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from apps.gateway.records.spool import SpoolWriter, frame, frames
from apps.wire.call_records import TallyRecord, decode, encode

ROWS = 10.0
"""Rows a second of the whole installation, unless it says otherwise; the workers share them equally."""

ROWS_AT_ONCE = 10.0
"""Seconds whose rows a worker may save up: a developer who looks for a mistake of their own finds every call."""

PATH_BYTES, METHOD_BYTES = 256, 32
"""What a row keeps of path and method."""


class UnknownCallTally:
    """The tally of one worker. ``rows`` a second for the installation, which has ``workers()`` workers."""

    def __init__(self, spool: SpoolWriter, rows: float, workers: Callable[[], int]) -> None:
        self._spool = spool
        self._rows = rows
        self._workers = workers
        self._saved = rows * ROWS_AT_ONCE
        self._earned_at = monotonic()
        self._counts: dict[tuple[int, str], tuple[int, int, int]] = {}
        self._at = 0.0
        self._descriptor = -1

    def count(self, at: float, status: int, code: str, request_bytes: int, response_bytes: int) -> bool:
        """Count a call of the moment ``at`` (Unix seconds); whether the log gets a row of it."""
        if self._counts and at // 60 != self._at // 60:
            self.flush()
        if not self._counts:
            self._at = at
        calls, came, went = self._counts.get((status, code), (0, 0, 0))
        self._counts[status, code] = calls + 1, came + request_bytes, went + response_bytes
        self._save(0)
        return self._row_is_due()

    def flush(self) -> None:
        """Have the spool count what was counted here. What it can't take now stays here."""
        if not self._counts:
            return
        self._save(self._spool.next_number)
        if self._spool.offer(encode(self._record())):
            self._counts = {}
        self._save(0)

    def close(self) -> None:
        """The worker ends. What the spool didn't take is in the file."""
        self.flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _record(self) -> TallyRecord:
        return TallyRecord(self._at, tuple((*what, *counts) for what, counts in self._counts.items()))

    def _save(self, number: int) -> None:
        """Write it where a kill doesn't reach it. A disk that takes nothing leaves it in memory alone."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(
                    tally_path(self._spool.folder, self._spool.incarnation),
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                    0o600,
                )
            os.pwrite(self._descriptor, frame(number, encode(self._record())), 0)
        except OSError:
            return

    def _row_is_due(self) -> bool:
        now, rate = monotonic(), self._rows / max(1, self._workers())
        self._saved = min(rate * ROWS_AT_ONCE, self._saved + rate * (now - self._earned_at))
        self._earned_at = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


def tally_path(folder: Path, incarnation: str) -> Path:
    """Where a worker counts."""
    return folder / f"{incarnation}.tally"


def left_behind(path: Path, last: int) -> TallyRecord | None:
    """What a dead worker counted that none of its frames, up to the number ``last``, counts."""
    try:
        found = next(frames(path.read_bytes()), None)
    except FileNotFoundError:
        return None
    record = decode(found.record) if found else None
    if not isinstance(record, TallyRecord) or not record.counts or (found and 0 < found.number <= last):
        return None
    return record


def mark(path: Path, record: TallyRecord, number: int) -> None:
    """Write down under which number the record goes into the spool, before it does. Raises ``OSError``."""
    with path.open("r+b") as file:
        file.write(frame(number, encode(record)))
