"""Secrets of this platform, which never reach an upstream, whatever an API is set to. Pure.

Each API may belong to another tenant than its callers: a key that an upstream saw could be used for all that its owner
may call.
"""

import binascii
from urllib.parse import unquote_to_bytes

from apps.httpcache.messages import Headers
from apps.wire.api_keys import holds_secret


def without_keys(headers: Headers, accepted: bytes = b"") -> Headers:
    """The fields in whose values stands neither a secret of this platform nor the key that was ``accepted``. Of a cookie,
    only the crumb is left out that has one; what ``Basic`` hides is looked into.
    """
    values = b"\n".join([value for _, value in headers])
    if (
        not holds_secret(values)
        and b"basic" not in values.lower()
        and not (accepted and (accepted in values or b"%" in values))
    ):
        return headers
    kept = []
    for name, value in headers:
        if not _tells(value, accepted):
            kept.append((name, value))
        elif name == b"cookie" and (crumbs := [each for each in value.split(b";") if not _tells(each, accepted)]):
            kept.append((name, b";".join(crumbs).strip()))
    return tuple(kept)


def plants_session(name: bytes, value: bytes) -> bool:
    """Whether a field of a response would set a session of the console in the client's browser, whichever user's it is."""
    return name == b"set-cookie" and holds_secret(value)


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
    if value[:5].lower() != b"basic":
        return False
    try:
        told = binascii.a2b_base64(value[5:])
    except binascii.Error:
        return False
    return holds_secret(told) or bool(accepted and accepted in told)
