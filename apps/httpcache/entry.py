"""What is stored for a response.

A ``CacheEntry`` is complete by itself: every number that a hit needs was computed when it was stored, and it carries the
scope, the owner and the rule under which it may be used, so that each hit can check them again.
"""

from dataclasses import dataclass

from apps.httpcache.messages import Headers

PurgeClock = tuple[int, int]
"""(incarnation of the state store, purge clock) that the worker knew when the fetch *began*."""

Selecting = tuple[tuple[bytes, bytes | None], ...]
"""The request fields that ``Vary`` names with their normalised values; ``None``: the request didn't have the field.
"""

MAX_LIFE = 7 * 86400.0
"""Seconds after which an entry is gone, whatever its lifetime: what bounds how long a purge must be remembered."""


@dataclass(slots=True)
class CacheEntry:
    """A stored response. Times are Unix seconds. ``key`` is the primary key under which, or as a variant of which, it
    stands.

    ``fresh_until`` ends *ttl*; ``swr_until`` and the two ``sie_…_until`` end *grace* (served stale while one call
    refreshes it, when the upstream answers 5xx, when it can't be reached); ``keep_until`` ends *keep*: until then it
    may still be validated. ``age_at_receipt`` is the corrected initial age of RFC 9111 §4.2.3. ``validate_always`` is
    the origin's ``no-cache``. ``stale_allowed`` is false where the origin forbids every stale use
    (``must-revalidate`` and its kin).

    ``owner`` is who owns the entry within its ``scope``, ``rule`` why; ``holder`` names the same in words, as far as
    the scope goes (tenant, application, subject), so that what ends a grant can end the entry.
    ``open_to_credentials`` says that calls that forward credentials may use it too (§3.5). ``tags`` are the origin's
    surrogate keys; the tags of its API and path follow from ``api`` and ``path``. ``fetch_seconds`` is how long
    the upstream took. ``personal`` entries are encrypted at rest. ``immutable``: the origin says that the response doesn't change
    while it is fresh (RFC 8246). ``headers`` are the origin's; ``downstream`` and ``surrogates`` say what of them goes to caches
    behind the gateway.
    """

    key: bytes
    status: int
    headers: Headers
    body: bytes
    received_at: float
    validated_at: float
    age_at_receipt: float
    fresh_until: float
    swr_until: float
    sie_5xx_until: float
    sie_unreachable_until: float
    keep_until: float
    validate_always: bool
    stale_allowed: bool
    scope: int
    owner: bytes
    rule: str
    open_to_credentials: bool
    selecting: Selecting
    api: str
    path: bytes
    tags: tuple[str, ...]
    birth: PurgeClock  # of the start of its fetch; the name is part of what Redis holds
    holder: tuple[str, ...] = ()
    fetch_seconds: float = 0.0
    personal: bool = False
    downstream: str = "pass"
    surrogates: bool = False
    immutable: bool = False


@dataclass(slots=True)
class Variants:
    """What stands under a primary key when responses vary.

    ``specs`` are the lists of field names that ``Vary`` gave, the preferred first; ``keys`` the stored variants'
    keys, newest last, which bounds their number. ``tags`` are the entity tags of those that have one, by their keys.
    """

    specs: tuple[tuple[bytes, ...], ...]
    keys: tuple[bytes, ...]
    keep_until: float
    tags: tuple[tuple[bytes, bytes], ...] = ()
