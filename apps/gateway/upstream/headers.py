"""The header fields that go to an upstream, and those of its response that go to the client. Pure.

Hop-by-hop fields go no further (RFC 9110 §7.6.1); who called stands in ``Forwarded`` and ``X-Forwarded-*``; the API's
header rules come last.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from time import time

from apps.gateway.call.call import Call
from apps.gateway.call.header_rules import FRAMING, ruled
from apps.gateway.call.responses import date
from apps.gateway.upstream.rewriting import rewritten
from apps.httpcache import CacheEntry
from apps.httpcache.downstream import as_stored, passed_down
from apps.httpcache.fields import end_to_end
from apps.httpcache.stored_response import BODILESS
from apps.wire.listen_paths import path_at
from apps.wire.snapshot import API, CLIENT_HOST, HeaderRules, Upstream

Fields = tuple[tuple[bytes, bytes], ...]

_REPLACED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"content-length", b"host"}
)
_FOR = re.compile(rb'(?i)for=("[^"]*"|[^;,\s]+)')
_OURS = frozenset({b"x-request-id", b"x-call-id", b"x-cache", b"alt-svc"})
_LIMITS = frozenset({b"ratelimit", b"ratelimit-policy"})


def upstream_fields(x: Call, conditional: Fields) -> list[tuple[bytes, bytes]]:
    """The fields to send upstream, without ``Host`` and framing; ``conditional`` are the cache's conditions.

    What is the same for each call with this head is made once.
    """
    head_memo = x.head_memo if not conditional else None
    if head_memo is not None and head_memo.forwarded is not None and head_memo.forwarded[0] == x.client:
        fields = list(head_memo.forwarded[1])
    else:
        made = _fields_of_head(x, x.cache_plan.upstream_headers(conditional))
        if head_memo is not None and _bytes(made) <= _bytes(x.headers) + ADDED:
            head_memo.forwarded = (x.client, made)
        fields = list(made)
    if not _rules(x.api.request_headers, b"x-request-id"):
        fields.append((b"x-request-id", x.request_id.encode()))
    if x.body is not None:
        length = len(x.read_ahead.whole) if x.read_ahead and x.read_ahead.whole is not None else x.body.length
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
    return fields


ADDED = 1024
"""Bytes by which what is sent may be longer than what came, if it is to be remembered."""


def _bytes(fields: Fields) -> int:
    return sum(len(name) + len(value) for name, value in fields)


def _rules(rules: HeaderRules, name: bytes) -> bool:
    """Whether the rules have a say about a field."""
    text = name.decode()
    return any(text == each.lower() for each in (*rules.remove, *(given for given, _ in rules.set)))


def _fields_of_head(x: Call, planned: Fields) -> Fields:
    """The path that a trusted proxy declared is continued; what others say of it was removed with the call's head."""
    fields = [pair for pair in planned if pair[0] not in _REPLACED]
    way = [value for name, value in x.request_headers if name == b"x-forwarded-for"]
    if not way:
        way = [
            node.strip(b'"')
            for name, value in x.request_headers
            if name == b"forwarded"
            for node in _FOR.findall(value)
        ]
    if x.client:
        way.append(x.client.encode())
    if way:
        fields.append((b"x-forwarded-for", b", ".join(way)))
    fields.append((b"x-forwarded-proto", x.scheme.encode()))
    # Only the host that is in the cache's key: an origin that echoes another one would poison the entry.
    if x.told_host:
        fields.append((b"x-forwarded-host", x.told_host))
    said = b'host="%b";proto=%b' % (x.told_host, x.scheme.encode())
    nodes = [node.strip() for value in way for node in value.split(b",")][-MOST_NODES:]
    fields.append((b"forwarded", b", ".join(b"for=%b;%b" % (_node(node), said) for node in nodes or [b""])))
    fields.append((b"via", b"%b apimgr" % x.version.encode()))
    return ruled(fields, x.api.request_headers)


MOST_NODES = 16
"""Nodes of the path that ``Forwarded`` names, the nearest: each repeats the host, and clients choose how many there are before the
trusted ones. ``X-Forwarded-For`` has all of them.
"""

LONGEST_ADDRESS = 64
"""Bytes of what can be an address; nothing longer is remembered."""


def _node(client: bytes) -> bytes:
    """An address as ``Forwarded`` has it (RFC 7239 §6)."""
    return _remembered_node(client) if len(client) <= LONGEST_ADDRESS else b"unknown"


@lru_cache(maxsize=4096)
def _remembered_node(client: bytes) -> bytes:
    try:
        address = ipaddress.ip_address(client.decode("latin-1").strip("[]"))
    except ValueError:
        return b"unknown"
    return b'"[%b]"' % address.compressed.encode() if address.version == 6 else client


def response_fields(
    x: Call, api: API, status: int, fields: Sequence[tuple[bytes, bytes]], entry: CacheEntry | None = None
) -> Fields:
    """The fields of an upstream's response as the caller gets them; ``own_lines`` of the response come on top. ``entry`` is
    what the response is being stored as.
    """
    kept = end_to_end(tuple(fields), _OURS if not x.limit_lines else _OURS | _LIMITS)
    if status in BODILESS:
        kept = tuple(pair for pair in kept if pair[0] != b"content-length")
    if not any(name == b"date" for name, _ in kept):
        kept = (*kept, (b"date", date()))
    kept = passed_down(kept, x.cache_plan.policy) if entry is None else as_stored(kept, entry, time())
    return ruled(kept, api.response_headers)


def interim_fields(api: API, fields: Sequence[tuple[bytes, bytes]]) -> Fields:
    """The fields of an interim response as the caller gets them: hints, so without cookies and without length."""
    gone = {name.lower().encode("latin-1") for name in api.response_headers.remove}
    return end_to_end(tuple(fields), _OURS | _LIMITS | FRAMING, gone, {b"set-cookie", b"set-cookie2"})


def upstream_target(api: API, base: bytes, endpoint: bytes, path: bytes, query: bytes | None) -> bytes:
    """The request target: the upstream's own path (``base``), then the call's (``path`` is below the listen path, with a leading
    slash). The API's ``/`` is the path of the upstream's URL to the letter (``endpoint``), where the listen path has no slash at
    its end.
    """
    if api.rewrite:
        path = rewritten(api.rewrite, path)
    if api.strip_listen_path:
        whole = base + path if path != b"/" or api.listen_path.endswith("/") else endpoint
    else:
        whole = base + path_at(api.listen_path, path.decode("latin-1")).encode("latin-1")
    return whole if query is None else b"%b?%b" % (whole, query)


def host_field(x: Call) -> bytes:
    """The ``Host`` that an API with a ``host_header`` sends: the client's, which is in the cache's key, or always the same."""
    return x.told_host if x.api.host_header == CLIENT_HOST else x.api.host_header.encode()


def ordered(upstreams: Sequence[Upstream], chance: float) -> list[Upstream]:
    """Upstreams in the order to try them: one chosen by weight (``chance`` is in [0, 1)), then the others by weight."""
    if len(upstreams) == 1:
        return list(upstreams)
    rest = sorted(upstreams, key=lambda each: -each.weight)
    point = chance * sum(each.weight for each in rest)
    for each in rest:
        point -= each.weight
        if point < 0:
            return [each, *(other for other in rest if other is not each)]
    return rest
