"""Each worker's link to the control plane: keeps its configuration up to date, looks keys up, reports how far it is.

Redis may be away, frozen or empty at any time: nothing here blocks the loop, every wait is bounded, and what can't
be known raises ``CredentialUnknown``, which a caller sees as 503 and never as a refusal of a good key.

Theory of operation. ``event_stream`` reads Redis in rounds and drives this module: ``load`` takes the whole snapshot, ``apply``
the changes after it, ``beat`` says how far this worker is, ``confirm`` follows a heartbeat that found nothing newer, and ``absent``
a round that failed. ``_position`` is what was read; the configuration is opened to calls later, by the first ``confirm``: until
then there may be a receipt for a change that is not known here, and that didn't wait for this worker.

========= ============================================================== ==========
state     what happens                                                   next state
========= ============================================================== ==========
empty     the snapshot is read (``load``)                                loaded
empty     Redis is away, and there is a disk copy (``absent``)           on trust
loaded    a heartbeat finds nothing newer (``confirm``)                  following
loaded    Redis is away, and there is a disk copy                        on trust
following events come (``apply``), a gap or a new incarnation (``load``) following
following Redis is away                                                  on trust
on trust  a heartbeat finds nothing newer                                following
on trust  the trust lease ends                                           closed
closed    a heartbeat finds nothing newer                                following
========= ============================================================== ==========

A worker without configuration answers 503. On trust, calls are answered by what is known; closed, those with credentials get 503.

A look-up of a key (``lookup``) runs beside that. An event that touches its key meanwhile marks it, and it asks again before its
record is kept: so no record is kept that is older than an event that was applied.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from apimgr import __version__
from apps.gateway.config.disk_copy import DiskCopyReader
from apps.gateway.config.event_stream import EventStream, Heartbeat, NotFilled, end, heartbeat_of, read_parts, still_in
from apps.gateway.config.worker_config import UNKNOWN, Snapshot, Unknown, WorkerConfig
from apps.wire import redis_names
from apps.wire.events import Event, Position
from apps.wire.redis_client import AWAY, Client, connect_async
from apps.wire.sealing import BrokenSeal, unseal
from apps.wire.snapshot import KINDS, Credential, Part
from apps.wire.worker_reports import BEAT, L1, NO_L1, Report, node_name, worker_id

logger = logging.getLogger(__name__)

LOOKUP_TIMEOUT = 0.5
"""Seconds that the lookup of a key may take: a call is waiting for it."""

LOOKUPS = 16
"""Look-ups, and so connections for them, at once: a flood of unknown keys stays one worker's affair."""

GOODBYE_TIMEOUT = 0.5
"""Seconds that saying goodbye may take; a Redis that doesn't hear it counts the worker until its lease ends."""


class CredentialUnknown(Exception):
    """It can't be known now whether this key opens anything: 503, never 401 or 403."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the gateway adds to a heartbeat: calls in flight, upstreams (host:port) that fail now, and its own tier of
    cached responses.
    """

    in_flight: int = 0
    troubled: tuple[str, ...] = ()
    l1: L1 = NO_L1


@dataclass(slots=True)
class _PendingLookup:
    """A look-up under way; ``dirty``: an event touched its key meanwhile, so its result may be out of date."""

    task: asyncio.Task[Credential | Literal[Unknown.UNKNOWN]]
    dirty: bool = False


