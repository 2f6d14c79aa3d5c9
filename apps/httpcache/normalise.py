"""One form for paths, queries and negotiation fields, so that what is keyed is what is forwarded (RFC 3986 §6.2, RFC
9111 §4.1).

Only unreserved characters are decoded. An encoded slash stays encoded: to an origin, ``/a%2Fb`` and ``/a/b`` may be
two things. Dot segments are resolved here, before anything is routed or keyed, because clients and servers on the way
would resolve them anyway.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from apps.httpcache.fields import members

_PLAIN_TARGET = re.compile(rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?]*)?")
_REFUSED = re.compile(rb'[\x00-\x20\x7f"<>\\#]|%(?![0-9A-Fa-f]{2})')
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


# Dot segments that appear once a later reader decodes slashes, or takes off what follows a semicolon; and NUL.
_HIDDEN_DOTS = re.compile(rb"(?:/|%2F|%5C)\.\.?(?:;[^/]*)?(?:/|%2F|%5C|$)|%00")


class Target(NamedTuple):
    """A request target: the normalised path, and the query behind the first ``?`` (``None`` without one)."""

    path: bytes
    query: bytes | None


def _one_form(match: re.Match[bytes]) -> bytes:
    text = match[0]
    byte = int(text[1:], 16) if text[:1] == b"%" else text[0]
    return bytes((byte,)) if byte in _UNRESERVED else b"%%%02X" % byte


def remove_dot_segments(path: bytes) -> bytes:
    """RFC 3986 §5.2.4 for an absolute path. Empty segments stay."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _normalise(raw: bytes) -> Target | None:
    if raw[:1] != b"/" or _REFUSED.search(raw):
        return None
    path, question, query = raw.partition(b"?")
    if not _PLAIN_TARGET.fullmatch(raw):
        path, query = _ESCAPE.sub(_one_form, path), _ESCAPE.sub(_one_form, query)
    if b"/." in path:
        path = remove_dot_segments(path)
    if (b"%" in path or b"/." in path) and _HIDDEN_DOTS.search(path):
        return None
    return Target(path, query if question else None)


_remembered = lru_cache(maxsize=4096)(_normalise)

_REMEMBERED = 512
"""Bytes up to which the form of a target or a query is remembered: longer ones would fill a worker's memory."""


def normalise_target(raw: bytes) -> Target | None:
    """The one form of an origin-form request target; ``None``: refuse it with 400.

    Refused: anything that doesn't begin with ``/``, controls, spaces, ``"``, ``<``, ``>``, ``\\``, ``#``, broken
    percent-encoding, and in a path ``%00`` and dot segments between encoded slashes or before a semicolon
    (``/..%2F``, ``/..;/``): origins that resolve them would serve what was neither routed nor keyed. Other characters
    outside the grammar, non-ASCII bytes among them, become percent-encoded.
    """
    return _remembered(raw) if len(raw) <= _REMEMBERED else _normalise(raw)


def _parameter_name(parameter: bytes) -> str:
    return _decoded_name(parameter).decode("utf-8", "surrogateescape")


def select_query(query: bytes, mode: str, names: tuple[str, ...]) -> bytes | None:
    """The part of a normalised query that is keyed and forwarded: the order stays. ``None``: nothing is left.

    ``mode`` ``include`` keeps the named parameters, ``exclude`` all others, ``all`` everything. Names are compared
    decoded, so that no spelling of a name slips through.
    """
    select = _selected if len(query) <= _REMEMBERED else _select
    return query if mode == "all" else select(query, mode == "include", names)


def _select(query: bytes, wanted: bool, names: tuple[str, ...]) -> bytes | None:
    kept = [part for part in query.split(b"&") if part and (_parameter_name(part) in names) is wanted]
    return b"&".join(kept) if kept else None


_selected = lru_cache(maxsize=2048)(_select)


