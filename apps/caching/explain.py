"""What the cache would do with a request that somebody typed: the key in parts, the decision with its reason, and the
nearest stored answer with what differs. Nothing is called, stored or counted.

The decision is the gateways' own: the same core, with the API's policy as it is compiled for them, over what the shared
tier holds now. What single workers hold besides is theirs to know.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.access.models import Application
from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.tenants.actors import Actor


@dataclass(frozen=True)
class Part:
    """One part of a cache key: ``label`` as in ``apps.caching.http.keys``, ``value`` fit to be shown."""

    label: str
    value: str


@dataclass(frozen=True)
class Difference:
    """One part in which a stored answer's key isn't the request's: ``wanted`` is the request's."""

    label: str
    wanted: str
    stored: str


@dataclass(frozen=True)
class Stored:
    """A stored answer, without its body: times in Unix seconds. ``state`` is ``fresh``, ``stale`` or ``purged``.

    ``scope`` is among whom it may be shared, ``holder`` whose it is in words (tenant, application), as far as whoever
    asks may know; ``rule`` is why it may be shared so.
    """

    key: str
    status: int
    state: str
    stored_at: float
    fresh_until: float
    keep_until: float
    size: int
    scope: str
    holder: str
    rule: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Nearest:
    """The stored answer under the same path that differs in the fewest parts."""

    stored: Stored
    differences: tuple[Difference, ...]
    others: int
    """How many more are stored under this path, as far as whoever asks may see them."""


@dataclass(frozen=True)
class Explanation:
    """What would become of a request, and why.

    ``result`` is ``HIT``, ``STALE``, ``REVALIDATED`` (the upstream would be asked whether the stored answer is still
    right), ``MISS``, ``BYPASS`` or ``REFUSED`` (it never reaches the cache); ``reason`` is a code of
    ``apps.caching.http.Reason`` or of a refusal, ``sentence`` says it to people. ``forwarded`` is the path and query
    that the upstream would see. ``stored`` is what stands under the key, ``nearest`` another stored answer; either may
    be missing.
    """

    api: str
    method: str
    url: str
    application: str
    result: str
    reason: str
    sentence: str
    key: str
    parts: tuple[Part, ...]
    forwarded: str
    stored: Stored | None = None
    nearest: Nearest | None = None


def explain(
    *,
    actor: Actor,
    url: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    application: Application | None = None,
    api: API | None = None,
    policy: CachePolicy | None = None,
) -> Explanation:
    """Explain one request as ``application`` (``None``: nobody) would make it.

    ``url`` is a URL of the gateway, or a path with its query as callers send it, listen path included; without a host
    it is the gateway's own address, or the ``Host`` among ``headers``. Given an ``api``, the URL must lead to it.
    ``policy`` is tried in place of the API's own, unsaved or not.

    Raises ``ValidationError`` by field (``url``, ``method``, ``headers``, ``application``), ``PermissionDenied``, and
    ``Unavailable`` when the cache or the state can't be reached.
    """
    raise NotImplementedError
