"""One body, several readers: what a fetch receives, given to every caller who waits for it."""

import asyncio
from collections import deque

BACKLOG = 512 * 1024
"""Bytes that the slowest reader may be behind, once the parts aren't all kept."""


class Broadcast:
    """Parts in order. While ``keeping``, all stay (the body is being stored, so they are needed anyway) and anybody
    may still join; afterwards a part goes when every reader has it, and the writer waits for the slowest.
    """

    def __init__(self) -> None:
        self.keeping = True
        self._parts: deque[bytes] = deque()
        self._first = 0  # number of the first part that is still here
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._readers: set[Reader] = set()
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def reader(self) -> "Reader":
        """A reader from the first part on. Only while ``keeping``."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

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

    async def room(self) -> None:
        """Wait until the slowest reader is near enough. At once when there is none, or while ``keeping``."""
        while not self.keeping and self._readers and self._size > BACKLOG:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    def _trim(self) -> None:
        if self.keeping:
            return
        upto = min((reader.next for reader in self._readers), default=self._first + len(self._parts))
        while self._first < upto:
            self._size -= len(self._parts.popleft())
            self._first += 1
        if self._size <= BACKLOG and self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _read(self, reader: "Reader") -> bytes:
        while True:
            index = reader.next - self._first
            if index < len(self._parts):
                part = self._parts[index]
                reader.next += 1
                self._trim()
                return part
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)


class Reader:
    """One reader's place."""

    __slots__ = ("_broadcast", "next")

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self.next = 0

    async def read(self) -> bytes:
        """The next part, ``b""`` at the end; raises what the body broke off with."""
        return await self._broadcast._read(self)

    def leave(self) -> None:
        """Read no more."""
        self._broadcast._readers.discard(self)
        self._broadcast._trim()
