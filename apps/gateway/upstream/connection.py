"""One HTTP/1.1 connection to an upstream, on asyncio's transport and httptools' parser.

A connection carries one call at a time. Header bytes are neither decoded nor re-encoded, nothing is added, nothing is
followed. The end of a response is what its framing says (RFC 9112 §6.3); a response that ends before that raises
``Broken``.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import httptools

from apps.egress.rules import Guard
from apps.gateway.call.withheld_keys import plants_session
from apps.gateway.upstream.errors import Broken, TimedOut, UpstreamError
from apps.wire.failure_causes import FailureCause

Fields = list[tuple[bytes, bytes]]

HIGH_WATER = 256 * 1024
"""Bytes of a response that are held for a slow reader before the upstream is no longer read."""

HEAD_LIMIT = 64 * 1024
"""Bytes that the head of a response may have, and its trailer."""

FIELD_LIMIT = 256
"""Fields that the head of a response may have."""

INTERIM_LIMIT = 8
"""Interim responses to one request that are forwarded; more are read and dropped."""

_BODILESS = frozenset({204, 304})

OnInterim = Callable[[int, Fields], None]
"""Called with an interim response (1xx) as soon as it is here: status and fields."""


class Connection(asyncio.Protocol):
    """``begin`` a request, await ``head``, then ``read`` chunks until ``b""``. ``reusable`` says whether it can be
    used again. Waiting is bounded by ``patience``, in seconds."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = False
        self.used = 0
        self.opened, self.idle_since = loop.time(), 0.0
        self.address = ""
        self.guard: Guard | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reset()

    def _reset(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.fields: Fields = []
        self.head_done = False
        self.complete = True  # nothing is under way
        self.error: UpstreamError | None = None
        self.wire_bytes = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._framing_bytes = 0  # since the last part of the body
        self._head_only = False
        self._interim: OnInterim | None = None
        self._interim_left = INTERIM_LIMIT
        self._framed = False
        self._keep_alive = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.complete:
            # Bytes that belong to no request would be taken for the next call's response.
            self.abort()
            return
        self.wire_bytes += len(data)
        before = -1 if not self.head_done else self._body_bytes
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._is_whole_before(data, before):
                self._fail(Broken(FailureCause.INVALID_RESPONSE, sent=True))
                return
            # Its length is known, and what follows it belongs to no response (RFC 9112 §6.3): the connection ends here.
            self._keep_alive = False
        if not self.head_done and self.wire_bytes > HEAD_LIMIT:
            self._fail(Broken(FailureCause.RESPONSE_HEAD_TOO_LARGE, sent=True))
        elif self.head_done:
            self._framing_bytes = self._framing_bytes + len(data) if self._body_bytes == before else 0
            if self._framing_bytes > HEAD_LIMIT and not self.complete:  # a trailer, which the parser keeps
                self._fail(Broken(FailureCause.RESPONSE_HEAD_TOO_LARGE, sent=True))
            else:
                self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._writable.set()
        if self.complete:
            return
        # Without Content-Length or chunks the end of the connection is the end of the body (RFC 9112 §6.3 rule 8).
        if exc is None and self.head_done and not self._framed:
            self.complete = True
            self._wake()
        else:
            self._fail(Broken(FailureCause.CLOSED_EARLY, sent=True))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self.head_done:
            raise ValueError("a second response to one request")
        self.fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_done:
            return  # a trailer: nothing that we forward may hide there
        self._head_bytes += len(name) + len(value) + 4
        if len(self.fields) >= FIELD_LIMIT or self._head_bytes > HEAD_LIMIT:
            raise ValueError("too many fields, or too large ones")
        name = name.lower()
        if not plants_session(name, value):
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status, version = self.parser.get_status_code(), self.parser.get_http_version()
        if version not in ("1.1", "1.0") or not 100 <= status <= 599:
            raise ValueError("neither HTTP/1.1 nor HTTP/1.0, or no status (RFC 9110 §15)")
        if status == 101:
            raise ValueError("nobody asked to switch protocols")
        if status < 200:
            # 100 answers an expectation, and the server meets those; 102, 103 and others go on (RFC 9110 §15.2).
            if status != 100 and self._interim is not None and self._interim_left:
                self._interim_left -= 1
                self._interim(status, self.fields)
            return
        encodings = [value for name, value in self.fields if name == b"transfer-encoding"]
        # The request allowed no other coding (RFC 9112 §6.1): without knowing it, where the response ends is a guess.
        if encodings and (len(encodings) > 1 or encodings[0].lower() != b"chunked" or version == "1.0"):
            raise ValueError("the response's framing is ambiguous")
        self.status = status
        self.head_done = True
        self._keep_alive = self.parser.should_keep_alive()
        self._framed = bool(encodings) or any(name == b"content-length" for name, _ in self.fields)
        if self._head_only:
            self.complete = True
            self.parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        if self._head_only:
            self._keep_alive = False  # the response to a HEAD has no body; an upstream that sends one has lost count
        if not body or self.complete:
            return
        if self.status == 205:
            raise ValueError(
                "content in a response that has none (RFC 9110 §15.3.6): some clients read on behind its head"
            )
        self._chunks.append(body)
        self._body_bytes += len(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True

    # a call

    def begin(self, head: bytes, head_only: bool, on_interim: OnInterim | None = None) -> None:
        """Write the request's ``head``. ``head_only``: the response has no body, whatever its fields say (HEAD)."""
        self._reset()
        self.complete = False
        self._head_only = head_only
        self._interim = on_interim
        self.used += 1
        self.transport.write(head)

    async def write(self, data: bytes, patience: float) -> None:
        """Write a part of the request's body, waiting while the upstream doesn't read. Raises ``TimedOut`` or ``Broken``."""
        if self.closed or self.transport.is_closing():
            raise Broken(FailureCause.CLOSED_EARLY, sent=True)
        self.transport.write(data)
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(patience):
                    await self._writable.wait()
            except TimeoutError:
                raise TimedOut(FailureCause.UPLOAD_TIMEOUT, sent=True) from None

    async def head(self, patience: float) -> None:
        """Wait until ``status`` and ``fields`` are there. Raises ``TimedOut`` or ``Broken``."""
        while self.error is None and not self.head_done:
            await self._wait(patience)
        if self.error is not None:
            raise self.error

    async def read(self, patience: float) -> bytes:
        """The next part of the body; ``b""`` when it is complete. Raises ``TimedOut`` or ``Broken``."""
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self._wait(patience)
        return self.take()

    def take(self) -> bytes:
        """What is here of the body, perhaps ``b""``; never waits."""
        if len(self._chunks) == 1:
            data = self._chunks.popleft()
        else:
            data = b"".join(self._chunks)
            self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if not self.closed:
                self.transport.resume_reading()
        return data

    @property
    def reusable(self) -> bool:
        """Whether another call may follow: the response is whole and both sides keep the connection."""
        return (
            self.complete
            and not self._chunks
            and not self.closed
            and self.error is None
            and self._keep_alive
            and (self._framed or self._head_only or self.status in _BODILESS)
        )

    def abort(self) -> None:
        """Close at once; whatever was under way is lost."""
        self.closed = True
        self.transport.abort()

    async def _wait(self, patience: float) -> None:
        waiter = self._waiter = self.loop.create_future()
        timer = self.loop.call_later(patience, self._time_out)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _time_out(self) -> None:
        self._fail(TimedOut(FailureCause.RESPONSE_TIMEOUT, sent=True))

    def _fail(self, error: UpstreamError) -> None:
        if self.error is None:
            self.error = error
        self.abort()
        self._wake()

    def _is_whole_before(self, data: bytes, before: int) -> bool:
        """Whether the response ended in ``data`` where its ``content-length`` says, before what the parser can't read.

        ``before`` is the number of its bytes that were here before ``data``, -1 with the head. What looks like a second
        response makes the first one doubtful: one response may have been smuggled into the other.
        """
        if not self.complete or not any(name == b"content-length" for name, _ in self.fields):
            return False
        body_began = 0 if before >= 0 else data.find(b"\r\n\r\n") + 4
        surplus = data[body_began + self._body_bytes - max(0, before) :]
        return b"HTTP/" not in surplus.upper()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def write_body(connection: Connection, body: AsyncIterator[bytes], chunked: bool, patience: float) -> None:
    """Send a request's body as it comes, in chunks where its length isn't known. ``patience`` is how many seconds the
    upstream may read nothing.
    """
    async for data in body:
        if data:
            await connection.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data, patience)
    if chunked:
        await connection.write(b"0\r\n\r\n", patience)
