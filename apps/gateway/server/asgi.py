"""The gateway as an ordinary ASGI application: what the HTTP/1.1 protocol falls back to, and what runs under any other server."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from apps.gateway.call.call import Call
from apps.gateway.call.head_limits import LENGTH, field
from apps.gateway.call.problems import Problem
from apps.gateway.call.request_body import BodyMisframed, BodyTooLarge, BodyTooSlow, ClientLeft
from apps.gateway.call.responses import AnyResponse, StreamedResponse, WholeResponse, own_fields, refuse
from apps.gateway.gateway import Gateway
from apps.gateway.limits.client_limits import MinimumRate
from apps.gateway.pipeline.stages import Need
from apps.gateway.upstream.errors import UpstreamError
from apps.wire.call_records import BEGUN, CALL, ENDED

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LINGER = 1.0
"""Seconds during which what a refused caller still sends is read and thrown away, so that it gets to see the response."""

LARGEST_BUFFERED = 32 * 2**20
"""Bytes of a response of unknown length that an HTTP/1.0 caller may get: they have to be held."""

PASSED_CALL = "apimgr.call"
"""Where in the scope's state the HTTP/1.1 protocol leaves the call that it hands on."""


@dataclass(slots=True, frozen=True)
class PassedCall:
    """A call that the HTTP/1.1 protocol hands on: the call, what the first half came to, or that it is ``fresh``: not asked
    yet.

    ``respond`` writes a whole response to the connection, and records it; the server's own way costs as much as the rest
    of a call.
    """

    call: Call
    outcome: Need | None
    fresh: bool
    respond: Callable[[Call, WholeResponse], Awaitable[None]]


class ASGIBody:
    """The caller's body as ASGI messages bring it. Waiting for it is bounded by ``pace``."""

    def __init__(self, receive: Receive, length: int | None, pace: MinimumRate, *, upgrades: bool = False) -> None:
        self.length = length
        self.received = 0
        self.limit = 0
        self.finished = False
        self.on_finished: Callable[[], None] | None = None
        self._receive = receive
        self._pace = pace
        self._upgrades = upgrades
        self._waited = self._since = 0.0
        self._deadline: asyncio.Timeout | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.finished:
            began = self._since = monotonic()
            try:
                async with asyncio.timeout(self._pace.left) as self._deadline:
                    message = await self._receive()
            except TimeoutError:
                raise BodyTooSlow from None
            finally:
                self._waited, self._since, self._deadline = self.seconds_waited(), 0.0, None
            if message["type"] != "http.request":
                raise ClientLeft
            data = message.get("body", b"")
            self._pace.waited(monotonic() - began, len(data))
            self.received += len(data)
            self.finished = not message.get("more_body", False)
            if self.finished and self.on_finished is not None:
                self.on_finished()
            if is_misframed(self.length, self.received, self.finished, self._upgrades):
                raise BodyMisframed
            if self.limit and self.received > self.limit:
                raise BodyTooLarge
            if data:
                yield data

    def seconds_waited(self) -> float:
        if self.finished:
            return 0.0
        return self._waited + (monotonic() - self._since if self._since else 0.0)

    def give_up(self) -> None:
        self._pace.left = 0.0
        if self._deadline is not None:
            self._deadline.reschedule(0.0)

    async def discard(self) -> None:
        """Read and throw away what still comes, for a moment."""
        try:
            async with asyncio.timeout(LINGER):
                while not self.finished:
                    message = await self._receive()
                    self.finished = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            return


def exchange_of(gateway: Gateway, scope: Scope, receive: Receive) -> Call:
    """What came, as any ASGI server has it."""
    headers = tuple(field(bytes(name), bytes(value)) for name, value in scope["headers"])
    raw_path = scope.get("raw_path") or scope["path"].encode("utf-8")
    query = scope.get("query_string", b"")
    target = raw_path.partition(b"?")[0] + (b"?" + query if query else b"")
    client = scope.get("client")
    x = Call(
        scope["method"].upper(),
        target,
        headers,
        call_id=gateway.spool.next_call_id(),
        began=monotonic(),
        at=time(),
        version=scope.get("http_version", "1.1"),
        scheme=scope.get("scheme", "http"),
        client=client[0] if client else "",
    )
    x.body = body_of(gateway, x, receive)
    return x


