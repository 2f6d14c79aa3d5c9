"""From the stream into the database: each record once, whatever dies in between.

An entry is acknowledged and deleted after the commit. Who dies before it leaves the entry to the next; who dies between commit and
acknowledgement leaves an entry whose numbers are settled, and taking it again changes nothing.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from redis.exceptions import LockError

from apps.analytics import key_use
from apps.analytics.batch_ingestion import IngestedBatch, ingest_batch
from apps.analytics.stream import Batch, StreamEntry, confirm, read
from apps.gateway.records.spool import frames
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect

TRANSACTION_RECORDS = 1000
#: SQLite has one writer at a time: between two transactions the others get their turn.
SQLITE_PAUSE = 0.02
_READ = 64
_LOCK_SECONDS = 5.0
_log = logging.getLogger(__name__)


def ingest(*, seconds: float = 8.0) -> int:
    """Take what is in the stream, for about ``seconds`` at most, unless another process does now. The number of new calls.

    Redis or the database being away is no error: what is in the stream stays there until they are back.
    """
    client = connect(settings.REDIS_URL)
    try:
        return ingest_from(client, until=time.monotonic() + seconds)
    except AWAY as error:
        _log.warning("Call records wait: Redis is away (%s)", error)
    except (OperationalError, InterfaceError) as error:
        _log.warning("Call records wait: the database is away (%s)", str(error).strip())
        if not connection.in_atomic_block:
            connection.close()  # the next tick connects anew
    finally:
        client.close()
    return 0


def ingest_from(client: redis.Redis, *, until: float = float("inf")) -> int:
    """The same over an open connection, until the stream is empty or the monotonic clock says ``until``.

    The lock only keeps ticks from queueing up; that two at once do no harm is the database's doing (see ``batch_ingestion``).
    """
    calls = 0
    lock = client.lock(redis_names.CALLS_LOCK, timeout=_LOCK_SECONDS, blocking=False, thread_local=False)
    if not lock.acquire():
        return 0
    try:
        while entries := read(client, _READ):
            for some in _transactions(entries):
                calls += _take(client, some)
                lock.reacquire()
                if connection.vendor == "sqlite":
                    time.sleep(SQLITE_PAUSE)
            if time.monotonic() >= until:
                break
    except LockError:  # held so long that another may have taken over
        _log.info("Another ingests now")
    finally:
        with suppress(LockError, *AWAY):
            lock.release()
    return calls


def _take(client: redis.Redis, entries: Sequence[StreamEntry]) -> int:
    """Take entries, each of them readable or not, and let go of them."""
    batches = [entry.batch for entry in entries if entry.batch]
    taken = []
    try:
        taken.append(ingest_batch(batches))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # Something that no check foresaw. One at a time, so that it blocks no other; its frames are kept for an administrator to
        # look into.
        _log.exception("Call records are set aside")
        taken += [_take_whatever_it_is(batch) for batch in batches]
    confirm(client, entries, {life: numbers for each in taken for life, numbers in each.settled.items()})
    for each in taken:
        try:
            key_use.record_key_use(each.keys)
        except DatabaseError as error:  # the records are safe, and the next use is recorded too
            _log.warning("The last use of keys was not recorded: %s", error)
    return sum(each.calls for each in taken)


def _take_whatever_it_is(batch: Batch) -> IngestedBatch:
    try:
        return ingest_batch([batch])
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        return ingest_batch([batch], unreadable=ValueError(f"{type(error).__name__}: {error}"))


def _transactions(entries: Sequence[StreamEntry]) -> Iterator[list[StreamEntry]]:
    """Entries in groups of at most ``TRANSACTION_RECORDS`` records; one with more than that is a group of its own."""
    group: list[StreamEntry] = []
    size = 0
    for entry in entries:
        more = sum(1 for _ in frames(entry.batch.frames)) if entry.batch else 0
        if group and size + more > TRANSACTION_RECORDS:
            yield group
            group, size = [], 0
        group.append(entry)
        size += more
    if group:
        yield group
