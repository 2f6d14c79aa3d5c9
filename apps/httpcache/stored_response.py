"""An entry as a worker holds it: with the bytes of its head ready, so that a hit only adds what is new per call."""

from http import HTTPStatus
from typing import Any

from apps.httpcache.downstream import lifetime, prepared
from apps.httpcache.early_refresh import earliest
from apps.httpcache.entry import CacheEntry
from apps.httpcache.fields import first
from apps.httpcache.messages import Headers

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

NOT_MODIFIED_FIELDS = frozenset(
    {b"cache-control", b"content-location", b"date", b"etag", b"expires", b"last-modified", b"set-cookie", b"vary"}
)
"""What a 304 carries: enough to update the caller's copy (RFC 9110 §15.4.5)."""

OVERHEAD = 2048
"""Bytes that Python needs for an entry besides its body and its head; measured, rounded up."""

BODILESS = frozenset({204, 304})
"""Statuses whose responses end with their head, whatever it says (RFC 9112 §6.3), and so have no ``content-length`` here. A 205
isn't one: it has no content (RFC 9110 §15.3.6), but its framing has to say so, or a client reads the next response as its body.
"""


def render(status: int, headers: Headers) -> bytes:
    """Status line and field lines of an HTTP/1.1 response, without the blank line that ends a head."""
    lines = [b"HTTP/1.1 %d %s\r\n" % (status, _PHRASES.get(status, b""))]
    lines += [b"%s: %s\r\n" % field for field in headers]
    return b"".join(lines)


class StoredResponse:
    """An entry and what is prepared of it.

    ``headers`` are the fields to send, with ``content-length``; ``head`` is their rendered form with the status line,
    without ``age`` and the final blank line. ``told`` is what caches behind the gateway get in place of the
    origin's lifetime. ``early_from`` is when hits begin to think of refreshing it early;
    ``age_zero`` is when the response's age was 0; ``asked_at`` is when the upstream was last asked about it by a call whose
    outcome doesn't show in the entry. ``soft`` is set while a soft purge makes the entry stale;
    ``purges_seen`` is the version of the purge table that last found it alive. ``ready`` is the whole response as the
    server sends it within this second: left here by the server, so that it lives no longer than the entry. ``size`` is
    what it counts in the in-process tier.
    """

    __slots__ = (
        "__weakref__",
        "age_zero",
        "asked_at",
        "early_from",
        "entry",
        "etag",
        "fresh_until",
        "head",
        "headers",
        "last_modified",
        "purges_seen",
        "ready",
        "size",
        "soft",
        "told",
    )

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry
        headers, self.told = prepared(entry.headers, entry.downstream, entry.surrogates)
        if entry.status not in BODILESS:
            headers = (*headers, (b"content-length", b"%d" % len(entry.body)))
        self.headers = headers
        self.head = render(entry.status, headers)
        self.age_zero = entry.received_at - entry.age_at_receipt
        self.fresh_until = entry.fresh_until
        self.early_from = earliest(entry.fresh_until, entry.fetch_seconds)
        self.etag = first(entry.headers, b"etag")
        self.last_modified = first(entry.headers, b"last-modified")
        self.asked_at = 0.0
        self.soft = False
        self.purges_seen = -1
        self.ready: Any = None
        self.size = OVERHEAD + len(entry.body) + 3 * len(self.head)

    def age(self, now: float) -> int:
        """The current age in whole seconds (RFC 9111 §4.2.3, §5.1)."""
        return max(0, int(now - self.age_zero))

    def cache_control(self, now: float, age: int) -> bytes | None:
        """The ``Cache-Control`` that the policy makes of the response as it leaves now; ``None``: it is in ``headers``."""
        if self.told is None:
            return None
        return lifetime(self.told, age, 0.0 if self.soft else self.fresh_until - now)

    def __repr__(self) -> str:
        entry = self.entry
        return f"StoredResponse({entry.status} {entry.api}{entry.path.decode('ascii', 'replace')}, {len(entry.body)} bytes)"