def proposes_upgrade(x: Call) -> bool:
    """Whether servers may read this call's body, or what is behind it, as another protocol's, or as a call: in HTTP/1, with an
    ``Upgrade`` that isn't taken up, and CONNECT. Its connection ends with its response. The HTTP/1.1 protocol hands on none.
    """
    return x.version in ("1.0", "1.1") and (x.method == "CONNECT" or any(name == b"upgrade" for name, _ in x.headers))


def is_misframed(length: int | None, received: int, finished: bool, upgrades: bool) -> bool:
    """Whether the server gives a body another end than its head does, which an upstream would believe: behind an ``Upgrade``
    uvicorn with httptools ends it with the head, and a server of HTTP/2 may count nothing (RFC 9113 §8.1.1).
    """
    if length is None:
        return finished and upgrades and not received
    return received > length or (finished and received < length)


def body_of(gateway: Gateway, x: Call, receive: Receive) -> ASGIBody | None:
    """The caller's body, if its head announces one. HTTP/2 has bodies without any announcement in the head."""
    length: int | None = None
    announced = x.version not in ("1.0", "1.1") and not any(name == b"content-length" for name, _ in x.headers)
    for name, value in x.headers:
        if name == b"content-length" and LENGTH.fullmatch(value):
            length = int(value)
        elif name == b"transfer-encoding":
            announced = True
    if not length and not announced:
        return None
    return ASGIBody(receive, length, MinimumRate(gateway.options.client_min_rate), upgrades=proposes_upgrade(x))