def sort_query(query: bytes) -> bytes:
    """A query with its parameters in the order of their names (as bytes, decoded); those of one name keep theirs.

    Empty parameters, as in ``a=1&&b=2``, are left out: they name nothing.
    """
    return _sorted(query) if len(query) <= _REMEMBERED else _sort(query)


def _sort(query: bytes) -> bytes:
    parameters = sorted((part for part in query.split(b"&") if part), key=_decoded_name)
    return b"&".join(parameters)


_sorted = lru_cache(maxsize=2048)(_sort)


def _decoded_name(parameter: bytes) -> bytes:
    return unquote_to_bytes(parameter.partition(b"=")[0].replace(b"+", b" "))


# RFC 9110 §5.6.6: a parameter's value is a token or a quoted string.
_PARAMETER = re.compile(
    rb"[ \t]*;[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|\"([^\"\\]*)\"))?"
)
_TYPE = re.compile(rb"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)")


def media_type(value: bytes) -> bytes:
    """``Content-Type`` in one form: names and the charset in lower case, parameters by name (RFC 9110 §8.3.1).

    What doesn't follow the grammar stays as it is.
    """
    kind = _TYPE.match(value)
    if kind is None:
        return value
    found: list[tuple[bytes, bytes]] = []
    at, end = kind.end(), len(value.rstrip(b" \t"))
    while at < end:
        parameter = _PARAMETER.match(value, at)
        if parameter is None:
            return value
        at = parameter.end()
        if parameter[1] is not None:
            name, text = parameter[1].lower(), parameter[3] if parameter[2] is None else parameter[2]
            found.append((name, text.lower() if name == b"charset" else text))
    if len({name for name, _ in found}) != len(found):
        return value
    return kind[1].lower() + b"".join(
        [b";%b=%b" % (name, text if _TOKEN.fullmatch(text) else b'"%b"' % text) for name, text in sorted(found)]
    )


_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip(b" \t").lower() == b"q":
            try:
                return max(0.0, min(1.0, float(value.strip(b" \t"))))
            except ValueError:
                return 0.0
    return 1.0


def _ranked(value: bytes, aliases: bool) -> bytes:
    rank = _preferences if len(value) <= _REMEMBERED else _preferences.__wrapped__
    return rank(value, aliases)


@lru_cache(maxsize=512)
def _preferences(value: bytes, aliases: bool) -> bytes:
    best: dict[bytes, float] = {}
    for member in members([value]):
        name, *parameters = member.split(b";")
        name = name.strip(b" \t").lower()
        if aliases and name.startswith(b"x-"):
            name = name[2:]  # RFC 9110 §8.4.1: x-gzip and x-compress are gzip and compress
        best[name] = max(best.get(name, 0.0), _weight(parameters))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    ranks = {weight: rank for rank, weight in enumerate(dict.fromkeys(weight for _, weight in ranked if weight > 0))}
    return b", ".join(
        name + (b";q=0" if weight == 0 else b"" if not ranks[weight] else b";q=0.%03d" % max(1, 1000 - ranks[weight]))
        for name, weight in ranked
    )


def accept_encoding(value: bytes) -> bytes:
    """``Accept-Encoding`` in one form: lower case, by preference then by name; weights become ranks, refusals
    (``q=0``) stay.
    """
    return _ranked(value, True)


def accept_language(value: bytes) -> bytes:
    """``Accept-Language`` in the same form."""
    return _ranked(value, False)


def field_value(name: bytes, lines: list[bytes]) -> bytes | None:
    """A request field's lines as the origin gets them (RFC 9111 §4.1); ``None`` without the field.

    Two fields are forwarded in one form, and so compared in it. Of all others each line counts as it is, between line
    feeds, which no value has: whether a comma separates anything there, and which of two lines counts, is the origin's
    to say.
    """
    if not lines:
        return None
    if name == b"accept-encoding":
        return accept_encoding(b", ".join(lines))
    if name == b"accept-language":
        return accept_language(b", ".join(lines))
    return b"\n".join([line.strip(b" \t") for line in lines])
