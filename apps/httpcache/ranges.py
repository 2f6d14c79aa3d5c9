"""Ranges from a stored whole (RFC 9110 §14; RFC 9111 §3.4). A part is never stored as the whole."""

import re
from enum import Enum

from apps.httpcache import dates
from apps.httpcache.fields import first
from apps.httpcache.stored_response import StoredResponse
from apps.httpcache.validation import is_strong

_BYTES = re.compile(rb"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE)

_CONTENT_RANGE = re.compile(rb"bytes[ \t]+\d+-\d+/(?:\d+|\*)", re.IGNORECASE)


class Unsatisfiable(Enum):
    """The one value says: no byte of the body is in the range (416)."""

    UNSATISFIABLE = "unsatisfiable"


UNSATISFIABLE = Unsatisfiable.UNSATISFIABLE


def select(value: bytes, length: int) -> tuple[int, int] | Unsatisfiable | None:
    """The first byte and the one past the last of a single byte range over ``length`` bytes.

    ``None``: answer with the whole, as RFC 9110 §14.2 allows: another unit, several ranges, or no grammar.
    """
    match = _BYTES.fullmatch(value.strip(b" \t"))
    if match is None or match.group(0) == b"" or (not match[1] and not match[2]):
        return None
    if len(match[1]) > 18 or len(match[2]) > 18:
        return None
    if not match[1]:
        suffix = int(match[2])
        return (max(0, length - suffix), length) if suffix and length else UNSATISFIABLE
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else length
    if match[2] and end <= start:
        return None
    return (start, min(end, length)) if start < length else UNSATISFIABLE


def is_part(content_range: bytes | None) -> bool:
    """Whether ``Content-Range`` says that the content is a part. In a response that isn't a 206 it means nothing (RFC
    9110 §14.4), but an origin that sends a well-formed one there may well have sent a part.
    """
    return content_range is not None and _CONTENT_RANGE.fullmatch(content_range.strip(b" \t")) is not None


def if_range_holds(value: bytes, stored: StoredResponse, now: float) -> bool:
    """Whether ``If-Range`` names the stored response (RFC 9110 §13.1.5): a strong entity tag, or a date that is a
    strong validator.
    """
    value = value.strip(b" \t")
    if value.startswith((b'"', b"W/")):
        return stored.etag is not None and is_strong(value) and value == stored.etag
    if stored.last_modified is None or value != stored.last_modified:
        return False
    modified = dates.parse(stored.last_modified, now)
    date = first(stored.headers, b"date")
    sent = dates.parse(date, now) if date is not None else None
    return modified is not None and sent is not None and sent > modified
