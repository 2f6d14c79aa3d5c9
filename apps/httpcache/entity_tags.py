"""Tags that a response carries by what it is about: its operation, and the entities in its JSON body.

An origin that sends no ``Surrogate-Key`` still says in its bodies which things a response shows. A policy names where:
a path in the body and a prefix, so that ``items[*].id`` with ``item:`` gives ``item:7`` and ``item:8``. GraphQL says
it by itself: each object with ``__typename`` and ``id`` is ``Product:7``.

The path language is small on purpose: names joined by dots, ``[*]`` for every element of an array, ``[0]`` for one,
and ``$`` in front as in JSONPath (RFC 9535 has all of these and much more).

Where entities can't be read although the policy asks for them (too many, too large, an unknown content coding), the
response carries ``ANY``, which the purge of any tag of its API ends: a response may end too early, never too late.
"""

import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from apps.httpcache.entry import CacheEntry
from apps.httpcache.fields import lines_of, members
from apps.httpcache.policy import GRAPHQL, Policy

ANY = "*"
"""The tag of a response whose entities are not known: each purge of a tag of its API ends it."""

MOST = 1000
"""Entities of one response, and surrogate keys, that become tags."""

LARGEST = 2**19
"""Bytes of a body, decoded, that are read for entities: 5 ms of a worker's time, and 20 for the worst."""

MOST_VALUES = 50_000
"""Values of a GraphQL response that are looked at for entities: another 10 ms at most."""

MOST_CODINGS = 4
"""Content codings, one in another, that are taken off a body: each may unpack to ``LARGEST`` bytes again."""

LONGEST = 256
"""Characters of a tag."""

MOST_PATHS = 16
"""Paths that a policy may name."""

_STEP = re.compile(r"""\[(?P<index>\*|[0-9]{1,6})\]|\.(?P<name>[^\s.\[\]"'*]+)""")
_JSON = re.compile(rb"(?:application|text)/(?:[^\s;]+\+)?json\s*+(?:;|\Z)", re.IGNORECASE)
_BLANK = re.compile(r"[\x00-\x20\x7f]")


class Every(NamedTuple):
    """The step to every element of an array."""


Step = str | int | Every


@lru_cache(maxsize=1024)
def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path like ``items[*].id`` or ``$.data[0].sku``. Raises ``ValueError`` with a sentence for its
    author.
    """
    rest = text[1:] if text[:2] in ("$", "$.", "$[") else text
    if rest[:1] not in (".", "["):
        rest = f".{rest}"
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            raise ValueError(f"{text!r} is no path into a body: write it like items[*].id.")
        index, name = match["index"], match["name"]
        steps.append(name if index is None else Every() if index == "*" else int(index))
        at = match.end()
    return tuple(steps)


def refusal_of(path: object, prefix: object) -> str | None:
    """Why a policy can't have this pair of path and prefix, in a sentence; ``None``: it can."""
    if not isinstance(path, str) or not isinstance(prefix, str):
        return "A path and a prefix are texts."
    if len(path) > 200 or len(prefix) > 64:
        return "A path has at most 200 characters, a prefix 64."
    if _BLANK.search(prefix) or prefix == ANY:
        return "A prefix has no spaces and no controls, and is not an asterisk alone."
    try:
        parse_path(path)
    except ValueError as error:
        return str(error)
    return None


def add_tags(entry: CacheEntry, policy: Policy, operation: str) -> None:
    """Complete the tags of an entry whose body is whole, just before it is stored.

    ``operation`` is what the call falls under (``GET /items/{id}``), empty where the API describes none.
    """
    found = dict.fromkeys(entry.tags)
    if operation:
        found[operation] = None
    found.update(dict.fromkeys(entities(entry, policy)))
    entry.tags = tuple(found)


def entities(entry: CacheEntry, policy: Policy) -> tuple[str, ...]:
    """The tags of the entities in a response's body, each once; ``(ANY,)`` where they aren't known."""
    if not policy.entity_tags and policy.body != GRAPHQL:
        return ()
    if not entry.body or not any(_JSON.match(line.strip()) for line in lines_of(entry.headers, b"content-type")):
        return ()
    body = _decoded(entry)
    if body is None or len(body) > LARGEST:
        return (ANY,)
    try:
        # A number is what stands there: 7 and 7.0 are what the origin's purge will name them by.
        document = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        return (ANY,)
    except ValueError:
        return ()
    found: dict[str, None] = {}
    for tag in _tags(document, policy):
        if len(found) >= MOST or len(tag) > LONGEST or tag == ANY:
            return (ANY,)
        found[tag] = None
    return tuple(found)


def reports_errors(entry: CacheEntry, policy: Policy) -> bool:
    """Whether a response is GraphQL that says in its body, under a good status, that something went wrong: it is one
    client's bad luck, and isn't to be kept for a policy's TTL. What can't be read is taken for good.
    """
    if policy.body != GRAPHQL or not entry.body:
        return False
    body = _decoded(entry)
    if body is None or b'"errors"' not in body or len(body) > LARGEST:
        return False
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and bool(document.get("errors"))


def _tags(document: Any, policy: Policy) -> Iterator[str]:
    for path, prefix in policy.entity_tags:
        for value in _walk([document], parse_path(path)):
            if isinstance(value, str) and value:
                yield prefix + one_word(value)
    if policy.body == GRAPHQL and isinstance(document, dict):
        yield from _typed(document.get("data"))


def _walk(values: list[Any], steps: tuple[Step, ...]) -> list[Any]:
    for step in steps:
        if isinstance(step, Every):
            values = [element for value in values if isinstance(value, list) for element in value]
        elif isinstance(step, int):
            values = [value[step] for value in values if isinstance(value, list) and step < len(value)]
        else:
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values


def _typed(data: Any) -> Iterator[str]:
    waiting, left = [data], MOST_VALUES
    while waiting and left:
        value = waiting.pop()
        left -= 1
        if isinstance(value, dict):
            name, identity = value.get("__typename"), value.get("id")
            if isinstance(name, str) and isinstance(identity, str) and name and identity:
                yield f"{one_word(name)}:{one_word(identity)}"
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    if waiting:
        yield ANY


def one_word(text: str) -> str:
    """A value as part of a tag, which has no blanks and no controls: those are percent-encoded."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return _BLANK.sub(lambda match: f"%{ord(match[0]):02X}", plain)


def _decoded(entry: CacheEntry) -> bytes | None:
    """The body without its content coding; ``None`` if it can't be decoded, or is larger than is read."""
    body, codings = entry.body, members(lines_of(entry.headers, b"content-encoding"))
    if len(codings) > MOST_CODINGS:
        return None
    for coding in reversed(codings):
        name = coding.strip().lower()
        if name == b"identity":
            continue
        if name not in (b"gzip", b"x-gzip", b"deflate"):
            return None
        decoder = zlib.decompressobj(47)  # gzip or zlib, as the data itself says
        try:
            body = decoder.decompress(body, LARGEST + 1)
        except zlib.error:
            return None
        if not decoder.eof or decoder.unused_data:
            return None
    return body
