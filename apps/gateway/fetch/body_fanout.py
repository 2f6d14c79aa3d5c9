"""One body, several readers: what a fetch receives, given to every caller who waits for it."""

import asyncio
from collections import Counter, deque

from apps.gateway.upstream.errors import Broken
from apps.wire.failure_causes import FailureCause

BACKLOG = 512 * 1024
"""Bytes that the slowest reader may be behind, once the parts aren't all kept."""

PATIENCE = 10.0
"""Seconds that one reader may keep the others waiting, in all, before the body breaks off for it."""


class BodyFanout:
    """Parts in order. While ``keeping``, all stay (the body is being stored, so they are needed anyway) and readers may still join;
    afterwards a part goes when every reader has it, and the writer waits for the slowest: without end for the only reader,
    ``PATIENCE`` seconds for one who keeps others waiting. So memory is bounded by what the policy stores, or by ``BACKLOG``.
    """

    def __init__(self) -> None:
        self.keeping = True
        self._parts: deque[bytes] = deque()
        self._first = 0  # number of the first part that is still here
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._readers: set[FanoutReader] = set()
        self._places: Counter[int] = Counter()  # how many readers wait for a part, by its number
        self._expected = 0
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def reader(self) -> "FanoutReader":
        """A reader from the first part on. Only while ``has_all``."""
        reader = FanoutReader(self)
        self._readers.add(reader)
        self._places[reader.next] += 1
        return reader

    def expect(self, callers: int) -> None:
        """So many callers wait for the head, and decide when they have seen it whether to read: nothing goes before."""
        self._expected = callers

    def decided(self) -> None:
        """One of them has."""
        self._expected -= 1
        self._trim()

    @property
    def has_all(self) -> bool:
        """Whether a reader that joins now can read it from the start."""
        return self._first == 0 and (self.keeping or self._expected > 0)

    def put(self, part: bytes) -> None:
        """Give a part to all readers."""
        self._parts.append(part)
        self._size += len(part)
        self._tell()

    def end(self, error: Exception | None = None) -> None:
        """No more parts: the body is whole, or broke off with ``error``."""
        self._ended, self._error = True, error
        self._tell()

    def stop_keeping(self) -> None:
        """The body will not be stored: let go of what everybody has."""
        self.keeping = False
        self._trim()

    @property
    def share(self) -> int:
        """What each reader keeps in memory of a body that has ended, in bytes. One that still comes has bounds of its own."""
        return self._size // max(1, len(self._readers)) if self._ended else 0

    async def room(self) -> None:
        """Wait until the slowest reader is near enough. At once when there is none, or while ``keeping``."""
        loop = asyncio.get_running_loop()
        while not self.keeping and (self._readers or self._expected) and self._size > BACKLOG:
            slowest = min(self._readers, key=lambda reader: reader.next, default=None)
            alone = slowest is None or len(self._readers) == 1
            self._room = loop.create_future()
            began = loop.time()
            patience = None if slowest is None or alone else max(0.0, PATIENCE - slowest.kept_waiting)
            await asyncio.wait({self._room}, timeout=patience)
            if slowest is not None and not alone:
                slowest.kept_waiting += loop.time() - began
                if slowest.kept_waiting >= PATIENCE:
                    slowest.cut_off()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    def _trim(self) -> None:
        if self.keeping or self._expected:
            return
        while self._parts and not self._places[self._first]:
            self._size -= len(self._parts.popleft())
            self._first += 1
        if self._size <= BACKLOG and self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _leave_place(self, reader: "FanoutReader") -> None:
        self._places[reader.next] -= 1
        if not self._places[reader.next]:
            del self._places[reader.next]

    async def _read(self, reader: "FanoutReader") -> bytes:
        while True:
            if reader not in self._readers:
                raise Broken(FailureCause.CLIENT_TOO_SLOW, sent=True)
            index = reader.next - self._first
            if index < len(self._parts):
                part = self._parts[index]
                self._leave_place(reader)
                reader.next += 1
                self._places[reader.next] += 1
                self._trim()
                return part
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)


class FanoutReader:
    """One reader's place."""

    __slots__ = ("_broadcast", "kept_waiting", "next")

    def __init__(self, broadcast: BodyFanout) -> None:
        self._broadcast = broadcast
        self.next = 0
        self.kept_waiting = 0.0

    async def read(self) -> bytes:
        """The next part, ``b""`` at the end; raises what the body broke off with."""
        return await self._broadcast._read(self)

    def held_bytes(self) -> int:
        """Bytes that are kept because this one hasn't read them yet."""
        return self._broadcast.share if self in self._broadcast._readers else 0

    def leave(self) -> None:
        """Read no more."""
        if self in self._broadcast._readers:
            self._broadcast._readers.remove(self)
            self._broadcast._leave_place(self)
            self._broadcast._trim()

    def cut_off(self) -> None:
        """The body breaks off for this reader, now or with its next part."""
        self.leave()
        self._broadcast._tell()
