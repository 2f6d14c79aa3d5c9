"""The disk copy of what gateways know (LMDB): written by the node agent alone, read by the workers when Redis can't be.

It holds what Redis holds, sealed as it is: parts of the snapshot, credential records, purged tags; and in ``meta``
how far it is and when that was last confirmed, which bounds the trust that a worker may put in it. A whole reading
goes into a new *generation* beside the one in use; the old one is deleted when the new one is complete.

Receipts count copies as they count workers, since a worker may start from one and answer calls before Redis knows of it:
the agent says with each heartbeat how far the copy is, and whether a worker is using it (``apps.wire.worker_reports`` has the
argument). Three things make what it says true:

- The lease that is said is never shorter than what the copy gives. The last confirmation is written to disk only if the
  heartbeat that it came with had said the full lease (``_short_at``).
- A worker locks the copy before it reads it, and the agent looks for that lock after it wrote.
- An agent that stops takes the copy's trust back before it says goodbye, under the lock that no worker can have meanwhile.
  Where Redis doesn't hear the goodbye, the copy keeps its trust, and receipts count it until that ends.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import lmdb
import msgspec

from apps.cachestore.purges import FLOOR
from apps.gateway.config.event_stream import EventStream, Heartbeat, end, heartbeat_of, read_parts, still_in
from apps.gateway.config.trust_lease import CLOSED_AFTER, boot_id
from apps.wire import redis_names
from apps.wire.events import Event, Position
from apps.wire.redis_client import AWAY, Client
from apps.wire.worker_reports import BEAT, CopyReport, node_name

logger = logging.getLogger(__name__)

LARGEST = 16 * 2**30
"""Bytes of address space kept for the copy: more than ten million keys. The file itself grows with its contents."""

BATCH = 1_000
"""Records read from Redis, written or deleted at once."""

STAMP_EVERY = 2.0
"""Seconds between two records of the last confirmation: what a lease inherited from the copy may be too short by."""

GOODBYE_TIMEOUT = 0.5
"""Seconds that Redis has to hear that a copy is trusted no more."""

_META, _PARTS, _KEYS, _PURGES = b"meta", b"parts", b"keys", b"purges"
_ID = b"id"
_USE = "in-use"
"""The file in the copy's folder that a worker locks (shared) while it serves by the copy alone."""


class Meta(msgspec.Struct, frozen=True):
    """How far the copy is. ``contact`` is the monotonic time, in the boot ``boot``, at which Redis last confirmed that
    there is nothing newer; ``clock`` is the purge clock."""

    generation: int
    position: Position
    clock: int
    contact: float
    boot: str


class DiskCopy(msgspec.Struct, frozen=True):
    """What a worker starts from. ``parts`` are sealed, by name."""

    position: Position
    parts: list[tuple[bytes, bytes]]
    purges: dict[bytes, bytes]
    clock: int
    contact: float
    boot: str


_decode_meta = msgspec.msgpack.Decoder(Meta).decode


