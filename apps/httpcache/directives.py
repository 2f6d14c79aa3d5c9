"""``Cache-Control``, read tolerantly (RFC 9111 §5.2).

The rule for odd syntax: what restricts the cache is recognised however it is written; what permits something counts
only where it is well-formed. An invalid or contradictory lifetime makes a response stale (RFC 9111 §4.2.1).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from apps.httpcache.fields import lines_of, members
from apps.httpcache.messages import Headers

FOREVER = 2**31
"""RFC 9111 §1.2.2: a number of seconds too large to hold is taken as this."""

_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(slots=True)
class ResponseDirectives:
    """What an origin's ``Cache-Control`` says. ``None``: not said. Lifetimes in seconds."""

    no_store: bool = False
    no_cache: bool = False
    no_cache_fields: frozenset[bytes] = frozenset()
    private: bool = False
    private_fields: frozenset[bytes] = frozenset()
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    immutable: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """What a caller's ``Cache-Control`` asks. ``max_stale`` without a value is infinite."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None


NO_REQUEST_DIRECTIVES = RequestDirectives()


def delta_seconds(value: bytes | None) -> int | None:
    """A non-negative number of seconds, capped at ``FOREVER``; ``None`` if it is none (RFC 9111 §1.2.2)."""
    if not value or not value.isdigit():
        return None
    return min(int(value), FOREVER) if len(value) < 12 else FOREVER


def parse(lines: list[bytes]) -> list[tuple[bytes, bytes | None]]:
    """The directives of all lines in order: lower-case name, and the value without its quotes (``None`` without
    ``=``).

    White space around ``=``, which the grammar doesn't allow, stays part of the value, so that no number is read from
    it.
    """
    found: list[tuple[bytes, bytes | None]] = []
    for member in members(lines):
        name, equals, value = member.partition(b"=")
        if not equals:
            found.append((name.lower(), None))
            continue
        bare_name = name.rstrip(b" \t")
        if bare_name != name:
            value = b" " + value
        elif len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = _QUOTED_PAIR.sub(rb"\1", value[1:-1])
        found.append((bare_name.lower(), value))
    return found


def _least(known: int | None, value: bytes | None, invalid: int | None) -> int | None:
    """Of a repeated number the smallest counts; an invalid one counts as ``invalid``."""
    number = delta_seconds(value)
    if number is None:
        number = invalid
    if known is None or number is None:
        return number if known is None else known
    return min(known, number)


def _names(value: bytes) -> frozenset[bytes]:
    return frozenset(member.strip(b'" \t').lower() for member in members([value])) - {b""}


def response_directives(headers: Headers) -> ResponseDirectives:
    """Reads the ``Cache-Control`` of a response."""
    lines = lines_of(headers, b"cache-control")
    return directives_from(parse(lines)) if lines else ResponseDirectives()


_FLAGS = {
    b"no-store": "no_store",
    b"public": "public",
    b"must-revalidate": "must_revalidate",
    b"proxy-revalidate": "proxy_revalidate",
    b"must-understand": "must_understand",
    b"immutable": "immutable",
}


def directives_from(pairs: list[tuple[bytes, bytes | None]]) -> ResponseDirectives:
    said = ResponseDirectives()
    no_cache: list[bytes] = []
    private: list[bytes] = []
    for name, value in pairs:
        if name in _FLAGS:
            setattr(said, _FLAGS[name], True)
        elif name == b"no-cache":
            if value is not None and (fields := _names(value)):
                no_cache += fields
            else:
                said.no_cache = True
        elif name == b"private":
            if value is not None and (fields := _names(value)):
                private += fields
            else:
                said.private = True
        elif name == b"max-age":
            said.max_age = _least(said.max_age, value, 0)
        elif name == b"s-maxage":
            said.s_maxage = _least(said.s_maxage, value, 0)
        elif name == b"stale-while-revalidate":
            said.stale_while_revalidate = _least(said.stale_while_revalidate, value, None)
        elif name == b"stale-if-error":
            said.stale_if_error = _least(said.stale_if_error, value, None)
    if no_cache or private:
        said.no_cache_fields, said.private_fields = frozenset(no_cache), frozenset(private)
    return said


@lru_cache(maxsize=256)
def _request_directives(line: bytes) -> RequestDirectives:
    no_cache = no_store = only_if_cached = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None
    for name, value in parse([line]):
        if name == b"no-cache":
            no_cache = True
        elif name == b"no-store":
            no_store = True
        elif name == b"only-if-cached":
            only_if_cached = True
        elif name == b"max-age":
            max_age = _least(max_age, value, 0)
        elif name == b"min-fresh":
            number = delta_seconds(value)
            if number is not None:
                min_fresh = max(min_fresh or 0, number)
        elif name == b"max-stale":
            number = delta_seconds(value)
            limit = float("inf") if value is None else number
            if limit is not None:
                max_stale = limit if max_stale is None else min(max_stale, limit)
    return RequestDirectives(no_cache, no_store, only_if_cached, max_age, min_fresh, max_stale)


def request_directives(cache_control: bytes | None, pragma: bytes | None) -> RequestDirectives:
    """Reads a caller's ``Cache-Control``; ``Pragma: no-cache`` counts where there is none (RFC 9111 §5.4)."""
    if cache_control is not None:
        return (
            _request_directives(cache_control)
            if len(cache_control) < 512
            else _request_directives.__wrapped__(cache_control)
        )
    if pragma is not None and any(member.lower() == b"no-cache" for member in members([pragma])):
        return RequestDirectives(no_cache=True)
    return NO_REQUEST_DIRECTIVES