class ConfigSubscriber:
    """Keeps ``config`` up to date from ``redis_url``. One per worker; ``worker`` is its number on this machine."""

    def __init__(
        self,
        config: WorkerConfig,
        *,
        worker: int,
        redis_url: str,
        mac_key: bytes,
        disk: DiskCopyReader | None = None,
        status: Callable[[], Status] = Status,
        node: str | None = None,
    ) -> None:
        self.config = config
        self._mac_key = mac_key
        self._disk = disk
        self._status = status
        self._node = node or node_name()
        self._number = worker
        self._since = time.time()
        self._stream = EventStream(redis_url, self, mac_key)
        self._lookups = connect_async(redis_url, timeout=LOOKUP_TIMEOUT)
        self._position: Position | None = None
        self._clock = 0  # of the purges that came from Redis: a worker may record more by itself
        self._flights: dict[str, _PendingLookup] = {}
        self._few = asyncio.Semaphore(LOOKUPS)
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the last exchange with Redis went well, and what it holds can be believed."""
        return self._stream.connected

    @property
    def worker(self) -> str:
        """Its name among all that say how far they are."""
        return worker_id(self._node, self._number, os.getpid())

    @property
    def position(self) -> Position | None:
        """What is applied: for the event stream. The configuration is opened to calls later (see ``confirm``)."""
        return self._position

    async def start(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  its end is no error
        """Begin to follow. Returns when the configuration is loaded, from Redis or else from the disk copy, or after
        ``timeout`` seconds; whether it is loaded. Goes on trying either way."""
        self._task = asyncio.create_task(self._stream.run(), name="subscriber")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._first.wait()
        return self.config.loaded

    async def stop(self) -> None:
        """Stop following and say goodbye, so that receipts no longer count this worker. Takes a second at most."""
        if self._task is None:
            return
        await end(self._task)
        if self._disk is not None:
            self._disk.let_go()
        for flight in list(self._flights.values()):
            await end(flight.task)
        with contextlib.suppress(*AWAY):
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self._lookups.hdel(redis_names.WORKERS, self.worker)
        for client in (self._stream, self._lookups):
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(GOODBYE_TIMEOUT / 2):
                    await (client.close() if isinstance(client, EventStream) else client.aclose())

    async def lookup(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN]:
        """The key with this digest, asked of Redis, else of the disk copy. Callers of one key share one question.

        Raises ``CredentialUnknown``.
        """
        flight = self._flights.get(digest)
        if flight is None:
            flight = _PendingLookup(asyncio.create_task(self._look_up(digest)))
            self._flights[digest] = flight
            flight.task.add_done_callback(lambda task: self._landed(digest, task))
        return await asyncio.shield(flight.task)

    # What follows is for the event stream.

    async def load(self, client: Client, at: Position) -> None:
        """Read the whole snapshot, then swap it in."""
        snapshot, refused = self.config.snapshot.empty(), set[str]()
        async for page in read_parts(client, at.incarnation):
            for part in self._open(at.incarnation, page.items(), refused).values():
                snapshot.put(part)
        for name in refused:
            if (held := self.config.part(name)) is not None:
                snapshot.put(held)
        purges = await client.hgetall(redis_names.PURGES)
        clock = int(await client.get(redis_names.PURGE_CLOCK) or 0)
        await still_in(client, at.incarnation)
        self._replace(at, snapshot, refused)
        self._load_purges(at.incarnation, clock, purges)

    async def apply(self, client: Client, events: Sequence[Event], after: Position) -> None:
        """Read the parts that changed, then apply everything at once."""
        changed = list(dict.fromkeys(name for event in events for name in event.parts))
        sealed = await client.hmget(redis_names.parts(after.incarnation), changed) if changed else []
        if changed:
            # Parts are of the incarnation that was followed only if it still is the present one.
            await still_in(client, after.incarnation)
        config = self.config
        present = {name.encode(): value for name, value in zip(changed, sealed, strict=True) if value is not None}
        config.refused.difference_update(changed)
        for part in self._open(after.incarnation, present.items(), config.refused).values():
            config.put(part)
        for name in changed:
            if name.encode() not in present:
                config.drop(name)
        for event in events:
            if event.kind == "purge":
                config.purges.apply(event.tags, event.clock, event.soft)
                self._clock = max(self._clock, event.clock)
            else:
                self._forget(event)
        self._moved(after)

    async def beat(self, client: Client) -> Heartbeat:
        """Say how far this worker is; one that knows nothing yet says that it is starting."""
        report = self._report()
        reply = await client.eval(
            BEAT, 2, redis_names.WORKERS, redis_names.EPOCH, report.worker, msgspec.msgpack.encode(report)
        )
        heartbeat = heartbeat_of(reply)
        self.config.workers = max(1, heartbeat.workers)
        return heartbeat

    def confirm(self, contact: float) -> None:
        """Renew the lease. The first time, open the configuration to calls: a heartbeat that said where this worker is found that
        nothing is newer, so that every receipt either was for what is known here, or counts this worker."""
        if not self.config.loaded and self._position is not None:
            self.config.moved(self._position)
        self.config.trust_lease.renew(contact)
        self._first.set()
        if self._disk is not None:
            self._disk.let_go()

    def absent(self) -> None:
        """Without Redis at the start there is the disk copy."""
        if not self.config.loaded and self._disk is not None:
            self._load_from_disk(self._disk)
        if self.config.loaded:
            self._first.set()

    # What follows is its own.

    def _report(self) -> Report:
        config, status, position = self.config, self._status(), self._position
        return Report(
            node=self._node,
            number=self._number,
            pid=os.getpid(),
            incarnation=position.incarnation if position else 0,
            n=position.n if position else 0,
            clock=self._clock,
            lease=config.trust_lease.seconds if position else 0.0,
            starting=position is None,
            in_flight=status.in_flight,
            version=__version__,
            since=self._since,
            refused=len(config.refused),
            troubled=status.troubled,
            l1=status.l1,
        )

    def _open(self, incarnation: int, sealed: Iterable[tuple[bytes, bytes]], refused: set[str]) -> dict[str, Part]:
        """Parts by name; the names of those whose seal is broken are added to ``refused``. Kinds that
        only a later version of the control plane has are left out."""
        opened: dict[str, Part] = {}
        for raw, value in sealed:
            name = raw.decode()
            if name.partition(":")[0] not in KINDS:
                logger.info("left out a part of the snapshot that this version doesn't know: %s", name)
                continue
            try:
                opened[name] = self._open_one(incarnation, name, value)
            except BrokenSeal as error:
                logger.error("refused a part of the snapshot: %s", error)
                refused.add(name)
        return opened

    def _open_one(self, incarnation: int, name: str, sealed: bytes) -> Part:
        return unseal(self._mac_key, incarnation, name, sealed, KINDS[name.partition(":")[0]])

    def _replace(self, at: Position, snapshot: Snapshot, refused: set[str]) -> None:
        config = self.config
        config.snapshot, config.refused = snapshot, refused
        config.forget_all_keys()
        for flight in self._flights.values():
            flight.dirty = True
        self._moved(at)

    def _moved(self, position: Position) -> None:
        self._position = position
        if self.config.loaded:
            self.config.moved(position)

    def _load_purges(self, incarnation: int, clock: int, rows: Mapping[bytes, bytes]) -> None:
        self.config.purges.load(incarnation, clock, rows)
        self._clock = clock

    def _forget(self, event: Event) -> None:
        if event.all_keys:
            self.config.forget_all_keys()
            for flight in self._flights.values():
                flight.dirty = True
        for digest in event.digests:
            self.config.forget(digest)
            if digest in self._flights:
                self._flights[digest].dirty = True

    def _landed(self, digest: str, task: asyncio.Task[Credential | Literal[Unknown.UNKNOWN]]) -> None:
        del self._flights[digest]
        if not task.cancelled():
            task.exception()  # retrieved even if every caller has left

    async def _look_up(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN]:
        while True:
            found = await self._ask(digest)
            # No await from here on: an event applied before has marked the flight, one applied later will drop the record.
            flight = self._flights[digest]
            if not flight.dirty:
                break
            flight.dirty = False
        if found is UNKNOWN:
            self.config.unknown.put(digest, True)
        else:
            self.config.credentials.put(digest, found)
        return found

    async def _ask(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN]:
        async with self._few:
            if self.connected:  # it may have been found frozen while this look-up waited for its turn
                try:
                    return await self._ask_redis(digest)
                except (*AWAY, NotFilled) as error:
                    logger.debug("a key could not be looked up: %s", str(error) or type(error).__name__)
        if self._disk is not None and (position := self.config.position) is not None:
            sealed = self._disk.credential(digest, position)
            if sealed is not None:
                return self._unseal(digest, position.incarnation, sealed)
        raise CredentialUnknown("The state Redis is away, and this key isn't known here.")

    async def _ask_redis(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN]:
        position = self.config.position
        if position is None:
            raise NotFilled("nothing was read of it yet")
        pipeline = self._lookups.pipeline(transaction=True)
        pipeline.hmget(redis_names.EPOCH, "incarnation", "seq")
        pipeline.get(redis_names.credential(position.incarnation, digest))
        (incarnation, seq), sealed = await pipeline.execute()
        if incarnation is None or (int(incarnation), int(seq or 0)) < position[:2]:
            raise NotFilled("it is older than it was")
        if int(incarnation) != position.incarnation:
            # Redis was filled anew a moment ago, and is about to be loaded: the seal shows that the record is genuine.
            sealed = await self._lookups.get(redis_names.credential(int(incarnation), digest))
            if sealed is None:
                raise NotFilled("it was filled anew just now")
        if sealed is None:
            return UNKNOWN
        return self._unseal(digest, int(incarnation), sealed)

    def _unseal(self, digest: str, incarnation: int, sealed: bytes) -> Credential:
        try:
            return unseal(self._mac_key, incarnation, f"key:{digest}", sealed, Credential)
        except BrokenSeal as error:
            logger.error("refused a credential record: %s", error)
            raise CredentialUnknown("The record of this key is damaged.") from None

    def _load_from_disk(self, disk: DiskCopyReader) -> None:
        if not disk.hold():
            return  # the agent looks at it just now: it is asked again with the next attempt
        copy = disk.load()
        if copy is None:
            disk.let_go()
            return
        snapshot, refused = self.config.snapshot.empty(), set[str]()
        for part in self._open(copy.position.incarnation, copy.parts, refused).values():
            snapshot.put(part)
        self._replace(copy.position, snapshot, refused)
        self._load_purges(copy.position.incarnation, copy.clock, copy.purges)
        self.config.moved(copy.position)
        now = time.monotonic()
        self.config.trust_lease.inherit(copy.contact, copy.boot, now)
        logger.warning(
            "started from the disk copy; the trust lease holds %.0f s more", self.config.trust_lease.left(now)
        )
