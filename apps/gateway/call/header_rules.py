"""What an API's rules for header fields make of a request's or a response's fields."""

from collections.abc import Collection, Sequence

from apps.gateway.call.withheld_keys import plants_session
from apps.wire.snapshot import HeaderRules

Fields = tuple[tuple[bytes, bytes], ...]

FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"trailer", b"te"})
"""Fields that say where a message ends: no rule's to change."""

OF_OWN_RESPONSES = FRAMING | frozenset(
    b"allow content-encoding content-range content-type date location retry-after www-authenticate "
    # How long it may be kept, by any cache: what is meant for one client is no other's. The targeted fields of CDNs (RFC 9213)
    # stand above Cache-Control.
    b"age cache-control etag expires last-modified apimgr-cache-control akamai-cache-control cdn-cache-control "
    b"cloudflare-cdn-cache-control edge-control fastly-cache-control netlify-cdn-cache-control surrogate-control "
    b"vercel-cdn-cache-control x-accel-expires x-litespeed-cache-control".split()
)
"""Fields of the gateway's own responses (refusals, redirects) that say what these are: no rule's to change either."""


def ruled(fields: Sequence[tuple[bytes, bytes]], rules: HeaderRules, fixed: Collection[bytes] = FRAMING) -> Fields:
    """Fields after an API's header rules: removed first, then set in place of what was there; ``fixed`` stay as they are."""
    if not rules.set and not rules.remove:
        return tuple(fields)
    given = tuple((name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in rules.set)
    given = tuple([pair for pair in given if pair[0] not in fixed and not plants_session(*pair)])
    gone = ({name.lower().encode("latin-1") for name in rules.remove} | {name for name, _ in given}).difference(fixed)
    return (*(pair for pair in fields if pair[0] not in gone), *given)
