"""What the two tiers of cached responses hold: for the console, the REST API and for sizing an installation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice

from django.conf import settings

from apps.cachestore.backend import bounds
from apps.cachestore.eviction import PREFIX
from apps.fleet import state
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator, tenants_of
from apps.wire import worker_reports
from apps.wire.redis_client import AWAY, Client, connect

QUIET = 5.0
"""Seconds without a heartbeat after which a worker no longer counts as alive here."""

TIMEOUT = 1.0
"""Seconds that the cache server gets to say what it holds."""

LOOKED_AT = 1000
"""The largest of the tenants, of a tenant's APIs and of an API's callers that are counted: what a page may cost."""


@dataclass(frozen=True)
class LocalTier:
    """One worker's own tier, as it last said. ``capacity`` and ``bytes`` are bytes; ``evictions`` counts since it
    started.
    """

    worker: str
    node: str
    number: int
    bytes: int
    capacity: int
    entries: int
    evictions: int
    heard: datetime
    alive: bool


@dataclass(frozen=True)
class SharedTier:
    """The cache server. ``used`` and ``maximum`` are the server's own figures in bytes (``maximum`` 0: no bound);
    ``booked`` is what entries take by the books, ``bound`` where the books begin to evict (0: nowhere).
    ``evictions`` are those by the books, to keep a bound; ``server_evictions`` those of the server itself, for lack of
    memory. ``hits`` and ``misses`` are the server's own, since it started.
    """

    used: int
    maximum: int
    policy: str
    keys: int
    booked: int
    bound: int
    entries: int
    evictions: int
    server_evictions: int
    expired: int
    hits: int
    misses: int


@dataclass(frozen=True)
class StoredSize:
    """What of one API's responses is in the shared tier, or of one tenant's: then ``api`` is empty. ``evictions``
    are those made to keep a bound.
    """

    tenant: str
    api: str
    bytes: int
    entries: int
    evictions: int


@dataclass(frozen=True)
class CacheTiers:
    """Both tiers now. ``shared`` is ``None`` while the cache server is away. ``tenants`` and ``apis`` are the
    largest first.
    """

    local: tuple[LocalTier, ...]
    shared: SharedTier | None
    tenants: tuple[StoredSize, ...]
    apis: tuple[StoredSize, ...]


def cache_tiers(user: Actor | None, *, most: int = 100) -> CacheTiers:
    """What the tiers hold: everything for an administrator; for others the sizes of their own tenants' APIs alone,
    and no servers. ``most`` bounds ``tenants`` and ``apis`` each. Never raises for a part that is away.
    """
    everything = is_administrator(user)
    tenants = None if everything else [tenant.slug for tenant in tenants_of(user)]
    redis = _client(settings.CACHE_REDIS_URL)
    try:
        owners, apis = _sizes(redis, tenants)
        shared = _shared(redis, sum(owner.entries for owner in owners)) if everything else None
    except AWAY:
        owners, apis, shared = [], [], None
    return CacheTiers(_local() if everything else (), shared, tuple(owners[:most]), tuple(apis[:most]))


@lru_cache(maxsize=4)
def _client(url: str) -> Client:
    return connect(url, timeout=TIMEOUT)


def _local() -> tuple[LocalTier, ...]:
    try:
        now, heard = worker_reports.read(state.client())
    except AWAY:
        return ()
    return tuple(
        LocalTier(
            worker=each.worker,
            node=each.report.node,
            number=each.report.number,
            bytes=each.report.l1.bytes,
            capacity=each.report.l1.capacity,
            entries=each.report.l1.entries,
            evictions=each.report.l1.evictions,
            heard=datetime.fromtimestamp(each.at, UTC),
            alive=now - each.at < QUIET,
        )
        for each in heard
    )


def _shared(redis: Client, entries: int) -> SharedTier:
    info = redis.info()
    booked, evictions = redis.hmget(PREFIX + "sums", "bytes", "evictions")
    maximum = int(info.get("maxmemory", 0))
    return SharedTier(
        used=int(info["used_memory"]),
        maximum=maximum,
        policy=str(info.get("maxmemory_policy", "")),
        keys=redis.dbsize(),
        booked=int(booked or 0),
        bound=bounds(maximum).all,
        entries=entries,
        evictions=int(evictions or 0),
        server_evictions=int(info.get("evicted_keys", 0)),
        expired=int(info.get("expired_keys", 0)),
        hits=int(info.get("keyspace_hits", 0)),
        misses=int(info.get("keyspace_misses", 0)),
    )


def _sizes(redis: Client, tenants: Sequence[str] | None) -> tuple[list[StoredSize], list[StoredSize]]:
    """By tenant and by API, the largest first, from the books: four exchanges, whatever is stored. ``None``: of all
    tenants.
    """
    if tenants is None:
        tenants = [name.decode() for name in redis.zrevrange(PREFIX + "tenants", 0, LOOKED_AT - 1)]
    largest = redis.pipeline(transaction=False)
    for tenant in tenants:
        largest.zrevrange(f"{PREFIX}apis:{tenant}", 0, LOOKED_AT - 1, withscores=True)
    found = [
        (tenant, name.decode(), int(size))
        for tenant, apis in zip(tenants, largest.execute(), strict=True)
        for name, size in apis
    ]
    callers = redis.pipeline(transaction=False)
    for tenant, api, _ in found:
        callers.zrevrange(f"{PREFIX}callers:{tenant}/{api}", 0, LOOKED_AT - 1)
        callers.hget(PREFIX + "evictions", f"{tenant}/{api}")
    said = callers.execute()
    counts = redis.pipeline(transaction=False)
    for numbers in said[::2]:
        for number in numbers:
            counts.zcard(f"{PREFIX}of:{number.decode()}")
    counted = iter(counts.execute())
    by_api = [
        StoredSize(tenant, api, size, sum(islice(counted, len(numbers))), int(evictions or 0))
        for (tenant, api, size), numbers, evictions in zip(found, said[::2], said[1::2], strict=True)
    ]
    by_tenant: dict[str, StoredSize] = {}
    for each in by_api:
        known = by_tenant.get(each.tenant, StoredSize(each.tenant, "", 0, 0, 0))
        by_tenant[each.tenant] = StoredSize(
            each.tenant,
            "",
            known.bytes + each.bytes,
            known.entries + each.entries,
            known.evictions + each.evictions,
        )
    return _largest_first(by_tenant.values()), _largest_first(by_api)


def _largest_first(sizes: Iterable[StoredSize]) -> list[StoredSize]:
    return sorted(sizes, key=lambda size: (-size.bytes, size.tenant, size.api))
