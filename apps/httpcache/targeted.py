"""Targeted cache control (RFC 9213): what an origin says to this gateway, or to CDNs, goes before what it says to
everyone.

The first of our target list that is present, not empty and a valid Structured Fields dictionary replaces
``Cache-Control`` and ``Expires`` whole; an invalid one is ignored.

Behind these comes the older ``Surrogate-Control`` (W3C Edge Architecture), where it says how long a surrogate may keep the
response (``max-age``, with what may be stale behind a ``+``) or that it may not (``no-store``). What it says of processing
(``content``) is for surrogates that can.
"""

import re
from dataclasses import dataclass

from apps.httpcache.directives import FOREVER, ResponseDirectives, directives_from, response_directives
from apps.httpcache.fields import lines_of, members
from apps.httpcache.messages import Headers

TARGETS = (b"apimgr-cache-control", b"cdn-cache-control")
"""Ours first, then the one for any CDN."""

_KEY = re.compile(rb"[a-z*][a-z0-9_.*-]*")
_ITEM = re.compile(
    rb'(?P<integer>-?\d{1,15})(?![\d.])|(?P<decimal>-?\d{1,12}\.\d{1,3})(?!\d)|(?P<string>"(?:[ !#-\[\]-~]|\\["\\])*")'
    rb"|(?P<token>[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)|(?P<binary>:[A-Za-z0-9+/=]*:)|\?(?P<boolean>[01])"
)
_LIST = re.compile(rb"\([^()]*\)")
_PARAMETERS = re.compile(
    rb"(?:; *" + _KEY.pattern + rb"(?:=(?:" + re.sub(rb"\?P<\w+>", rb"?:", _ITEM.pattern) + rb"))?)*"
)
_COMMA = re.compile(rb"[ \t]*,[ \t]*")
_ESCAPED = re.compile(rb"\\(.)")


_SURROGATE = re.compile(rb"(no-store|max-age=(\d++)(?:\+(\d++))?)(?:;[ \t]*+(.*))?", re.IGNORECASE)


@dataclass(slots=True)
class Governing:
    """The directives in force, and the fields from which freshness is computed: without those that a targeted field
    replaces.
    """

    directives: ResponseDirectives
    headers: Headers


def dictionary(text: bytes) -> dict[bytes, bytes | int | bool] | None:
    """Reads a Structured Fields dictionary (RFC 9651 §4.2.2); ``None`` if it is none. Of a repeated key the last
    counts.

    Integers and Booleans come as such, strings and tokens as bytes, and every other type as ``False``, which no
    directive takes.
    """
    found: dict[bytes, bytes | int | bool] = {}
    text = text.strip(b" ")
    position = 0
    while position < len(text):
        key = _KEY.match(text, position)
        if key is None:
            return None
        position = key.end()
        value: bytes | int | bool = True
        if text[position : position + 1] == b"=":
            item = _ITEM.match(text, position + 1)
            inner = None if item else _LIST.match(text, position + 1)
            if item is not None:
                position = item.end()
                value = _value(item)
            elif inner is not None:
                position = inner.end()
                value = False
            else:
                return None
        parameters = _PARAMETERS.match(text, position)
        position = parameters.end() if parameters else position
        found.pop(key[0], None)
        found[key[0]] = value
        if position == len(text):
            return found
        comma = _COMMA.match(text, position)
        if comma is None or comma.end() == len(text):
            return None
        position = comma.end()
    return found


def _value(item: re.Match[bytes]) -> bytes | int | bool:
    if item["integer"] is not None:
        return int(item["integer"])
    if item["string"] is not None:
        return _ESCAPED.sub(rb"\1", item["string"][1:-1])
    if item["token"] is not None:
        return item["token"]
    return item["boolean"] == b"1"


_NUMERIC = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})


def _as_pairs(said: dict[bytes, bytes | int | bool]) -> list[tuple[bytes, bytes | None]] | None:
    pairs: list[tuple[bytes, bytes | None]] = []
    for name, value in said.items():
        if name in _NUMERIC:
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            pairs.append((name, b"%d" % min(value, FOREVER)))
        elif value is True:
            pairs.append((name, None))
        elif isinstance(value, bytes):
            pairs.append((name, value))
    return pairs


def directives_for(headers: Headers) -> Governing:
    """The directives that govern this cache (RFC 9213 §2.2)."""
    for target in TARGETS:
        lines = lines_of(headers, target)
        if not lines:
            continue
        said = dictionary(b", ".join(lines))
        pairs = _as_pairs(said) if said else None
        if pairs:
            return _governed_by(pairs, headers)
    pairs = surrogate_directives(lines_of(headers, b"surrogate-control"))
    return _governed_by(pairs, headers) if pairs else Governing(response_directives(headers), headers)


def _governed_by(pairs: list[tuple[bytes, bytes | None]], headers: Headers) -> Governing:
    return Governing(directives_from(pairs), tuple(pair for pair in headers if pair[0] != b"expires"))


def surrogate_directives(lines: list[bytes]) -> list[tuple[bytes, bytes | None]]:
    """What ``Surrogate-Control`` says of keeping the response, as directives; a directive for another surrogate
    (``;name``) isn't ours, and one that names us goes before one for all.
    """
    for_all: list[tuple[bytes, bytes | None]] = []
    for_us: list[tuple[bytes, bytes | None]] = []
    for member in members(lines):
        found = _SURROGATE.fullmatch(member)
        if found is None or (found[4] is not None and found[4].strip(b" \t").lower() != b"apimgr"):
            continue
        said = for_all if found[4] is None else for_us
        if found[2] is None:
            said.append((b"no-store", None))
            continue
        said.append((b"max-age", found[2]))
        if found[3] is not None:
            said.append((b"stale-while-revalidate", found[3]))
    return for_us or for_all
