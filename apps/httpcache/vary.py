"""Variants: which stored response a request selects (RFC 9111 §4.1)."""

from collections.abc import Iterable, Sequence

from apps.httpcache.entry import CacheEntry, Selecting, Variants
from apps.httpcache.fields import first, lines_of, members
from apps.httpcache.keys import variant_key
from apps.httpcache.messages import Headers
from apps.httpcache.normalise import field_value

FEW = 4
"""Names up to which a request's fields are gone through for each; for more they are sorted by name first."""

MAX_SPECS = 8
"""Different lists of field names remembered for one URL: each costs a look-up."""


def field_names(headers: Headers) -> tuple[bytes, ...] | None:
    """The request fields that a response's ``Vary`` names, sorted and once each; ``None`` if any member is ``*``."""
    names = {member.lower() for member in members(lines_of(headers, b"vary"))}
    return None if b"*" in names else tuple(sorted(names))


MADE_ANEW = frozenset({b"forwarded", b"x-forwarded-for", b"x-request-id"})
"""Request fields that the gateway writes for each call, so that what the caller sent of them isn't what the origin saw.
Others of its own say what is in the key (``X-Forwarded-Host``, ``X-Forwarded-Proto``), or the same of every call.
"""


def depends_on_unkeyed(names: Iterable[bytes], request_headers: Headers) -> bool:
    """Whether one of these fields tells the origin what the request's own fields don't. The way that a trusted proxy told
    in ``X-Forwarded-For`` is the request's own; the gateway only adds the proxy.
    """
    unkeyed = MADE_ANEW.intersection(names)
    if unkeyed == {b"x-forwarded-for"}:
        return not lines_of(request_headers, b"x-forwarded-for")
    return bool(unkeyed)


def selecting(names: Sequence[bytes], request_headers: Headers) -> Selecting:
    """The named fields of a request in one form."""
    if len(names) <= FEW:
        return tuple([(name, field_value(name, lines_of(request_headers, name))) for name in names])
    lines: dict[bytes, list[bytes]] = {}
    for name, value in request_headers:
        lines.setdefault(name, []).append(value)
    return tuple([(name, field_value(name, lines.get(name, []))) for name in names])


def matches(entry: CacheEntry, request_headers: Headers) -> bool:
    """Whether the request selects this stored response."""
    stored = entry.selecting
    return not stored or selecting([name for name, _ in stored], request_headers) == stored


def candidate_keys(primary: bytes, variants: Variants, request_headers: Headers) -> tuple[bytes, ...]:
    """Where this request's variant may stand, in order of preference."""
    return tuple(variant_key(primary, selecting(spec, request_headers)) for spec in variants.specs)


def placement(
    known: object, entry: CacheEntry, max_variants: int
) -> tuple[tuple[tuple[bytes, CacheEntry | Variants], ...], tuple[bytes, ...]]:
    """Where an entry goes, given what is ``known`` to stand under its primary key: the records to write, and the keys
    that the bound on variants pushes out.

    Without ``Vary`` it stands under the primary key itself. With it, the primary key tells which fields matter. The
    newest list of fields is preferred; a response without ``Vary`` comes last, because origins forget the field on
    their default response (RFC 9111 §4.1).
    """
    variants = known if isinstance(known, Variants) else None
    if not entry.selecting and variants is None:
        return ((entry.key, entry),), ()
    key = variant_key(entry.key, entry.selecting)
    spec = tuple(name for name, _ in entry.selecting)
    specs = (spec, *(other for other in variants.specs if other != spec)) if variants else (spec,)
    specs = tuple(sorted(specs, key=lambda names: not names)[:MAX_SPECS])
    keys = (*(other for other in variants.keys if other != key), key) if variants else (key,)
    keep_until = max(entry.keep_until, variants.keep_until if variants else 0.0)
    kept = keys[-max_variants:]
    known_tags = variants.tags if variants else ()
    tags = [(other, tag) for other, tag in known_tags if other != key and other in kept]
    if (etag := first(entry.headers, b"etag")) is not None:
        tags.append((key, etag))
    index = Variants(specs, kept, keep_until, tuple(tags))
    return ((entry.key, index), (key, entry)), keys[:-max_variants]
