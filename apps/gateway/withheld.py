"""What of a caller's head never reaches an upstream, whatever an API is set to: secrets of this platform, and names that
an origin may read as others. Pure.

Each API may belong to another tenant than its callers: a key that an upstream saw could be used for all that its owner
may call.
"""

import binascii
from urllib.parse import unquote_to_bytes

from apps.access.keys import holds_secret
from apps.caching.http.fields import HOP_BY_HOP
from apps.caching.http.identity import folded
from apps.caching.http.messages import Headers

KEY_FIELD = b"x-api-key"
"""Where keys travel unless an API says otherwise."""

_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-"
_NEVER = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"x-request-id",
    b"x-call-id",
    b"proxy",
    b"http2-settings",
    KEY_FIELD,
}


def plainly_named(headers: Headers, allowed: tuple[str, ...]) -> Headers:
    """The fields whose (lower-case) names have letters, digits and hyphens only, and those whose names are ``allowed``.

    CGI and what took after it (WSGI, Rack, PHP) reads ``X_Forwarded_Host`` as ``X-Forwarded-Host`` (RFC 3875 §4.1.18), and
    some servers fold other characters too; so nginx leaves such fields out as well.
    """
    if not b"".join([name for name, _ in headers]).translate(None, _PLAIN):
        return headers
    names = {name.encode("latin-1") for name in allowed}
    return tuple(
        pair
        for pair in headers
        if not pair[0].translate(None, _PLAIN) or (pair[0] in names and folded(pair[0]) not in _NEVER)
    )


def without_keys(headers: Headers, accepted: bytes = b"") -> Headers:
    """The fields in whose values stands neither a secret of this platform nor the key that was ``accepted``. Of a cookie,
    only the crumb is left out that has one; what ``Basic`` hides is looked into.
    """
    values = b"\n".join([value for _, value in headers])
    if (
        not holds_secret(values)
        and not (accepted and accepted in values)
        and not any(name.endswith(b"authorization") and value[:6].lower() == b"basic " for name, value in headers)
    ):
        return headers
    kept = []
    for name, value in headers:
        if not _tells(value, accepted):
            kept.append((name, value))
        elif name == b"cookie" and (crumbs := [each for each in value.split(b";") if not _tells(each, accepted)]):
            kept.append((name, b";".join(crumbs).strip()))
    return tuple(kept)


def query_without_keys(query: bytes | None, accepted: bytes = b"") -> bytes | None:
    """A query without the parameters in which such a secret stands. ``None``: there is no query."""
    if query is None or not _tells(query, accepted):
        return query
    return b"&".join([each for each in query.split(b"&") if not _tells(each, accepted)]) or None


def _tells(value: bytes, accepted: bytes) -> bool:
    if holds_secret(value):
        return True
    if accepted and (accepted in value or (b"%" in value and accepted in unquote_to_bytes(value))):
        return True
    if value[:6].lower() != b"basic ":
        return False
    try:
        told = binascii.a2b_base64(value[6:])
    except binascii.Error:
        return False
    return holds_secret(told) or bool(accepted and accepted in told)
