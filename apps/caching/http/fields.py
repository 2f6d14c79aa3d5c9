"""Header fields: lists, hop-by-hop and per-call fields, and what of a head may be stored (RFC 9110 §5.6.1, §7.6.1;
RFC 9111 §3.1).
"""

import re
from collections.abc import Collection, Iterable

from apps.caching.http.messages import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that belong to one connection and are neither forwarded nor stored."""

PER_CALL = frozenset(
    {
        b"age",
        b"ratelimit",
        b"ratelimit-limit",
        b"ratelimit-policy",
        b"ratelimit-remaining",
        b"ratelimit-reset",
        b"server-timing",
        b"traceparent",
        b"tracestate",
        b"x-cache",
        b"x-call-id",
        b"x-request-id",
    }
)
"""Fields that say something of one call; a stored answer gets them anew."""

UNKEYED_ECHOES = frozenset(
    {
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-url",
        b"x-rewrite-url",
    }
)
"""Request fields that frameworks act on or echo. On a cacheable call they are removed unless the policy puts them in
the key.
"""

# A member is anything but a comma, where a quoted string may hold commas. A quote that is never closed is an ordinary character,
# so that what follows it can't be hidden.
_MEMBER = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,])+', re.DOTALL)


def members(lines: Iterable[bytes]) -> list[bytes]:
    """The members of a list field over all its lines, without empty ones and the white space around them (RFC 9110
    §5.6.1).
    """
    found = []
    for line in lines:
        if b'"' not in line:
            found += [member for part in line.split(b",") if (member := part.strip(b" \t"))]
        else:
            found += [member for part in _MEMBER.findall(line) if (member := part.strip(b" \t"))]
    return found


def lines_of(headers: Headers, name: bytes) -> list[bytes]:
    """The values of all lines of one field."""
    return [value for field, value in headers if field == name]


def first(headers: Headers, name: bytes) -> bytes | None:
    """The value of a field's first line, or ``None``."""
    for field, value in headers:
        if field == name:
            return value
    return None


def connection_listed(headers: Headers) -> frozenset[bytes]:
    """Names that ``Connection`` declares hop-by-hop for this message."""
    lines = lines_of(headers, b"connection")
    return frozenset(member.lower() for member in members(lines)) if lines else frozenset()


def without(headers: Headers, *unwanted: Collection[bytes]) -> Headers:
    """The fields whose names are in none of the collections."""
    names = frozenset().union(*unwanted)
    return tuple(pair for pair in headers if pair[0] not in names)


def end_to_end(headers: Headers, *unwanted: Collection[bytes]) -> Headers:
    """The fields that outlive a connection, without those in ``unwanted``."""
    return without(headers, HOP_BY_HOP, connection_listed(headers), *unwanted)
