"""A request as somebody typed it, taken for what the gateway's door would see."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.httpcache import Headers

METHODS = frozenset({"GET", "HEAD", "POST", "QUERY", "PUT", "PATCH", "DELETE", "OPTIONS"})

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
    wanted = method.strip().upper()
    if wanted not in METHODS:
        raise ValidationError({"method": f"One of {', '.join(sorted(METHODS))}."})
    parts = _split(url.strip())
    own = urlsplit(settings.GATEWAY_URL)
    fields, hosts = _fields(headers), [value for name, value in headers if name.strip().lower() == "host"]
    if len(hosts) > 1:
        raise ValidationError({"headers": "A request has one Host."})
    host = parts.netloc or (hosts[0].strip() if hosts else own.netloc)
    if "@" in host:
        raise ValidationError({"url": "Leave the name and password out of the URL."})
    target = quote(parts.path or "/", safe=_ALLOWED) + (
        f"?{quote(parts.query, safe=_ALLOWED)}" if _has_query(url) else ""
    )
    spelled = host.lower().encode("latin-1", "replace")
    return TypedRequest(
        wanted, parts.scheme or own.scheme, spelled, target.encode(), (*fields, (b"host", spelled)), body or None
    )


def header_of(line: str) -> tuple[str, str]:
    """Name and value of a line like ``Accept: text/html``. Raises ``ValueError`` with a sentence for who wrote it."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"{line.strip()[:80]!r} is not a header: write Name: value.")
    return name.strip(), value.strip()


def _has_query(url: str) -> bool:
    return "?" in url.partition("#")[0]


def _split(url: str) -> SplitResult:
    if url.startswith("/"):
        # A path, even one that begins with two slashes.
        path, _, query = url.partition("#")[0].partition("?")
        return SplitResult("", "", path, query, "")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValidationError({"url": f"This is no URL: {error}."}) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError({"url": "Write a path, like /products/items/7?a=1, or a whole http URL."})
    return parts


def _fields(headers: Sequence[tuple[str, str]]) -> Headers:
    found = []
    for name, value in headers:
        if not name.strip() or any(mark in name + value for mark in "\r\n\0"):
            raise ValidationError(
                {"headers": f"{name.strip() or 'An empty name'!r} is not a header: write Name: value."}
            )
        try:
            pair = name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")
        except UnicodeEncodeError:
            raise ValidationError({"headers": f"{name.strip()}: a header's value has Latin characters only."}) from None
        if pair[0] not in (b"host", b"content-length", b"transfer-encoding"):
            found.append(pair)
    return tuple(found)
