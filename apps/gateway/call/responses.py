"""What servers send: whole responses, streamed ones, and the fields that every response of ours carries."""

from collections.abc import Awaitable, Callable
from time import time

from apps.gateway.call import problems
from apps.gateway.call.call import Call
from apps.gateway.call.header_rules import OF_OWN_RESPONSES, Fields, ruled
from apps.gateway.call.problems import Problem
from apps.httpcache import CacheResponse
from apps.httpcache.dates import format_date
from apps.httpcache.stored_response import render


class GatewayResponse:
    """A whole response. ``headers`` are complete but for what ``own_lines`` adds; for HEAD, ``body`` is empty.

    ``head`` is status line and field lines for HTTP/1.1, without the blank line that ends a head.
    """

    __slots__ = ("body", "head", "headers", "status")

    def __init__(self, status: int, headers: Fields, body: bytes, head: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.head = head or render(status, headers)


class StreamedResponse:
    """A response whose body comes in parts. Without ``content-length`` in ``headers`` its length isn't known.

    ``read`` gives the next part, ``b""`` at the end, and raises ``UpstreamError`` when the response breaks off. Its owner calls
    ``close`` in the end, whole or not.
    """

    __slots__ = ("close", "headers", "read", "status")

    def __init__(
        self, status: int, headers: Fields, read: Callable[[], Awaitable[bytes]], close: Callable[[], None]
    ) -> None:
        self.status = status
        self.headers = headers
        self.read = read
        self.close = close


WholeResponse = GatewayResponse | CacheResponse
AnyResponse = WholeResponse | StreamedResponse


def own_lines(x: Call) -> bytes:
    """The field lines that every response carries, for HTTP/1.1; the last thing before the blank line."""
    return b"x-request-id: %b\r\nx-call-id: %b\r\ncache-status: %b\r\nx-cache: %b\r\n%b" % (
        x.request_id.encode(),
        x.call_id.encode(),
        x.cache_status,
        x.cache,
        x.limit_lines,
    )


def own_fields(x: Call) -> list[tuple[bytes, bytes]]:
    """The same as pairs."""
    pairs = (line.partition(b": ") for line in own_lines(x).split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]


class _Date:
    """The ``Date`` of now, rendered once a second."""

    second = 0
    value = b""


def date() -> bytes:
    """The present time as ``Date`` has it."""
    now = int(time())
    if now != _Date.second:
        _Date.second, _Date.value = now, format_date(now)
    return _Date.value


def refuse(
    x: Call, problem: Problem, detail: str | None = None, extra: Fields = (), errors: bytes = b""
) -> GatewayResponse:
    """The problem as a response; the call keeps its code for the record. ``detail`` is a sentence of ours, never a
    caller's text; ``errors`` is a list in JSON.
    """
    x.code = x.reason = problem.code
    x.cache = b"BYPASS"
    x.cache_status = b"apimgr;detail=" + problem.code.encode()
    body = problems.document(problem, detail, x.request_id.encode(), x.call_id.encode(), errors)
    headers = (
        (b"content-type", problems.CONTENT_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"date", date()),
        *extra,
    )
    headers = ruled(headers, x.api.response_headers, OF_OWN_RESPONSES)
    return GatewayResponse(problem.status, headers, b"" if x.method == "HEAD" else body)
