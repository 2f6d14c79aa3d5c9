"""The stream of call records between the node agents and the database, as both ends see it. No ORM.

An entry is a batch of frames of one incarnation. It is deleted by the same Redis transaction that says which numbers the database
has settled: so an agent that finds a batch neither in the stream nor settled knows that Redis lost it, and sends it again.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import redis
from redis.exceptions import ResponseError

from apps.analytics.intervals import Intervals
from apps.gateway.records.spool import is_incarnation
from apps.wire import redis_names

#: Entries that agents leave in the stream; what comes on top waits in their spools.
BOUND = 500
BATCH_FRAMES = 500
BATCH_BYTES = 128 * 1024
_CONSUMER = "ingester"


class Batch(NamedTuple):
    """Frames of one incarnation, as they lie in its segment."""

    incarnation: str
    node: str
    frames: bytes


class StreamEntry(NamedTuple):
    """A batch in the stream. ``batch`` is ``None`` when another client put the entry there, or deleted it meanwhile."""

    id: bytes
    batch: Batch | None


def push(client: redis.Redis, batch: Batch) -> tuple[bytes, int]:
    """Add a batch. Its id, and how many entries are in the stream now."""
    pipeline = client.pipeline(transaction=False)
    pipeline.xadd(redis_names.CALLS, {"incarnation": batch.incarnation, "node": batch.node, "frames": batch.frames})
    pipeline.xlen(redis_names.CALLS)
    entry, length = pipeline.execute()
    return entry, length


def look(
    client: redis.Redis, pushed: Iterable[bytes], incarnations: Iterable[str]
) -> tuple[set[bytes], dict[str, Intervals]]:
    """Which ``pushed`` entries are no longer in the stream, and what is settled of the ``incarnations``: at one moment."""
    ids, lives = list(pushed), list(incarnations)
    pipeline = client.pipeline(transaction=True)
    for entry in ids:
        pipeline.xrange(redis_names.CALLS, entry, entry, count=1)
    if lives:
        pipeline.hmget(redis_names.CALLS_TAKEN, lives)
    answers = pipeline.execute()
    settled = {
        life: Intervals(json.loads(text))
        for life, text in zip(lives, answers[len(ids)] if lives else (), strict=True)
        if text is not None
    }
    return {entry for entry, found in zip(ids, answers, strict=False) if not found}, settled


def read(client: redis.Redis, count: int) -> list[StreamEntry]:
    """Up to ``count`` entries to work on: first those taken before and never acknowledged, then new ones.

    There is one consumer's name for all, because one ingests at a time: the successor of a dead one has its entries at once.
    """
    try:
        return _read(client, "0", count) or _read(client, ">", count)
    except ResponseError as error:
        if not str(error).startswith("NOGROUP"):
            raise
        # A new Redis, or one that came back empty. Another may be quicker: then the group exists.
        try:
            client.xgroup_create(redis_names.CALLS, redis_names.CALLS_GROUP, id="0", mkstream=True)
        except ResponseError as exists:
            if not str(exists).startswith("BUSYGROUP"):
                raise
        return _read(client, ">", count)


def confirm(client: redis.Redis, entries: Iterable[StreamEntry], settled: Mapping[str, Intervals]) -> None:
    """After the commit: say what is settled, and let go of the entries."""
    ids = [entry.id for entry in entries]
    pipeline = client.pipeline(transaction=True)
    if settled:
        pipeline.hset(
            redis_names.CALLS_TAKEN, mapping={life: json.dumps(numbers.pairs()) for life, numbers in settled.items()}
        )
    if ids:
        pipeline.xack(redis_names.CALLS, redis_names.CALLS_GROUP, *ids)
        pipeline.xdel(redis_names.CALLS, *ids)
    pipeline.execute()


def _read(client: redis.Redis, after: str, count: int) -> list[StreamEntry]:
    answer: Any = client.xreadgroup(redis_names.CALLS_GROUP, _CONSUMER, {redis_names.CALLS: after}, count=count)
    # In RESP3, which fleet.connections asks for: {stream: [entries]}.
    return [StreamEntry(entry, _batch(fields)) for parts in answer.values() for part in parts for entry, fields in part]


def _batch(fields: Mapping[bytes, bytes] | None) -> Batch | None:
    try:
        batch = Batch(fields[b"incarnation"].decode(), fields[b"node"].decode(), fields[b"frames"]) if fields else None
    except (KeyError, UnicodeDecodeError):
        return None
    return batch if batch and is_incarnation(batch.incarnation) else None
