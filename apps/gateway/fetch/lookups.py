"""Look-ups in the shared tier: one for all callers of a worker who lack the same response at the same time."""

import asyncio
from collections.abc import Callable
from time import time
from typing import NamedTuple

from apps import httpcache
from apps.cachestore.fetch_lock import LockAttempt
from apps.cachestore.store import ResponseStore
from apps.httpcache.serving import may_use


class LookupResult(NamedTuple):
    """What a look-up found: the response, what the fetch lock says, and why there is no response."""

    stored: httpcache.StoredResponse | None
    lock_attempt: LockAttempt | None
    missed: httpcache.Reason


class SharedLookups:
    """The look-ups under way in a worker, by fetch key. ``is_under_way`` says whether a fetch with a key is."""

    def __init__(self, store: ResponseStore, is_under_way: Callable[[bytes], bool]) -> None:
        self._store = store
        self._is_under_way = is_under_way
        self._by_key: dict[bytes, asyncio.Future[LookupResult | None]] = {}

    async def look(self, plan: httpcache.RequestPlan) -> tuple[httpcache.StoredResponse | None, LockAttempt | None]:
        """What the shared tier has for a call, and the fetch lock's word where there is nothing.

        While a fetch for the same is under way here, what this worker has is all that can be known: join that.
        """
        store, key = self._store, plan.fetch_key
        if key is None:
            return await store.look(plan, time())
        if self._is_under_way(key):
            return store.find_local(plan, time()), None
        under_way = self._by_key.get(key)
        if under_way is not None:
            found = await asyncio.shield(under_way)
            if found is not None and _serves(found, plan):
                plan.missed = found.missed
                return found.stored, found.lock_attempt
            return await store.look(plan, time())
        under_way = self._by_key[key] = asyncio.get_running_loop().create_future()
        found = None
        try:
            stored, lock_attempt = await store.look(plan, time())
            found = LookupResult(stored, lock_attempt, plan.missed)
            return stored, lock_attempt
        finally:
            del self._by_key[key]
            under_way.set_result(found)


def _serves(found: LookupResult, plan: httpcache.RequestPlan) -> bool:
    """Whether what one call found is what another would have found."""
    if found.stored is not None:
        return may_use(plan, found.stored.entry) is None
    return found.missed is not httpcache.Reason.VARY_MISMATCH
