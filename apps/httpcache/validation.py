"""Validation both ways: the caller's conditions against a stored response, and ours against the upstream's (RFC 9111
§4.3, RFC 9110 §13).
"""

from apps.httpcache import dates
from apps.httpcache.entry import CacheEntry
from apps.httpcache.fields import end_to_end, first, lines_of, members
from apps.httpcache.messages import Headers
from apps.httpcache.stored_response import StoredResponse

CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"})

_KEPT_OVER_304 = frozenset({b"content-encoding", b"content-length", b"content-range"})
"""Fields on which reading the stored body depends: they stay as they are (RFC 9111 §3.2)."""


def opaque(tag: bytes) -> bytes:
    """An entity tag without its weakness mark: equal ones match weakly (RFC 9110 §8.8.3.2)."""
    return tag[2:] if tag[:2] == b"W/" else tag


def is_strong(tag: bytes) -> bool:
    """Whether an entity tag is well-formed and strong."""
    return len(tag) > 1 and tag[:1] == tag[-1:] == b'"'


def none_match_fails(if_none_match: bytes, etag: bytes | None) -> bool:
    """Whether ``If-None-Match`` names the stored response, so that the caller gets a 304 (RFC 9110 §13.1.2)."""
    tags = members([if_none_match])
    if tags == [b"*"]:
        return True
    return etag is not None and opaque(etag) in {opaque(tag) for tag in tags}


def not_modified_since(if_modified_since: bytes, held: StoredResponse, now: float) -> bool:
    """Whether the stored response hasn't changed since the caller's date (RFC 9110 §13.1.3, RFC 9111 §4.3.2).

    Without ``Last-Modified`` its ``Date`` stands in, and without that the time of receipt. A date that is none is
    ignored.
    """
    since = dates.parse(if_modified_since, now)
    if since is None:
        return False
    changed = dates.parse(held.last_modified, now) if held.last_modified is not None else None
    if changed is None:
        date = first(held.headers, b"date")
        changed = dates.parse(date, now) if date is not None else None
    return (int(held.entry.received_at) if changed is None else changed) <= since


def conditional_fields(held: StoredResponse) -> Headers:
    """The conditions with which to ask the upstream whether the stored response is still right; empty without a
    validator (§4.3.1).
    """
    fields: list[tuple[bytes, bytes]] = []
    if held.etag is not None:
        fields.append((b"if-none-match", held.etag))
    if held.last_modified is not None:
        fields.append((b"if-modified-since", held.last_modified))
    return tuple(fields)


def confirms(held: StoredResponse, headers: Headers) -> bool:
    """Whether a 304 with these fields speaks of the stored response (§4.3.4).

    A strong entity tag must be the stored one; a weak one must match weakly; without a tag an equal
    ``Last-Modified``, or none at all, will do.
    """
    etag = first(headers, b"etag")
    if etag is not None:
        if held.etag is None:
            return False
        return etag == held.etag if is_strong(etag) and is_strong(held.etag) else opaque(etag) == opaque(held.etag)
    modified = first(headers, b"last-modified")
    return modified is None or held.last_modified is None or modified == held.last_modified


def named(others: tuple[tuple[bytes, bytes], ...], etag: bytes | None) -> bytes | None:
    """The key of the variant that a 304 with this entity tag speaks of; without a tag it must be the only one."""
    if etag is None:
        return others[0][0] if len(others) == 1 else None
    for key, tag in reversed(others):
        if tag == etag or (opaque(tag) == opaque(etag) and not (is_strong(tag) and is_strong(etag))):
            return key
    return None


def merged_headers(entry: CacheEntry, fresh: Headers, unwanted: frozenset[bytes]) -> Headers:
    """The stored fields with those of a 304 (or of a HEAD's 200) in place of the old ones (§3.2).

    Repeated lines of a field replace all stored lines of it. What describes the stored body stays.
    """
    new = end_to_end(fresh, unwanted, _KEPT_OVER_304)
    replaced = {name for name, _ in new}
    return (*(pair for pair in entry.headers if pair[0] not in replaced), *new)


def describes_same_body(held: StoredResponse, headers: Headers) -> bool:
    """Whether the response to a HEAD describes the stored body: equal validators and length where both have them
    (§4.3.5).
    """
    for name, stored in ((b"etag", held.etag), (b"last-modified", held.last_modified)):
        told = lines_of(headers, name)
        if told and (stored is None or told != [stored]):
            return False
    length = first(headers, b"content-length")
    return length is None or length.strip() == b"%d" % len(held.entry.body)
