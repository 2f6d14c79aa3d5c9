"""A request as a user typed it, taken for what the gateway's server would see."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.foundation.path_templates import refusal_of_template
from apps.httpcache import Headers

METHODS = frozenset({"GET", "HEAD", "POST", "QUERY", "PUT", "PATCH", "DELETE", "OPTIONS"})

_NOT_KEPT = frozenset({b"host", b"content-length", b"transfer-encoding"})
"""Fields that the request has of its own: its host as the URL says it, and its framing."""

_ALLOWED = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True)
class TypedRequest:
    """``target`` is what would stand in the request line; ``headers`` have lower-case names, ``host`` among them."""

    method: str
    scheme: str
    host: bytes
    target: bytes
    headers: Headers
    body: bytes | None

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.host.decode('latin-1')}{self.target.decode('latin-1')}"


def typed(url: str, method: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> TypedRequest:
    """Reads what was typed. Without a host in ``url`` it is the ``Host`` among ``headers``, else the gateway's own.

    Raises ``ValidationError`` by field for what is no request at all; what a gateway would refuse goes through.
    """
    method = method.strip().upper()
    if method not in METHODS:
        raise ValidationError({"method": f"One of {', '.join(sorted(METHODS))}."})
    if refused := refusal_of_template(url):
        raise ValidationError({"url": refused})
    scheme, host, target = _split(url.strip().partition("#")[0])
    fields = [_field(name.strip(), value.strip()) for name, value in headers]
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        raise ValidationError({"headers": "A request has one Host."})
    own = urlsplit(settings.GATEWAY_URL)
    spelled = (host or (hosts[0].decode("latin-1") if hosts else own.netloc)).lower().encode("latin-1", "replace")
    if b"@" in spelled:
        raise ValidationError({"url": "Leave the name and password out of the URL."})
    kept = [pair for pair in fields if pair[0] not in _NOT_KEPT]
    target = quote(target, safe=_ALLOWED)
    return TypedRequest(
        method, scheme or own.scheme, spelled, target.encode(), (*kept, (b"host", spelled)), body or None
    )


def header_of(line: str) -> tuple[str, str]:
    """Name and value of a line like ``Accept: text/html``. Raises ``ValidationError`` with a sentence for who wrote it."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValidationError(f"{line.strip()[:80]!r} is not a header: write Name: value.")
    return name.strip(), value.strip()


def _split(url: str) -> tuple[str, str, str]:
    """Scheme and host, where ``url`` has any, and the path with its query."""
    if url.startswith("/"):
        return "", "", url  # a path, even one that begins with two slashes
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValidationError({"url": f"This is no URL: {error}."}) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError({"url": "Write a path, like /products/items/7?a=1, or a whole http URL."})
    return parts.scheme, parts.netloc, (parts.path or "/") + (f"?{parts.query}" if "?" in url else "")


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    if not name or any(mark in name + value for mark in "\r\n\0"):
        raise ValidationError({"headers": f"{name or 'An empty name'!r} is not a header: write Name: value."})
    try:
        return name.lower().encode("latin-1"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValidationError({"headers": f"{name}: a header's value has Latin characters only."}) from None
