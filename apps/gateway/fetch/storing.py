"""From a complete response to a stored one: the only way by which what an upstream said becomes an entry."""

from dataclasses import replace

from apps import httpcache
from apps.cachestore.fetch_lock import FetchLease, LockState
from apps.cachestore.store import ResponseStore
from apps.gateway.call.call import Call
from apps.gateway.call.header_rules import ruled


async def keep(
    store: ResponseStore,
    x: Call,
    plan: httpcache.RequestPlan,
    entry: httpcache.CacheEntry,
    body: bytes,
    lease: FetchLease | None = None,
) -> httpcache.StoredResponse:
    """Store ``entry`` with its whole ``body``, as the API's header rules want it, in both tiers; as it is held here.

    With a ``lease`` it is stored only while the fetch lock is held under it, and the lease is over then. ``entry``
    itself stays as it is: the callers who wait still get it. GraphQL that reports errors is stored nowhere.
    """
    entry = replace(entry, headers=ruled(entry.headers, x.api.response_headers), body=body)
    if httpcache.reports_errors(entry, plan.policy):
        if lease is not None:
            store.locks.leave(lease, LockState.BESIDE)
        return httpcache.StoredResponse(entry)
    httpcache.add_tags(entry, plan.policy, x.operation)
    return await store.put(plan, entry, lease)
