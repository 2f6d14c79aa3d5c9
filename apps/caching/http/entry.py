"""What is stored for an answer, and the form in which a worker holds it ready.

An ``Entry`` is complete by itself: every number that a hit needs was computed when it was stored, and it carries the scope,
the owner and the rule under which it may be used, so that each hit can check them again.
"""

from dataclasses import dataclass, field

from apps.caching.http.messages import Headers

Birth = tuple[int, int]
"""(incarnation of the state store, purge clock) that the worker knew when the fetch *began*."""

Selecting = tuple[tuple[bytes, bytes | None], ...]
"""The request fields that ``Vary`` names with their normalised values; ``None``: the request didn't have the field."""


@dataclass(slots=True)
class Entry:
    """A stored answer. Times are Unix seconds.

    ``fresh_until`` ends *ttl*; ``swr_until`` and the two ``sie_…_until`` end *grace* (served stale while one call refreshes, when
    the upstream answers 5xx, when it can't be reached); ``keep_until`` ends *keep*: until then it may still be validated.
    ``age_at_receipt`` is the corrected initial age of RFC 9111 §4.2.3. ``validate_always`` is the origin's ``no-cache``.
    ``max_stale_allowed`` is false where the origin forbids every stale use (``must-revalidate`` and its kin).
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
    max_stale_allowed: bool
    scope: int
    owner: bytes
    rule: str
    selecting: Selecting
    api: str
    path: bytes
    tags: tuple[str, ...]
    birth: Birth


@dataclass(slots=True)
class Variants:
    """What stands under a primary key when answers vary: the lists of field names seen, the most preferred first."""

    key: bytes
    specs: tuple[tuple[bytes, ...], ...]
    keep_until: float
    tags: tuple[str, ...] = ()
    recent: tuple[bytes, ...] = field(default=())
    """Keys of stored variants, newest last: the bound on variants of one URL."""


Record = Entry | Variants
