"""The shared tier as the control plane reads it: the entries that a call would find, whether a purge ended them, and
what else is stored under their path.
"""

from django.conf import settings
from django.core.cache import caches

from apps.cachestore import path_index
from apps.cachestore.backend import ResponsesCache
from apps.cachestore.eviction import SIBLINGS
from apps.cachestore.path_index import IndexedResponse
from apps.cachestore.purges import FLOOR, PurgedTags
from apps.httpcache import CacheEntry, Reason, RequestPlan, StoredResponse, Variants, tags_of
from apps.httpcache.lookup import find_with
from apps.wire import redis_names
from apps.wire.redis_client import connect

TIMEOUT = 2.0
"""Seconds that the state Redis gets to say what was purged."""


class CacheInspection:
    """Reads entries; nothing is written, and nothing counts as a use. Raises what ``wire.redis_client.AWAY`` names."""

    def __init__(self) -> None:
        backend = caches["responses"]
        assert isinstance(backend, ResponsesCache)  # noqa: S101
        self._client = backend.client

    def find(self, plan: RequestPlan, now: float) -> tuple[StoredResponse | None, StoredResponse | None]:
        """What a gateway would find for a call, and, where that is nothing, what it would have found but for a purge
        or its age. ``plan.missed`` says why.
        """
        ended: StoredResponse | None = None

        def usable(key: bytes) -> StoredResponse | Variants | None:
            nonlocal ended
            record = self.record(key)
            if not isinstance(record, StoredResponse):
                return record
            if now < record.entry.keep_until:
                if not self.is_purged(record):
                    return record
                plan.missed = Reason.PURGED
            ended = record
            return None

        stored = find_with(plan, usable)
        return stored, ended if stored is None else None

    def record(self, key: bytes) -> StoredResponse | Variants | None:
        """What stands under a key."""
        value = self._client.get_client(write=False).get(self._client.make_key(key.hex()))
        record = self._client.decode(value) if value is not None else None
        if isinstance(record, CacheEntry):
            return StoredResponse(record)
        return record if isinstance(record, Variants) else None

    def is_purged(self, stored: StoredResponse) -> bool:
        """Whether a purge ended an entry. Sets its ``soft`` where one made it stale."""
        tags = (FLOOR, *tags_of(stored.entry))
        with connect(settings.REDIS_URL, timeout=TIMEOUT) as state:
            incarnation = state.hget(redis_names.EPOCH, "incarnation")
            rows = zip(tags, state.hmget(redis_names.PURGES, tags), strict=True)
        purged = PurgedTags()
        if incarnation is not None:
            known = {tag.encode("utf-8", "surrogateescape"): row for tag, row in rows if row is not None}
            purged.load(int(incarnation), 0, known)
        return not purged.is_alive(stored)

    def siblings(self, api: str, path: bytes) -> list[IndexedResponse]:
        """What was stored under a path of an API, newest first, as far as it is still there."""
        client, make_key = self._client.get_client(write=False), self._client.make_key
        name = path_index.name_of(api, path)
        rows = path_index.read(name, client.zrevrange(make_key(name), 0, SIBLINGS - 1))
        if not rows:
            return []
        pipeline = client.pipeline(transaction=False)
        for row in rows:
            pipeline.exists(make_key(row.key.hex()))
        return [row for row, there in zip(rows, pipeline.execute(), strict=True) if there]
