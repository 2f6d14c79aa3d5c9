"""The other end of the spool: what lies in the folder, read in order, whichever worker wrote it.

Reading never changes a file and never consumes a frame that isn't whole, so it may run beside the writer. Where a frame is neither
whole nor sound, everything behind it in that segment is given up: if the worker lives and writes there it will become whole,
otherwise it is the torn tail of a crash or of a full disk.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from apps.gateway.records.spool import HEADER, LARGEST_RECORD, Frame, frames, is_incarnation

_READ = 128 * 1024


@dataclass
class Segment:
    """A file of frames. ``offset``: its frames up to there are dealt with; the reader sets it."""

    path: Path
    incarnation: str
    number: int
    offset: int = 0

    def size(self) -> int:
        """Bytes in the file now; 0 when it is gone."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, most: int = _READ) -> list[Frame]:
        """The next whole frames, from ``offset`` on, in about ``most`` bytes; ``end`` of a frame is a place in the file."""
        found = self.between(self.offset, self.offset + most)
        if not found and self.size() - self.offset > most:  # one frame, larger than that
            found = self.between(self.offset, self.offset + HEADER.size + LARGEST_RECORD)
        return found

    def between(self, start: int, end: int) -> list[Frame]:
        """The whole frames between two places in the file; none when the file is gone."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            data = os.pread(descriptor, end - start, start)
        finally:
            os.close(descriptor)
        return [Frame(each.number, each.record, start + each.end) for each in frames(data)]

    def last_number(self) -> int:
        """The number of the last whole frame behind ``offset``, 0 if there is none. Reads the headers alone."""
        number, place, size = 0, self.offset, self.size()
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            while place + HEADER.size <= size:
                file.seek(place)
                length, _, following = HEADER.unpack(file.read(HEADER.size))
                place += HEADER.size + length
                if not length or place > size:
                    break
                number = following
        return number


@dataclass
class SpooledIncarnation:
    """An incarnation as its files show it. Segments in order; ``live``: its worker holds the lock; ``ended``: recovered."""

    incarnation: str
    node: str = ""
    live: bool = True
    ended: bool = False
    lock: int = -1  # ours, when the worker is dead
    segments: list[Segment] = field(default_factory=list)

    def is_closed(self, segment: Segment) -> bool:
        """Whether nothing will be written to this segment any more."""
        return not self.live or segment is not self.segments[-1]

    def is_read(self) -> bool:
        """Whether all whole frames were dealt with. Says something lasting of dead ones only."""
        return not any(segment.read() for segment in self.segments)


class SpoolFolder:
    """The folder, as of the last ``scan``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lives: dict[str, SpooledIncarnation] = {}

    def scan(self) -> None:
        """Look for new segments, new workers and dead ones. A few system calls per file."""
        while self._found_dead():  # what it wrote between the listing and its death must be seen too
            pass

    def _found_dead(self) -> bool:
        present = self._listed()
        found = False
        for incarnation, segments in present.items():
            life = self.lives.setdefault(incarnation, SpooledIncarnation(incarnation))
            was_live = life.live
            self._look_after(life)
            found |= was_live and not life.live
            known = {segment.number: segment for segment in life.segments}
            life.segments = [
                known.get(number) or Segment(path, incarnation, number) for number, path in sorted(segments.items())
            ]
        for incarnation in self.lives.keys() - present.keys():
            self._let_go(self.lives.pop(incarnation))
        return found

    def _listed(self) -> dict[str, dict[int, Path]]:
        """The segments by number of each incarnation that has any file."""
        listed: dict[str, dict[int, Path]] = {}
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.path)):
                stem, _, suffix = name.rpartition(".")
                incarnation, _, number = stem.partition("-")
                if not is_incarnation(incarnation):
                    continue
                if suffix == "spool" and number.isdigit():
                    listed.setdefault(incarnation, {})[int(number)] = self.path / name
                elif suffix in ("lock", "ended"):
                    listed.setdefault(incarnation, {})
        return listed

    def end(self, life: SpooledIncarnation) -> None:
        """Recovery is done: the dead worker's lock file says so."""
        with suppress(FileNotFoundError):
            (self.path / f"{life.incarnation}.lock").rename(self.path / f"{life.incarnation}.ended")
        (self.path / f"{life.incarnation}.tally").unlink(missing_ok=True)
        life.ended = True
        self._let_go(life)

    def forget(self, life: SpooledIncarnation) -> None:
        """Nothing of it is left to ship."""
        (self.path / f"{life.incarnation}.ended").unlink(missing_ok=True)
        self.lives.pop(life.incarnation, None)

    def close(self) -> None:
        """Let go of the dead workers' locks."""
        for life in self.lives.values():
            self._let_go(life)

    def _look_after(self, life: SpooledIncarnation) -> None:
        """Whether its worker still lives: a process that gets its lock knows that it doesn't."""
        if not life.live:
            return
        try:
            descriptor = os.open(self.path / f"{life.incarnation}.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # A worker makes its lock before its first segment, and recovery ends with renaming it.
            life.live, life.ended = False, True
            life.node = life.node or self._node(self.path / f"{life.incarnation}.ended")
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            life.live, life.lock = False, descriptor
        life.node = life.node or self._node(self.path / f"{life.incarnation}.lock")

    @staticmethod
    def _node(path: Path) -> str:
        try:
            return str(json.loads(path.read_bytes())["node"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    @staticmethod
    def _let_go(life: SpooledIncarnation) -> None:
        if life.lock >= 0:
            os.close(life.lock)
            life.lock = -1
