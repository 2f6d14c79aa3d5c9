"""Parameters of a query and crumbs of cookies by their names: read, and taken out. Pure."""

from urllib.parse import unquote_to_bytes

from apps.httpcache.messages import Headers


def parameters(query: bytes, name: bytes) -> list[bytes]:
    """The values of a parameter, decoded as HTML forms encode them."""
    pairs = (part.partition(b"=") for part in query.split(b"&"))
    return [_decoded(value) for key, _, value in pairs if _decoded(key) == name]


def without_parameter(query: bytes | None, name: bytes) -> bytes | None:
    """A query without a parameter. ``None``: there is no query."""
    if query is None:
        return None
    return b"&".join([part for part in query.split(b"&") if _decoded(part.partition(b"=")[0]) != name]) or None


def crumbs(headers: Headers, name: bytes) -> list[bytes]:
    """The values of a cookie, without the quotes that may stand around them (RFC 6265 §4.1.1)."""
    pairs = (_pair(crumb) for field, value in headers if field == b"cookie" for crumb in value.split(b";"))
    return [value.removeprefix(b'"').removesuffix(b'"') for key, value in pairs if key == name]


def without_crumb(headers: Headers, name: bytes) -> Headers:
    """The fields without a cookie; others in the same field stay."""
    if not any(field == b"cookie" and name in value for field, value in headers):
        return headers
    kept = []
    for field, value in headers:
        if field != b"cookie":
            kept.append((field, value))
        elif others := b";".join([crumb for crumb in value.split(b";") if _pair(crumb)[0] != name]).strip():
            kept.append((field, others))
    return tuple(kept)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _pair(crumb: bytes) -> tuple[bytes, bytes]:
    key, _, value = crumb.partition(b"=")
    return key.strip(), value.strip()
