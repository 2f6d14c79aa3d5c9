"""Reading purges, and what the two tiers hold, scoped to who asks."""

from dataclasses import dataclass
from datetime import datetime

from apps.caching.policies import applications_explainable_by, purges_visible_to
from apps.tenants.actors import Actor

__all__ = [
    "CacheTiers",
    "LocalTier",
    "SharedTier",
    "StoredSize",
    "applications_explainable_by",
    "cache_tiers",
    "purges_visible_to",
]


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
    """What of one API's answers is in the shared tier, or of one tenant's: then ``api`` is empty. ``evictions``
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
    raise NotImplementedError