def _lock(folder: Path, kind: int) -> int:
    """A descriptor that holds the lock until it is closed. Raises ``BlockingIOError`` where it can't be had at once, and
    other ``OSError`` where there is no such file."""
    access = os.O_RDONLY if kind == fcntl.LOCK_SH else os.O_RDWR | os.O_CREAT
    descriptor = os.open(folder / _USE, access | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _prefix(generation: int) -> bytes:
    return generation.to_bytes(8)


def _read_all(transaction: lmdb.Transaction, table: lmdb._Database, generation: int) -> Iterator[tuple[bytes, bytes]]:
    prefix = _prefix(generation)
    with transaction.cursor(table) as cursor:
        if cursor.set_range(prefix):
            for key, value in cursor:
                name = bytes(key)
                if not name.startswith(prefix):
                    return
                yield name[len(prefix) :], bytes(value)


def _rows_of(purges: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes | None]:
    """Rows of purged tags as they are kept: a tag may be longer than LMDB's keys (511 bytes), so its digest is the
    key."""
    return {
        hashlib.blake2b(tag, digest_size=16).digest(): None if row is None else msgspec.msgpack.encode((tag, row))
        for tag, row in purges
    }


class DiskCopyReader:
    """The copy in the folder ``path`` for one worker. Every question may be asked while it is being written, or
    isn't there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._environment: lmdb.Environment | None = None
        self._tables: dict[bytes, lmdb._Database] = {}
        self._use: int | None = None

    def hold(self) -> bool:
        """Say that this worker is about to serve by the copy, so that receipts count it. False: not possible just now. Ends with
        ``let_go``, or with the process."""
        if self._use is None:
            try:
                self._use = _lock(self._path, fcntl.LOCK_SH)
            except BlockingIOError:
                return False
            except OSError as error:  # no copy, or one of an agent that doesn't speak of it
                logger.debug("the disk copy can't be locked: %s", error)
        return True

    def let_go(self) -> None:
        """Redis knows of this worker itself."""
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def load(self) -> DiskCopy | None:
        """All but the credential records; ``None``: there is no complete copy."""
        with self._reading() as transaction:
            meta = self._meta(transaction)
            if transaction is None or meta is None:
                return None
            return DiskCopy(
                position=meta.position,
                parts=list(_read_all(transaction, self._tables[_PARTS], meta.generation)),
                purges=dict(
                    msgspec.msgpack.decode(row, type=tuple[bytes, bytes])
                    for _, row in _read_all(transaction, self._tables[_PURGES], meta.generation)
                ),
                clock=meta.clock,
                contact=meta.contact,
                boot=meta.boot,
            )

    def credential(self, digest: str, known: Position) -> bytes | None:
        """The sealed record of a key; ``None``: it isn't here, or the copy is older than what the asker ``known``
        already heard of, and then the record may have been revoked since."""
        with self._reading() as transaction:
            meta = self._meta(transaction)
            if transaction is None or meta is None:
                return None
            if meta.position.incarnation != known.incarnation or meta.position.n < known.n:
                return None
            value = transaction.get(_prefix(meta.generation) + digest.encode(), db=self._tables[_KEYS])
            return None if value is None else bytes(value)

    def close(self) -> None:
        """Let go of the files."""
        self.let_go()
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def _meta(self, transaction: lmdb.Transaction | None) -> Meta | None:
        packed = transaction.get(_META, db=self._tables[_META]) if transaction is not None else None
        return None if packed is None else _decode_meta(packed)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction | None]:
        try:
            environment = self._environment or self._open()
            transaction = environment.begin()
        except lmdb.Error as error:
            logger.debug("there is no disk copy: %s", error)
            yield None
            return
        with transaction:
            yield transaction

    def _open(self) -> lmdb.Environment:
        environment = lmdb.open(str(self._path), readonly=True, create=False, max_dbs=4, map_size=LARGEST)
        try:
            tables = {name: environment.open_db(name, create=False) for name in (_META, _PARTS, _KEYS, _PURGES)}
        except lmdb.Error:
            environment.close()
            raise
        self._environment, self._tables = environment, tables
        return environment


class DiskCopyWriter:
    """Keeps the copy in the folder ``path`` at what the state Redis at ``redis_url`` holds. One per machine.

    ``trust_lease`` is the workers', in seconds; ``workers`` how many are kept running here, where that is known: receipts
    name those that are missing.
    """

    def __init__(
        self,
        *,
        path: Path,
        redis_url: str,
        mac_key: bytes,
        trust_lease: float,
        node: str | None = None,
        workers: int | None = None,
    ) -> None:
        self._path = path
        self._stream = EventStream(redis_url, self, mac_key)
        self._environment, self._tables = self._open()
        self._meta = self._read_meta()
        self._id = self._read_id()
        os.close(os.open(path / _USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._node = node or node_name()
        self._trust_lease = max(trust_lease, CLOSED_AFTER)
        self._workers = workers
        self._failing = False
        self._short_at = -math.inf
        self._stamped = 0.0
        self._floor: bytes | None = None

    @property
    def position(self) -> Position | None:
        """How far the copy is; ``None``: it isn't complete yet."""
        return self._meta.position if self._meta else None

    @property
    def connected(self) -> bool:
        """Whether it follows Redis now."""
        return self._stream.connected

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until ``stop`` is set."""
        following = asyncio.create_task(self._stream.run(), name="disk copy")
        try:
            await stop.wait()
        finally:
            await end(following)
            await self._goodbye()
            await self._stream.close()
            self._environment.close()

    def serve(self, stop: threading.Event) -> None:
        """``run`` for a thread: blocks until ``stop`` is set."""
        asyncio.run(self._serve(stop))

    async def _serve(self, stop: threading.Event) -> None:
        ended = asyncio.Event()
        running = asyncio.create_task(self.run(ended))
        while not running.done() and not await asyncio.to_thread(stop.wait, 0.5):
            pass
        ended.set()
        await running

    # What follows is for the event stream.

    async def load(self, client: Client, at: Position) -> None:
        """Write a new generation from everything that Redis holds, then make it the one in use."""
        generation = self._meta.generation + 1 if self._meta else 1
        await self._in_thread(self._delete_all_but, self._meta.generation if self._meta else None)
        async for page in read_parts(client, at.incarnation):
            await self._put(generation, _PARTS, page)
        prefix = redis_names.credential(at.incarnation, "").encode()
        cursor: int = 0
        while True:
            cursor, keys = await client.scan(cursor=cursor, match=prefix + b"*", count=BATCH)
            if keys:
                values = await client.mget(keys)
                await self._put(
                    generation, _KEYS, {key[len(prefix) :]: value for key, value in zip(keys, values, strict=True)}
                )
            if not cursor:
                break
        await self._load_purges(client, generation)
        clock = int(await client.get(redis_names.PURGE_CLOCK) or 0)
        await still_in(client, at.incarnation)
        await self._move(Meta(generation, at, clock, contact=-1.0, boot=""))
        await self._in_thread(self._delete_all_but, generation)

    async def apply(self, client: Client, events: Sequence[Event], after: Position) -> None:
        """Copy what the events name."""
        meta = self._meta
        if meta is None or any(event.all_keys for event in events):
            await self.load(client, after)
            return
        generation = meta.generation
        parts = list(dict.fromkeys(name for event in events for name in event.parts))
        if parts:
            values = await client.hmget(redis_names.parts(after.incarnation), parts)
            await self._put(
                generation, _PARTS, {name.encode(): value for name, value in zip(parts, values, strict=True)}
            )
        digests = list(dict.fromkeys(digest for event in events for digest in event.digests))
        for start in range(0, len(digests), BATCH):
            batch = digests[start : start + BATCH]
            values = await client.mget([redis_names.credential(after.incarnation, digest) for digest in batch])
            await self._put(
                generation, _KEYS, {each.encode(): value for each, value in zip(batch, values, strict=True)}
            )
        clock = meta.clock
        tags = list(dict.fromkeys(tag.encode("utf-8", "surrogateescape") for event in events for tag in event.tags))
        if tags:
            *values, floor = await client.hmget(redis_names.PURGES, [*tags, FLOOR])
            if floor == self._floor:
                await self._put(generation, _PURGES, _rows_of(zip(tags, values, strict=True)))
            else:
                await self._load_purges(client, generation)
            clock = max(clock, *(event.clock for event in events))
        await still_in(client, after.incarnation)
        await self._move(Meta(generation, after, clock, contact=meta.contact, boot=meta.boot))

    async def beat(self, client: Client) -> Heartbeat:
        """Say how far the copy is; ask where Redis is."""
        short = self._failing
        packed = msgspec.msgpack.encode(self._report(short=short))
        reply = await client.eval(BEAT, 2, redis_names.COPIES, redis_names.EPOCH, self._id, packed)
        if short:
            self._short_at = time.monotonic()
        return heartbeat_of(reply)

    def confirm(self, contact: float) -> None:
        """Record that the copy is up to date; now and then on disk."""
        self._failing = False
        if contact <= self._short_at or self._meta is None:
            return
        if contact - self._stamped >= STAMP_EVERY:
            self._stamped = contact
            self._write_meta(msgspec.structs.replace(self._meta, contact=contact, boot=boot_id()))

    def absent(self) -> None:
        """The copy stays as it is. Where writing it is what fails, its trust ends all the same."""
        self._failing = True

    # What follows is its own.

    def _report(self, *, short: bool) -> CopyReport:
        """What is true of the copy now. ``short``: with no more trust than what is left of the last confirmation."""
        meta = self._meta
        if meta is None:
            return CopyReport(
                node=self._node, incarnation=0, n=0, clock=0, lease=0.0, in_use=False, workers=self._workers
            )
        lease = self._trust_lease
        if short:
            left = meta.contact + lease - time.monotonic() if meta.boot == boot_id() else 0.0
            lease = min(max(left, 0.0), lease)
        return CopyReport(
            node=self._node,
            incarnation=meta.position.incarnation,
            n=meta.position.n,
            clock=meta.clock,
            lease=lease,
            in_use=self._in_use(),
            workers=self._workers,
        )

    def _in_use(self) -> bool:
        try:
            os.close(_lock(self._path, fcntl.LOCK_EX))
        except BlockingIOError:
            return True
        return False

    async def _goodbye(self) -> None:
        meta = self._meta
        if meta is None:
            return
        try:
            held = _lock(self._path, fcntl.LOCK_EX)
        except BlockingIOError:
            return
        try:
            await self._move(msgspec.structs.replace(meta, contact=-1.0, boot=""))
            try:
                async with asyncio.timeout(GOODBYE_TIMEOUT):
                    await self._stream.client.hdel(redis_names.COPIES, self._id)
            except AWAY:
                await self._move(meta)
        finally:
            os.close(held)

    def _open(self) -> tuple[lmdb.Environment, dict[bytes, lmdb._Database]]:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return self._open_tables()
        except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            logger.error("the disk copy is damaged and is made anew: %s", error)
            shutil.rmtree(self._path)
            self._path.mkdir(mode=0o700)
            return self._open_tables()

    def _open_tables(self) -> tuple[lmdb.Environment, dict[bytes, lmdb._Database]]:
        environment = lmdb.open(str(self._path), max_dbs=4, map_size=LARGEST, mode=0o600)
        environment.reader_check()
        return environment, {name: environment.open_db(name) for name in (_META, _PARTS, _KEYS, _PURGES)}

    def _read_meta(self) -> Meta | None:
        with self._environment.begin() as transaction:
            packed = transaction.get(_META, db=self._tables[_META])
        return None if packed is None else _decode_meta(packed)

    def _read_id(self) -> str:
        """The copy's own name, whatever its machine is called today."""
        with self._environment.begin(write=True) as transaction:
            found = transaction.get(_ID, db=self._tables[_META])
            if found is None:
                found = secrets.token_hex(8).encode()
                transaction.put(_ID, found, db=self._tables[_META])
            return bytes(found).decode()

    def _write_meta(self, meta: Meta) -> None:
        with self._environment.begin(write=True) as transaction:
            transaction.put(_META, msgspec.msgpack.encode(meta), db=self._tables[_META])
        self._meta = meta

    async def _load_purges(self, client: Client, generation: int) -> None:
        """Read the table of purged tags whole: some of it folded into its floor."""
        rows = await client.hgetall(redis_names.PURGES)
        self._floor = rows.get(FLOOR.encode())
        with self._environment.begin() as transaction:
            gone = [name for name, _ in _read_all(transaction, self._tables[_PURGES], generation)]
        await self._put(generation, _PURGES, dict.fromkeys(gone) | _rows_of(rows.items()))

    async def _move(self, meta: Meta) -> None:
        await self._in_thread(self._write_meta, meta)

    async def _put(self, generation: int, table: bytes, rows: Mapping[bytes, bytes | None]) -> None:
        """Write rows; a row without a value is deleted."""
        await self._in_thread(self._put_now, generation, table, rows.items())

    def _put_now(self, generation: int, table: bytes, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        prefix, database = _prefix(generation), self._tables[table]
        with self._environment.begin(write=True) as transaction:
            for name, value in rows:
                if value is None:
                    transaction.delete(prefix + name, db=database)
                else:
                    transaction.put(prefix + name, value, db=database)

    def _delete_all_but(self, generation: int | None) -> None:
        """Delete other generations, some rows at a time."""
        kept = None if generation is None else _prefix(generation)
        for table in (_PARTS, _KEYS, _PURGES):
            database = self._tables[table]
            more = True
            while more:
                with self._environment.begin(write=True) as transaction, transaction.cursor(database) as cursor:
                    doomed: list[bytes] = []
                    more = cursor.first()
                    while more and len(doomed) < BATCH:
                        key = bytes(cursor.key())
                        if kept is not None and key.startswith(kept):
                            more = cursor.set_range(_prefix(generation + 1))  # type: ignore[operator]
                            continue
                        doomed.append(key)
                        more = cursor.next()
                    for key in doomed:
                        transaction.delete(key, db=database)

    async def _in_thread(self, function: Callable[..., None], *arguments: object) -> None:
        """LMDB waits for the disk when it commits: not on the event loop."""
        await asyncio.to_thread(function, *arguments)
