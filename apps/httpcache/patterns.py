"""Which paths a policy of its own is for.

A pattern is a path below the listen path, segment by segment: ``*`` or ``{name}`` stands for any one segment, ``**``
at the end for any number of them, none too. What origins overlook makes no difference here either: empty segments, a
slash at the end, path parameters (``/account;x.css`` falls under ``/account``), and how a character is written
(``/account%2Fme`` falls under ``/account/{name}``), so that a caller can't leave a narrow policy by writing the path
another way. The key keeps what is distinct there; only the choice of the policy doesn't. One comparison per segment:
the cost grows with the path alone.
"""

import re
from collections.abc import Sequence
from itertools import zip_longest
from sys import getsizeof
from urllib.parse import quote, unquote_to_bytes

from apps.httpcache.bounded_table import remembered
from apps.httpcache.normalise import normalise_target

ANY, REST = "*", "**"

LONGEST = 500
"""Characters of a pattern."""

MOST_SEGMENTS = 32


def parse_pattern(text: str) -> tuple[str, ...]:
    """The segments of a pattern, in the form in which paths are keyed; ``*`` for each placeholder. Raises
    ``ValueError`` with a sentence for its author.
    """
    if not text.startswith("/"):
        raise ValueError("A path pattern starts with a slash, like /items/{id}.")
    if len(text) > LONGEST:
        raise ValueError(f"At most {LONGEST} characters.")
    given = [segment for segment in text.split("/") if segment]
    if len(given) > MOST_SEGMENTS:
        raise ValueError(f"At most {MOST_SEGMENTS} segments.")
    if REST in given[:-1]:
        raise ValueError("** stands at the end only: /items/** is /items and everything below it.")
    return tuple(_segment(segment) for segment in given)


def _segment(segment: str) -> str:
    if segment in (ANY, REST):
        return segment
    if segment[0] == "{" and segment[-1] == "}" and len(segment) > 2 and not set("{}*").intersection(segment[1:-1]):
        return ANY
    if set("{}*").intersection(segment):
        raise ValueError(f"{segment!r}: a placeholder is a whole segment: *, {{name}}, or ** at the end.")
    target = None if {"?", ";"}.intersection(segment) else normalise_target(b"/" + segment.encode())
    if target is None or target.path.count(b"/") != 1 or len(target.path) < 2:
        raise ValueError(f"{segment!r} can't be a segment of a path.")
    return unquote_to_bytes(target.path[1:]).decode("latin-1")


# What an origin takes for a slash or a semicolon once it has decoded the path, which most frameworks do first.
_SLASH, _SEMICOLON = re.compile(rb"/|%2F|%5C"), re.compile(rb";|%3B")


def segments_of(path: bytes) -> list[str]:
    """The segments of a normalised path that patterns look at, decoded."""
    if b"%" not in path:
        found = [segment.partition(b";")[0] for segment in path.split(b"/")]
    else:
        found = [unquote_to_bytes(_SEMICOLON.split(segment, maxsplit=1)[0]) for segment in _SLASH.split(path)]
    return [segment.decode("latin-1") for segment in found if segment]


def matches(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    """Whether a path of these ``segments`` falls under ``pattern``, both as the functions above give them."""
    if pattern and pattern[-1] == REST:
        pattern = pattern[:-1]
        if len(segments) < len(pattern):
            return False
    elif len(segments) != len(pattern):
        return False
    return all(wanted in (ANY, segment) for wanted, segment in zip(pattern, segments, strict=False))


_PLACEHOLDER = re.compile(r"(?:\{[^{}/]*\})+")
_LITERAL = "/-._~!$&'()*+,;=:@%"


TEMPLATES_BYTES = 64 * 2**20
"""Bytes for templates that are remembered: 100,000 of the usual ones, 1,500 of the largest."""


def _size_of(path: str, made: re.Pattern[bytes]) -> int:
    return 400 + 4 * len(path) + getsizeof(made) + 2 * len(made.pattern)


@remembered(TEMPLATES_BYTES, _size_of)
def template(path: str) -> re.Pattern[bytes]:
    """What matches the paths of a template like ``/items/{id}``, in normalised form: a placeholder is at least one
    byte of a segment, and several may stand side by side (``/{year}{month}``) or around a text (``/{name}.{kind}``).

    A path is matched in one pass, however it is written. What stands for a placeholder ends where the text behind it
    first comes, and is not tried again: if the rest fits behind a later place, it fits behind the first one too. Only
    in front of a slash, or at the end, it is the last place that counts.
    """
    places = list(_PLACEHOLDER.finditer(path))
    found, at = [], 0
    for place, following in zip_longest(places, places[1:]):
        text, slash, _ = path[place.end() : following.start() if following else None].partition("/")
        some = b"[^/]" * (place[0].count("{") - 1) + b"[^/]+"
        if following is not None and not slash:
            form = b"(?>%b?%b)"
        elif text:
            form = b"(?>%b%b(?=/|\\Z))"
        else:
            form = b"%b+%b"
        found += [_escaped(path[at : place.start()]), form % (some, _escaped(text))]
        at = place.end() + len(text)
    return re.compile(b"".join([*found, _escaped(path[at:])]))


def precedence(path: str) -> tuple[tuple[tuple[int, int], ...], str]:
    """What templates are sorted by, so that the first that matches a path is the most concrete one (OpenAPI 3.1.1 §4.8.2):
    segment by segment, text before text with placeholders before placeholders alone, and more text before less.
    """
    segments = []
    for segment in path.split("/"):
        text = len(_PLACEHOLDER.sub("", segment))
        segments.append((0, 0) if text == len(segment) else (1, -text) if text else (2, segment.count("{") * -1))
    return tuple(segments), path


def _escaped(text: str) -> bytes:
    return re.escape(quote(text, _LITERAL).encode())
