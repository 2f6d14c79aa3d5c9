"""The body of a call as part of its key: read-only POST (RFC 9110 §9.3.3, where a policy declares it) and QUERY (RFC
10008 §2.7).

What describes the body is keyed with it: ``Content-Type`` and ``Content-Encoding`` in one form, in which they are
forwarded too, and every other ``Content-…`` field and digest as it came. The body itself is forwarded as the caller
sent it: bodies with one key say the same JSON, or are the same bytes.
"""

import hashlib
import re

from apps.httpcache.canonical import canonical
from apps.httpcache.fields import lines_of, members
from apps.httpcache.keys import pack
from apps.httpcache.messages import Headers, Request
from apps.httpcache.normalise import media_type
from apps.httpcache.policy import GRAPHQL, JSON, RAW

KEYED_BY_BODY = frozenset({"POST", "QUERY"})
"""Methods whose responses may be stored, where the policy names them, with the body in the key."""

Parts = tuple[bytes | None, bytes | None, bytes, bytes, bytes]
"""In the order of ``keys.BODY_LABELS``."""

_OTHERS = re.compile(rb"content-(?!type$|encoding$|length$).+|digest|repr-digest")
_JSON = re.compile(rb"application/(?:json|[!#$&^_.a-z0-9-]+\+json)(?:;charset=utf-8)?")


def content_type(headers: Headers) -> bytes | None:
    """``Content-Type`` in one form; several lines are combined, and are then no known type."""
    lines = lines_of(headers, b"content-type")
    return media_type(b", ".join(lines)) if lines else None


def content_encoding(headers: Headers) -> bytes | None:
    """``Content-Encoding`` in one form: its codings in their order, in lower case."""
    lines = lines_of(headers, b"content-encoding")
    return b", ".join(members(lines)).lower() if lines else None


def is_plain_json(headers: Headers) -> bool:
    """Whether a body is said to be JSON in UTF-8, without a coding around it."""
    said = content_type(headers)
    return said is not None and _JSON.fullmatch(said) is not None and not content_encoding(headers)


def parts_of(request: Request, form: str) -> Parts:
    """What of a request's body goes into the key. ``form`` is the policy's: JSON that is doubtful, or isn't said to be
    JSON, goes by its bytes; GraphQL by what ``request.graphql`` holds.
    """
    headers, body = request.headers, request.body or b""
    digested, used = body, RAW
    if form == GRAPHQL and isinstance(request.graphql, bytes):
        digested, used = request.graphql, GRAPHQL
    elif form == JSON and is_plain_json(headers):
        canonized = canonical(body)
        if canonized is not None:
            digested, used = canonized, JSON
    others: list[bytes | None] = []
    for field in sorted(field for field in headers if _OTHERS.fullmatch(field[0])):
        others += field
    return (
        content_type(headers),
        content_encoding(headers),
        pack(others),
        used.encode(),
        hashlib.sha256(digested).digest(),
    )


def in_one_form(headers: Headers) -> Headers:
    """Request fields with those that describe the body in the form in which they are keyed."""
    for name, value in ((b"content-type", content_type(headers)), (b"content-encoding", content_encoding(headers))):
        if value is not None:
            headers = (*(pair for pair in headers if pair[0] != name), (name, value))
    return headers
