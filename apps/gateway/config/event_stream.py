"""Following the state Redis: catch up, read events as they come, say how far one is. What is done with them is the
sink's.

One loop does it all in order, so that what is said of oneself is always true: read events (waiting at most a
second), apply them, beat. Redis being away, frozen, empty or older than it was ends a round; the next begins after a
pause that grows.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol

from apps.wire import redis_names
from apps.wire.events import Event, Position, parse
from apps.wire.redis_client import AWAY, Client, connect_async
from apps.wire.sealing import BrokenSeal, unseal
from apps.wire.snapshot import Incarnation

logger = logging.getLogger(__name__)

BLOCK = 1.0
"""Seconds that a read of the stream waits for an event: also the time between two heartbeats."""

TIMEOUT = 1.0
"""Seconds without a reply after which Redis counts as frozen."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts, doubling, each made up to half shorter by chance so that workers don't come back in
step."""

BATCH = 500
"""Events read, and parts scanned, at once."""


class NotFilled(Exception):
    """Redis answers, but doesn't hold this installation's state, or not all that was known here: a refill is due."""


class Heartbeat(NamedTuple):
    """Redis's reply to a heartbeat: where its stream is (``None``: it holds no epoch), its proof, and how many
    workers there are."""

    position: Position | None
    proof: bytes
    workers: int


class Sink(Protocol):
    """What follows. ``position`` is what it has applied; ``None``: nothing yet."""

    @property
    def position(self) -> Position | None:
        """The last event applied."""

    async def load(self, client: Client, at: Position) -> None:
        """Read everything anew; what Redis holds is of incarnation ``at.incarnation`` and at least as new as ``at``."""

    async def apply(self, client: Client, events: Sequence[Event], after: Position) -> None:
        """Apply events of the present incarnation, in order; ``after`` is the position then."""

    async def beat(self, client: Client) -> Heartbeat:
        """Say how far one is; ask where Redis is."""

    def confirm(self, contact: float) -> None:
        """All that Redis knew at ``contact`` (monotonic) is applied."""

    def absent(self) -> None:
        """Redis can't be followed now. Called for each failed attempt."""


def heartbeat_of(reply: Sequence[Any]) -> Heartbeat:
    """The reply of ``worker_reports.BEAT``."""
    incarnation, seq, at, n, proof, workers = reply
    if incarnation is None:
        return Heartbeat(None, b"", int(workers))
    return Heartbeat(Position(int(incarnation), int(seq or 0), int(at or 0), int(n or 0)), proof or b"", int(workers))


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task that talks to Redis, and wait for its end. redis-py loses a cancellation now and then (one that
    comes while it looks whether a pooled connection is readable), so that once is not enough."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)


async def still_in(client: Client, incarnation: int) -> None:
    """Raise ``NotFilled`` when Redis has gone on to another incarnation, and what was just read may be half of it."""
    now = await client.hget(redis_names.EPOCH, "incarnation")
    if now is None or int(now) != incarnation:
        raise NotFilled("it was filled anew while it was read")


async def read_parts(client: Client, incarnation: int) -> AsyncIterator[dict[bytes, bytes]]:
    """The sealed parts of the snapshot, some at a time. Parts that change meanwhile come old or new; events tell of
    them."""
    cursor: int = 0
    while True:
        cursor, page = await client.hscan(redis_names.parts(incarnation), cursor=cursor, count=BATCH)
        if page:
            yield page
        if not cursor:
            return


class EventStream:
    """Follows ``url`` for ``sink`` until cancelled. ``connected``: the last exchange went well, and Redis can be
    believed."""

    def __init__(self, url: str, sink: Sink, mac_key: bytes) -> None:
        self._sink = sink
        self._mac_key = mac_key
        self._client = connect_async(url, timeout=BLOCK + TIMEOUT)
        self._genuine = 0
        self._gap = False
        self._asked: tuple[float, Position] | None = None
        self.connected = False

    async def run(self) -> None:
        """Follow; returns only by being cancelled."""
        pause, told = SHORTEST_PAUSE, ""
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except (*AWAY, NotFilled) as error:
                why = str(error) or type(error).__name__
                if self.connected or why != told:
                    logger.warning("the state Redis can't be followed: %s", why)
                if isinstance(error, NotFilled):
                    pause = SHORTEST_PAUSE  # it is there, and will be filled in a moment
            except Exception as error:
                # Nothing may end the subscription while its process lives: without it the lease runs out, and only then is it seen.
                why = repr(error)
                logger.exception("following the state Redis failed")
            told, self.connected, self._asked = why, False, None
            try:
                self._sink.absent()
                await self._client.connection_pool.disconnect()
            except Exception:
                logger.exception("letting go of the state Redis failed")
            if time.monotonic() - started > LONGEST_PAUSE + BLOCK + TIMEOUT:
                pause = SHORTEST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)

    @property
    def client(self) -> Client:
        """The client that it follows with."""
        return self._client

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _follow(self) -> None:
        while True:
            position = await self._beat()
            reply = await self._client.xread(
                {redis_names.EVENTS: f"{position.incarnation}-{position.seq}"}, count=BATCH, block=int(BLOCK * 1000)
            )
            if reply:
                await self._take([entry for page in reply[redis_names.EVENTS.encode()] for entry in page], position)

    async def _take(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]], position: Position) -> None:
        """Apply what came after ``position``, if it continues it without a gap; a gap means that all must be read
        anew."""
        try:
            events = [parse(*entry) for entry in entries]
        except ValueError as error:
            logger.warning("an event of a newer version: reading everything anew: %s", error)
            self._gap = True
            return
        seq, at, n = position.seq, position.at, position.n
        for event in events:
            if event.incarnation != position.incarnation or event.seq != seq + 1:
                self._gap = True
                return
            if event.after != at:
                await self._mistrust(position)
            seq, at = event.seq, event.at
            n = event.n if event.kind == "change" else n
        await self._sink.apply(self._client, events, Position(position.incarnation, seq, at, n))

    async def _beat(self) -> Position:
        """Heartbeat, load what is missing, record what Redis has confirmed. Where the sink is after it."""
        while True:
            contact = time.monotonic()
            found, proof, _ = await self._sink.beat(self._client)
            if found is None:
                raise NotFilled("it is empty")
            self._check_proof(found.incarnation, proof)
            position = self._sink.position
            if position is not None:
                behind = found[:2] < position[:2] or (found[:2] == position[:2] and found.at != position.at)
                if behind:
                    await self._mistrust(position)
            if position is None or self._gap or found.incarnation > position.incarnation:
                await self._sink.load(self._client, found)
                self._gap, self._asked = False, None
                continue  # says at once that it is there
            self.connected = True
            if self._asked is None:
                self._asked = contact, found
            if position[:2] >= self._asked[1][:2]:
                self._sink.confirm(self._asked[0])
                self._asked = None
            return position

    def _check_proof(self, incarnation: int, proof: bytes) -> None:
        if incarnation == self._genuine:
            return
        try:
            unseal(self._mac_key, incarnation, "incarnation", proof, Incarnation)
        except BrokenSeal:
            raise NotFilled("it holds the state of another installation") from None
        self._genuine = incarnation

    async def _mistrust(self, position: Position) -> None:
        """Redis lost something that was known here: ask the control plane to write everything anew."""
        await self._client.set(redis_names.MISTRUST, position.incarnation)
        raise NotFilled("it is older than it was")