class ASGIApplication:
    """The ASGI application of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _refuse_other(scope, receive, send)
            return
        from_lane: PassedCall | None = scope.get("state", {}).get(PASSED_CALL)
        gateway = self.gateway
        gateway.metrics.in_flight += 1
        try:
            if from_lane is not None:
                x = from_lane.call
                x.body = body_of(gateway, x, receive)
                x.answering = asyncio.current_task()  # the protocol sees its client leave, and cancels
                await _serve(gateway, x, send, from_lane)
            else:
                x = exchange_of(gateway, scope, receive)
                watcher = DisconnectWatcher(x, receive)
                try:
                    await _serve(gateway, x, send)
                finally:
                    watcher.stop()
        except CutShort:
            if from_lane is None:
                raise
            # Without the end of its response uvicorn closes the connection.
        finally:
            gateway.metrics.in_flight -= 1


class DisconnectWatcher:
    """Waits for the caller to leave and cancels its call. While a body is read, the reading itself notices."""

    def __init__(self, x: Call, receive: Receive) -> None:
        self._x = x
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        x.answering = asyncio.current_task()
        if isinstance(x.body, ASGIBody):
            x.body.on_finished = self._start
        else:
            self._start()

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._x.answering is not None and not self._x.ended:
            self._x.gone = True
            self._x.answering.cancel()

    def stop(self) -> None:
        """The call has ended."""
        if self._task is not None:
            self._task.cancel()


async def _serve(gateway: Gateway, x: Call, send: Send, passed: PassedCall | None = None) -> None:
    try:
        if passed is None:
            response = await response_to(gateway, x, None, True)
        else:
            response = await response_to(gateway, x, passed.outcome, passed.fresh)
            read = not isinstance(x.body, ASGIBody) or x.body.finished
            if read and not isinstance(response, StreamedResponse):
                await passed.respond(x, response)
                return
        await _send(gateway, x, response, send)
    except ClientLeft:
        left(gateway, x)
    except asyncio.CancelledError:
        if not x.gone or x.answering is None:
            raise
        x.answering.uncancel()
        left(gateway, x)


def left(gateway: Gateway, x: Call) -> None:
    if x.ended:
        return
    x.flags = (*x.flags, "client_left")
    gateway.record(x, x.status or 499, x.sent, ENDED if x.begun else CALL)


async def response_to(gateway: Gateway, x: Call, outcome: Need | None, fresh: bool) -> AnyResponse:
    try:
        if fresh:
            begun = gateway.pipeline.begin(x)
            if begun is not None and not isinstance(begun, Need):
                return begun
            outcome = begun
        return await gateway.pipeline.finish(x, outcome)
    except ClientLeft:
        raise
    except Exception:
        log.exception("call %s failed", x.call_id)
        return refuse(x, Problem.INTERNAL_ERROR)


async def _send(gateway: Gateway, x: Call, response: AnyResponse, send: Send) -> None:
    headers = [*response.headers, *own_fields(x)]
    body = x.body if isinstance(x.body, ASGIBody) else None
    unread = body is not None and not body.finished
    if (unread and not isinstance(response, StreamedResponse)) or proposes_upgrade(x):
        headers.append((b"connection", b"close"))
    if isinstance(response, StreamedResponse):
        if x.version == "1.0" and not any(name == b"content-length" for name, _ in headers):
            await _send_buffered(gateway, x, response, headers, send)
        else:
            await _send_streamed(gateway, x, response, headers, send)
        return
    x.status, x.sent, x.ended = response.status, len(response.body), True
    gateway.record(x, response.status, len(response.body))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if unread and body is not None:
        # The caller has the whole response before its connection ends; closing while it still sends would take the
        # answer from it.
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        await body.discard()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        await send({"type": "http.response.body", "body": response.body, "more_body": False})


async def _send_streamed(
    gateway: Gateway, x: Call, response: StreamedResponse, headers: list[tuple[bytes, bytes]], send: Send
) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async with contextlib.aclosing(parts(gateway, x, response)) as body:
        async for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def parts(gateway: Gateway, x: Call, response: StreamedResponse) -> AsyncGenerator[bytes, None]:
    """The parts of a streamed response, with its records. Raises ``CutShort`` when it breaks off."""
    x.status = response.status
    try:
        gateway.record(x, response.status, 0, BEGUN)
        x.begun = True
        while part := await response.read():
            x.sent += len(part)
            yield part
        _ended(x)
        gateway.record(x, response.status, x.sent, ENDED)
    except UpstreamError as error:
        x.code, x.cause, x.flags = Problem.UPSTREAM_INVALID.code, error.cause.code, (*x.flags, "cut_short")
        _ended(x)
        gateway.record(x, response.status, x.sent, ENDED)
        raise CutShort from error
    finally:
        x.waits_for_reader = None
        response.close()


class CutShort(Exception):
    """The upstream's response broke off after its head had left: the server must end the connection, so that it
    doesn't look complete.
    """


async def _send_buffered(
    gateway: Gateway, x: Call, response: StreamedResponse, headers: list[tuple[bytes, bytes]], send: Send
) -> None:
    """For HTTP/1.0, which has no chunks: the whole response with its length, or an error while there is still time
    for one.
    """
    parts: list[bytes] = []
    size = 0
    refused = None
    held, x.waits_for_reader = x.waits_for_reader, lambda: size + (held() if held is not None else 0)
    try:
        while part := await response.read():
            size += len(part)
            parts.append(part)
            if size > LARGEST_BUFFERED:
                refused = refuse(x, Problem.UPSTREAM_INVALID, "The response is too large for HTTP/1.0.")
                break
    except UpstreamError as error:
        x.cause = error.cause.code
        refused = refuse(x, Problem.UPSTREAM_INVALID)
    finally:
        x.waits_for_reader = None
        response.close()
    status, body = (response.status, b"".join(parts)) if refused is None else (refused.status, refused.body)
    if refused is not None:
        headers = [*refused.headers, *own_fields(x)]
    else:
        headers.append((b"content-length", b"%d" % len(body)))
    _ended(x)
    x.status = status
    gateway.record(x, status, len(body))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _ended(x: Call) -> None:
    x.ended = True
    if x.upstream_began:
        x.upstream_duration = (monotonic() - x.upstream_began) * 1000


async def _refuse_other(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
