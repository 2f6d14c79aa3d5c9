"""Header fields: lists, hop-by-hop and per-call fields, and what of a head may be stored (RFC 9110 §5.6.1, §7.6.1;
RFC 9111 §3.1).
"""

import re
from collections.abc import Callable, Collection, Iterable

from apps.httpcache.messages import Headers

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
"""Fields that say something of one call; a stored response gets them anew."""

METHOD_OVERRIDES = frozenset({b"x-http-method", b"x-http-method-override", b"x-method", b"x-method-override"})
"""Request fields by which frameworks take a call for one of another method."""

UNKEYED_ECHOES = METHOD_OVERRIDES | frozenset(
    # Which host, scheme and path the caller meant: repeated in links, redirects and scripts.
    b"x-forwarded-by x-forwarded-context x-forwarded-host x-forwarded-path x-forwarded-port x-forwarded-prefix "
    b"x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-forwarded-uri "
    b"x-forwarded-url x-host x-http-host-override x-original-host x-backend-host x-proxy-host x-scheme x-url-scheme "
    b"front-end-https base-url http-url proxy-host proxy-url request-uri uri x-proxy-url x-wap-profile "
    # Another path than the one that is routed and keyed.
    b"x-original-path x-original-uri x-original-url x-rewrite-uri x-rewrite-url x-override-url x-http-path-override "
    b"x-http-destinationurl x-envoy-original-host x-envoy-original-path x-accel-mapping x-sendfile-type "
    # Another method (what the upstream did with it before us).
    b"x-original-method "
    # What a framework says to itself.
    b"x-invoke-error x-invoke-output x-invoke-path x-invoke-query x-invoke-status x-matched-path "
    b"x-middleware-prefetch x-middleware-rewrite x-middleware-subrequest x-nextjs-data x-now-route-matches "
    b"x-react-router-spa-mode x-react-router-prerender-data x-astro-path x-astro-locals "
    # What a cache can put together from parts: this one can't.
    b"surrogate-capability".split()
)
"""Request fields that frameworks act on or echo, known from research on cache poisoning (Kettle, "Practical web cache
poisoning", 2018; Nguyen and others, "Your cache has fallen", 2019; advisories since). On a cacheable call they are
removed unless the policy puts them in the key.
"""

PROXY_FIELDS = re.compile(
    rb"x-forwarded-.*|forwarded|x-real-ip|(?:x-|ssl-|x-ssl-)?client-cert(?:-.*)?|x-arr-clientcert"
    rb"|(?:true-|x-)?client-ip|(?:cf-|fastly-|x-)?connecting-ip|fastly-client-ip|x-cluster-client-ip"
    rb"|x-original-forwarded-for|x-custom-ip-authorization"
)
"""Names of request fields that proxies set on the way and applications believe: from anyone but a trusted proxy they are
removed.
"""


class NameTable(dict[bytes, int]):
    """What ``judge`` says of each name of a field, remembered, and read as a dictionary: without a call. At most 2,048 names of at
    most 64 bytes, which is less than half a MiB; names are few, but clients choose them.
    """

    def __init__(self, judge: Callable[[bytes], int]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, name: bytes) -> int:
        found = self._judge(name)
        if len(name) <= 64:
            if len(self) >= 2048:
                self.clear()
            self[name] = found
        return found


# Quoted strings that are closed, and what is around them: where this ends, a quote stands that is never closed.
_CLOSED = re.compile(rb'[^"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"]*+)*+', re.DOTALL)
# Within that, a member is anything but a comma, where a quoted string may hold commas.
_MEMBER = re.compile(
    rb'[^,"]++(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^,"]*+)*+|(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^,"]*+)++', re.DOTALL
)


def members(lines: Iterable[bytes]) -> list[bytes]:
    """The members of a list field over all its lines, without empty ones and the white space around them (RFC 9110
    §5.6.1).

    A quote that is never closed is an ordinary character, so that what follows it can't be hidden; and so is every one
    behind it, since only an escape hid it from the first. So each byte is looked at twice at most.
    """
    found = []
    for line in lines:
        if b'"' not in line or b"," not in line:
            parts = line.split(b",")
        elif line.count(b'"') % 2 or b"\\" in line:
            parts = _doubtful_members(line)
        else:
            parts = _MEMBER.findall(line)
        found += [member for part in parts if (member := part.strip(b" \t"))]
    return found


def _doubtful_members(line: bytes) -> list[bytes]:
    """The members of a line in which a quote may never be closed."""
    match = _CLOSED.match(line)
    end = match.end() if match is not None else 0
    parts = _MEMBER.findall(line, 0, end)
    if end < len(line):
        begun = parts.pop() if parts and line[end - 1 : end] != b"," else b""
        head, *rest = line[end:].split(b",")
        parts += [begun + head, *rest]
    return parts


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
