"""What the gateway says of a call in ``Cache-Status`` (RFC 9211) and ``X-Cache``."""

from apps.httpcache.reasons import Reason

HIT, MISS, STALE, REVALIDATED, BYPASS = b"HIT", b"MISS", b"STALE", b"REVALIDATED", b"BYPASS"
"""The values of ``X-Cache``. Refusals and the gateway's own errors are ``BYPASS``; a call that waited for another's
fetch is ``MISS``.
"""

_FORWARDED = {
    Reason.NOT_FOUND: b"uri-miss",
    Reason.VARY_MISMATCH: b"vary-miss",
    Reason.METHOD: b"method",
    Reason.EXPIRED: b"stale",
    Reason.SOFT_PURGED: b"stale",
    Reason.ALWAYS_VALIDATE: b"stale",
    Reason.PURGED: b"miss",
    Reason.SCOPE_MISMATCH: b"miss",
    Reason.AUTHORIZATION: b"miss",
    Reason.INVALID_VALIDATION: b"miss",
    Reason.REQUEST_NO_CACHE: b"request",
    Reason.REQUEST_MAX_AGE: b"request",
    Reason.REQUEST_MIN_FRESH: b"request",
    Reason.RANGE_NOT_STORED: b"partial",
}


def forwarded_because(reason: Reason) -> bytes:
    """The ``fwd`` token for the reason why a call went to the upstream; ``bypass`` for everything that isn't the
    stored response's doing.
    """
    return _FORWARDED.get(reason, b"bypass")


def cache_status(
    *,
    hit: bool = False,
    forwarded: Reason | None = None,
    upstream_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    key: str = "",
    detail: Reason | None = None,
) -> bytes:
    """One member of ``Cache-Status``: ``apimgr;hit;ttl=52`` or ``apimgr;fwd=uri-miss;fwd-status=200;stored``.

    ``forwarded`` is why the call went upstream, ``upstream_status`` what came back. ``ttl`` is the remaining
    freshness in whole seconds, negative for a stale response. ``key`` and ``detail`` are for those whom the policy's
    ``debug_headers`` allows to see them.
    """
    if hit:
        text = b"apimgr;hit" if ttl is None else b"apimgr;hit;ttl=%d" % ttl
    else:
        text = b"apimgr;fwd=" + (forwarded_because(forwarded) if forwarded is not None else b"bypass")
        if upstream_status is not None:
            text += b";fwd-status=%d" % upstream_status
        if ttl is not None:
            text += b";ttl=%d" % ttl
        if stored:
            text += b";stored"
        if collapsed:
            text += b";collapsed"
    if key:
        text += b';key="%s"' % key.encode("ascii")
    if detail is not None:
        text += b";detail=" + detail.code.encode("ascii")
    return text
