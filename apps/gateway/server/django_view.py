"""The gateway inside a Django site: an async view that takes the path below where it is mounted.

    urlpatterns = [re_path(r"^gateway/", gateway_view(b"/gateway"))]

The site must run under ASGI. Its middleware runs around each call, so this server is for convenience, not for speed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from time import monotonic, time
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.gateway.call.call import Call
from apps.gateway.call.head_limits import LENGTH, field
from apps.gateway.call.request_body import BodyMisframed, BodyTooLarge, ClientLeft
from apps.gateway.call.responses import StreamedResponse, own_fields
from apps.gateway.gateway import Gateway
from apps.gateway.server.asgi import CutShort, is_misframed, left, parts, proposes_upgrade, response_to
from apps.wire.call_records import CALL

PART = 64 * 1024
"""Bytes of the caller's body that are read at once. Django has received all of it before it calls a view."""

EMBEDDED = 900
"""The worker number of a gateway inside a site; others count from 0."""

_gateways: dict[asyncio.AbstractEventLoop, "asyncio.Task[Gateway]"] = {}


async def embedded() -> Gateway:
    """The gateway of this event loop, started on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _gateways:
        _gateways[loop] = loop.create_task(_start())
    return await asyncio.shield(_gateways[loop])


async def _start() -> Gateway:
    from apps.gateway.server.worker import options

    gateway = Gateway(options(EMBEDDED))
    await gateway.start()
    return gateway


class DjangoBody:
    """A body that Django has received."""

    def __init__(self, request: ASGIRequest, length: int | None, upgrades: bool, begun: bytes = b"") -> None:
        self.length = length
        self.received = 0
        self.limit = 0
        self._request = request
        self._upgrades = upgrades
        self._begun = begun  # what was read of it already

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := self._begun or self._request.read(PART):
            self._begun = b""
            self.received += len(part)
            if self.limit and self.received > self.limit:
                raise BodyTooLarge
            if is_misframed(self.length, self.received, False, self._upgrades):
                raise BodyMisframed
            yield part
        if is_misframed(self.length, self.received, True, self._upgrades):
            raise BodyMisframed

    def seconds_waited(self) -> float:
        return 0.0

    def give_up(self) -> None:
        pass


class _Fields:
    """Keeps repeated fields, which Django's own mapping of headers can't."""

    headers: Any
    fields: list[tuple[bytes, bytes]]

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Our fields, and those that the site's middleware added."""
        yield from self.fields
        ours = {name.decode("latin-1") for name, _ in self.fields} | {"content-type", "content-length"}
        for name, value in self.headers.items():
            if name.lower() not in ours:
                yield name, value


class _Whole(_Fields, HttpResponse):
    """A whole response."""


class _Parts(_Fields, StreamingHttpResponse):
    """A streamed response."""


def gateway_view(
    prefix: bytes = b"", gateway: Callable[[], Coroutine[Any, Any, Gateway]] = embedded
) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """A view that answers calls below ``prefix`` (the raw path at which it is mounted, without a slash at its end)."""

    @csrf_exempt
    async def view(request: ASGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return await _call(await gateway(), request, prefix)

    return view


async def _call(gateway: Gateway, request: ASGIRequest, prefix: bytes) -> HttpResponseBase:
    scope = request.scope
    headers = tuple(field(bytes(name), bytes(value)) for name, value in scope["headers"])
    query = scope.get("query_string", b"")
    path = scope["raw_path"].partition(b"?")[0].removeprefix(prefix)
    client = scope.get("client")
    x = Call(
        scope["method"].upper(),
        path + (b"?" + query if query else b""),
        headers,
        call_id=gateway.spool.next_call_id(),
        began=monotonic(),
        at=time(),
        version=scope.get("http_version", "1.1"),
        scheme=scope.get("scheme", "http"),
        client=client[0] if client else "",
    )
    x.body = _body_of(request, x)
    gateway.metrics.in_flight += 1
    try:
        gateway_response = await response_to(gateway, x, None, True)
    except (ClientLeft, asyncio.CancelledError):
        left(gateway, x)
        request.close()  # without a response Django doesn't
        raise
    finally:
        gateway.metrics.in_flight -= 1
    response: _Whole | _Parts
    if isinstance(gateway_response, StreamedResponse):
        response = _Parts(_broken_off(request, parts(gateway, x, gateway_response)), status=gateway_response.status)
    else:
        x.status, x.sent, x.ended = gateway_response.status, len(gateway_response.body), True
        gateway.record(x, gateway_response.status, len(gateway_response.body), CALL)
        response = _Whole(gateway_response.body, status=gateway_response.status)
    response.fields = [*gateway_response.headers, *own_fields(x)]
    if proposes_upgrade(x):
        response.fields.append((b"connection", b"close"))
    return response


def _body_of(request: ASGIRequest, x: Call) -> DjangoBody | None:
    """The call's body. In HTTP/1 its head announces it; in HTTP/2 there is one where Django has received some."""
    lengths = [value for name, value in x.headers if name == b"content-length" and LENGTH.fullmatch(value)]
    length = int(lengths[-1]) if lengths else None
    if length or any(name == b"transfer-encoding" for name, _ in x.headers):
        return DjangoBody(request, length, proposes_upgrade(x))
    if x.version in ("1.0", "1.1") or length is not None:
        return None
    begun = request.read(PART)
    return DjangoBody(request, None, False, begun) if begun else None


async def _broken_off(request: ASGIRequest, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for part in body:
            yield part
    except CutShort:
        request.close()  # Django lets go of it only after a response that went well
        raise
